#!/usr/bin/env python3
"""Measure how soon an append on a spoke stands in the mirror: `pi-brain sync watch` beside others.

usage: live.py [--tools LIST] [--samples N] [--work DIR] [--out FILE] [ROW…]

Each row writes lines to sessions (tests/sessions.py) in --work (default /dev/shm) as pi does, and looks at
the mirror until they are there. The tools, against one private sshd and the same tree, one after the other:

  pi-brain   pi-brain sync watch
  inotify    the loop that people write: inotifywait -r, then rsync -az over ssh
  lsyncd     with a delay of 0 s (its default is 15 s)

Prints milliseconds, and writes them to --out as JSON. PIBRAIN_BIN names the directory of the programs
(default build/release/bin).
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent), str(HERE)]
os.environ.setdefault("PIBRAIN_BIN", str(HERE.parent.parent / "build/release/bin"))
import harness  # noqa: E402
from harness import quote, sessions  # noqa: E402

LINE = b'{"type":"message","id":"%08d","message":{"role":"assistant","content":"' + b"x" * 300 + b'"}}\n'
PATIENCE = 60  # seconds


class Tool:
    """Keeps `mirror` like `source`, from start() to stop()."""

    def __init__(self, bench):
        self.bench = bench
        self.processes = []

    def spawn(self, *command, **options):
        self.processes.append(subprocess.Popen([str(c) for c in command], env=self.bench.environment, **options))
        return self.processes[-1]

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()


class PiBrain(Tool):
    def start(self):
        self.bench.sshd.authorize_agent(self.bench.source)
        config = self.bench.dir / "config.yaml"
        config.write_text(json.dumps({
            "hub": {"database_dir": str(self.bench.dir / "data"), "archive_dir": str(self.bench.dir / "archive"),
                    "ssh_config": str(self.bench.sshd.ssh_config)},
            "spokes": [{"name": "laptop", "sync_method": "agent", "source": f"spoke:{self.bench.source}", "path": str(self.bench.mirror)}]}))
        watch = self.spawn(harness.HUB, "sync", "watch", "--json", "-c", config, stdout=subprocess.PIPE, text=True)
        live = threading.Event()

        def read():
            for line in watch.stdout:
                if json.loads(line)["event"] == "live":
                    live.set()
        threading.Thread(target=read, daemon=True).start()
        if not live.wait(PATIENCE):
            raise SystemExit("pi-brain is not live")


class ByRsync(Tool):
    """Pushes by rsync over ssh, with a key that may run it."""

    def ssh(self):
        sshd = self.bench.sshd
        sshd.authorized_keys.write_text("restrict " + (sshd.dir / "client_key.pub").read_text())
        return f"ssh -F {sshd.ssh_config}"

    def push(self):
        return f"rsync -az -e {quote(self.ssh())} {quote(self.bench.source)}/ spoke:{quote(self.bench.mirror)}/"


class Inotify(ByRsync):
    def start(self):
        script = (f"{self.push()}; while inotifywait -qq -r -e modify,create,move,delete {quote(self.bench.source)}; "
                  f"do {self.push()}; done")
        self.spawn("setsid", "sh", "-c", script, stderr=subprocess.DEVNULL)
        time.sleep(3)

    def stop(self):
        for process in self.processes:
            os.killpg(process.pid, 15)
            process.wait()


class Lsyncd(ByRsync):
    def start(self):
        config = self.bench.dir / "lsyncd.lua"
        config.write_text(f"""
settings {{ nodaemon = true, statusFile = "{self.bench.dir}/lsyncd.status", logfile = "{self.bench.dir}/lsyncd.log" }}
sync {{ default.rsync, source = "{self.bench.source}", target = "spoke:{self.bench.mirror}", delay = 0,
       rsync = {{ archive = true, compress = true, rsh = "{self.ssh()}" }} }}
""")
        self.spawn("lsyncd", config, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(5)


TOOLS = {"pi-brain": PiBrain, "inotify": Inotify, "lsyncd": Lsyncd}


class Bench:
    def __init__(self, work):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-live-", dir=work))
        self.source, self.mirror = self.dir / "sessions", self.dir / "mirror"
        self.source.mkdir()
        self.mirror.mkdir()
        self.environment = {**{k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}, "HOME": str(self.dir)}
        self.sshd = harness.Sshd(self.dir / "sshd")
        self.sshd.configure_client()

    def close(self):
        self.sshd.stop()
        shutil.rmtree(self.dir)

    def hot(self, name):
        path = self.source / "--hot--" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(LINE % 0)
        return path

    def wait_for(self, path, size):
        """Waits until the mirror's file has this size. Returns when, or None."""
        mirror = self.mirror / path.relative_to(self.source)
        end = time.perf_counter() + PATIENCE
        while time.perf_counter() < end:
            try:
                if os.stat(mirror).st_size >= size:
                    return time.perf_counter()
            except OSError:
                pass
            time.sleep(0.0001)
        return None


def append(path, number):
    with open(path, "ab") as out:
        out.write(LINE % number)
    return time.perf_counter(), path.stat().st_size


def one_writer(bench, samples):
    """A line at a time, to one session of 5,000."""
    path = bench.hot("one.jsonl")
    bench.wait_for(path, path.stat().st_size)
    for number in range(samples):
        written, size = append(path, number)
        yield (bench.wait_for(path, size) or float("inf")) - written
        time.sleep(0.05 + 0.001 * (number % 37))


def many_writers(bench, samples):
    """50 sessions at once, 20 lines a second each."""
    paths = [bench.hot(f"{number}.jsonl") for number in range(50)]
    for path in paths:
        bench.wait_for(path, path.stat().st_size)
    time.sleep(1)
    written, lock, stop = [], threading.Lock(), threading.Event()

    def look():
        waiting = {}
        while not stop.is_set() or written or any(waiting.values()):
            with lock:
                for path, size, when in written:
                    waiting.setdefault(path, []).append((size, when))
                written.clear()
            for path, queue in waiting.items():
                if not queue:
                    continue
                try:
                    size = os.stat(bench.mirror / path.relative_to(bench.source)).st_size
                except OSError:
                    continue
                now = time.perf_counter()
                while queue and queue[0][0] <= size:
                    seconds.append(now - queue.pop(0)[1])
            if stop.is_set() and time.perf_counter() > deadline:
                seconds.extend([float("inf")] * (len(written) + sum(map(len, waiting.values()))))
                return
            time.sleep(0.0005)

    seconds, deadline = [], float("inf")
    looker = threading.Thread(target=look)
    looker.start()
    began = time.perf_counter()
    for number in range(max(samples, 5000)):
        pause = began + number / 1000 - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        path = paths[number * 7 % 50]
        when, size = append(path, number)
        with lock:
            written.append((path, size, when))
    deadline = time.perf_counter() + PATIENCE
    stop.set()
    looker.join()
    yield from seconds


def a_large_session(bench, samples):
    """A line at a time, to a session of 1 GB."""
    path = bench.source / "--hot--" / "large.jsonl"
    path.parent.mkdir(exist_ok=True)
    block = b"".join(LINE % number for number in range(20_000))
    with open(path, "wb") as out:
        while out.tell() < 1_000_000_000:
            out.write(block)
    if bench.wait_for(path, path.stat().st_size) is None:
        raise SystemExit("the session of 1 GB did not arrive")
    append(path, 0)
    bench.wait_for(path, path.stat().st_size)
    time.sleep(3)
    for number in range(samples):
        written, size = append(path, number)
        yield (bench.wait_for(path, size) or float("inf")) - written
        time.sleep(0.05 + 0.001 * (number % 37))


ROWS = {"append-5k": one_writer, "append-50-writers": many_writers, "append-1g": a_large_session}


def describe(seconds):
    seconds = sorted(seconds)
    at = lambda share: round(seconds[min(len(seconds) - 1, int(len(seconds) * share))] * 1000, 2)  # noqa: E731
    return {"samples": len(seconds), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "most": at(1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", default=[], help=", ".join(ROWS))
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--work", default="/dev/shm")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    results = {}
    for row in arguments.rows or ROWS:
        for tool in arguments.tools.split(","):
            bench = Bench(arguments.work)
            try:
                sessions.make(bench.source, arguments.files, median=2000, seed=1)
                one = TOOLS[tool](bench)
                one.start()
                try:
                    result = describe(list(ROWS[row](bench, arguments.samples)))
                finally:
                    one.stop()
            finally:
                bench.close()
            results.setdefault(row, {})[tool] = result
            print(f"{row:18} {tool:10} ms: " + ", ".join(f"{k} {v}" for k, v in result.items()), flush=True)
    if arguments.out:
        pathlib.Path(arguments.out).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
