#!/usr/bin/env python3
"""Measure how soon an append on a spoke stands in the mirror: `pi-brain daemon` beside others.

usage: live.py [--tools LIST] [--samples N] [--work DIR] [--out DIR] [ROW…]

Each row writes lines to sessions (tests/sessions.py) in --work (default /dev/shm) as pi does, and looks at
the mirror until they are there. The tools, against one private sshd and the same tree, one after the other:

  pi-brain     pi-brain daemon run
  inotify      the loop that people write: inotifywait -r, then rsync -az over ssh
  lsyncd       with its default delay, 15 s, and lsyncd-0 with none
  syncthing    with its default delay, 10 s, and syncthing-0 with the least that it takes, 10 ms

Other rows are about pi-brain alone: what it costs when nothing happens, and what it takes to begin. Prints
the results, and writes live.json and live.svg to --out. PIBRAIN_BIN names the directory of the programs
(default build/release/bin).
"""
import argparse
import contextlib
import dataclasses
import filecmp
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent), str(HERE)]
os.environ.setdefault("PIBRAIN_BIN", str(HERE.parent.parent / "build/release/bin"))
import harness  # noqa: E402
from harness import sessions  # noqa: E402
from live_chart import chart  # noqa: E402
from live_tools import PATIENCE, TOOLS, PiBrain, PiBrainWatch  # noqa: E402

LINE = b'{"type":"message","id":"%08d","message":{"role":"assistant","content":"' + b"x" * 300 + b'"}}\n'
MIB = 1 << 20
LATE = 10  # seconds: a line that is not there then waits for the next change


class Bench:
    def __init__(self, work, link=()):
        """`link`: options of tests/relay.py, through which the hub then connects."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-live-", dir=work))
        self.source, self.mirror = self.dir / "sessions", self.dir / "mirror"
        self.source.mkdir()
        self.mirror.mkdir()
        self.environment = {**{k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}, "HOME": str(self.dir)}
        self.sshd = harness.Sshd(self.dir / "sshd", ["MaxStartups 300", "MaxSessions 300"])
        self.sshd.configure_client()
        self.tool = None
        self.rest = contextlib.ExitStack()
        if link:
            self.rest.enter_context(harness.relay(self.sshd, *(option.format(dir=self.dir) for option in link)))

    def close(self):
        self.rest.close()
        self.sshd.stop()
        shutil.rmtree(self.dir)

    def hot(self, name):
        path = self.source / "--hot--" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(LINE % 0)
        return path

    def wait_for(self, path, size, seconds=0):
        """Waits until the mirror's file has this size. Returns when, or None."""
        mirror = self.mirror / path.relative_to(self.source)
        end = time.perf_counter() + max(seconds, LATE, 3 * getattr(self.tool, "delay", 0))
        while time.perf_counter() < end:
            try:
                if os.stat(mirror).st_size >= size:
                    return time.perf_counter()
            except OSError:
                pass
            time.sleep(0.0001)
        return None

    def wait_for_all(self):
        """Waits until the mirror has as many files as the tree."""
        def files(place):
            return sum(len(names) for at, _, names in os.walk(place) if ".st" not in at)
        end = time.monotonic() + PATIENCE * 5
        while files(self.mirror) < files(self.source):
            if time.monotonic() > end:
                raise SystemExit("the first copy did not arrive")
            time.sleep(0.5)

    def agent(self):
        (pid,) = harness.agents_below(self.sshd.process.pid)
        return pid


def append(path, number):
    with open(path, "ab") as out:
        out.write(LINE % number)
    return time.perf_counter(), path.stat().st_size


def line_by_line(bench, path, samples):
    seconds = []
    for number in range(samples):
        written, size = append(path, number)
        seconds.append((bench.wait_for(path, size) or float("inf")) - written)
        # So that the lines do not keep time with the tool.
        time.sleep(0.05 + 0.001 * (number % 37))
    return seconds


def one_writer(bench, samples):
    """A line at a time, to one session of 5,000."""
    path = bench.hot("one.jsonl")
    bench.wait_for(path, path.stat().st_size)
    return describe(line_by_line(bench, path, samples))


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
    return describe(seconds)


def a_large_session(bench, samples):
    """A line at a time, to a session of 1 GB."""
    path = bench.source / "--hot--" / "large.jsonl"
    path.parent.mkdir(exist_ok=True)
    block = b"".join(LINE % number for number in range(20_000))
    with open(path, "wb") as out:
        while out.tell() < 1_000_000_000:
            out.write(block)
    if bench.wait_for(path, path.stat().st_size, PATIENCE * 5) is None:
        raise SystemExit("the session of 1 GB did not arrive")
    append(path, 0)
    bench.wait_for(path, path.stat().st_size)
    time.sleep(3)
    cpu = Cpu.of(bench)
    result = describe(line_by_line(bench, path, samples))
    return {**result, **cpu.since(bench, samples)}


class Cpu:
    """Processor time of the daemon and of the agent, if there are these."""

    @staticmethod
    def of(bench):
        cpu = Cpu()
        cpu.before = Cpu.now(bench)
        return cpu

    @staticmethod
    def now(bench):
        if not isinstance(bench.tool, PiBrain):
            return {}
        fields = {who: pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                  for who, pid in (("hub", bench.tool.daemon.pid), ("agent", bench.agent()))}
        return {who: (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") for who, stat in fields.items()}

    def since(self, bench, lines):
        """Milliseconds for each line."""
        return {f"{who} ms/line": round((after - self.before[who]) * 1000 / lines, 2) for who, after in self.now(bench).items()}


def new_directories(bench, samples):
    """2,000 new directories, each with a file that is written at once."""
    count = samples * 10
    began = time.perf_counter()
    for number in range(count):
        directory = bench.source / f"--new-{number}--"
        directory.mkdir()
        (directory / "first.jsonl").write_bytes(LINE % number)
    made = time.perf_counter() - began
    last, arrived = bench.source / f"--new-{count - 1}--/first.jsonl", 0
    while arrived < count and time.perf_counter() - began < PATIENCE + made:
        arrived = sum((bench.mirror / f"--new-{number}--/first.jsonl").exists() for number in range(count))
        time.sleep(0.01)
    return {"made": count, "arrived": arrived, "making s": round(made, 2), "all there s": round(time.perf_counter() - began, 2),
            "the same": filecmp.cmp(last, bench.mirror / last.relative_to(bench.source), shallow=False)}


def a_burst(bench, samples):
    """20,000 appends to one session, as fast as they can be written."""
    path = bench.hot("burst.jsonl")
    bench.wait_for(path, path.stat().st_size)
    count = samples * 100
    began = time.perf_counter()
    with open(path, "ab", buffering=0) as out:
        for number in range(count):
            out.write(LINE % number)
    made = time.perf_counter() - began
    there = bench.wait_for(path, path.stat().st_size)
    mirror = bench.mirror / path.relative_to(bench.source)
    lines = mirror.read_bytes().count(b"\n") - 1
    return {"appends": count, "lost": count - lines, "making s": round(made, 2), "all there s": there and round(there - began, 2)}


def many_directories(bench, _samples):
    """Watching 50,000 directories, of which the mirror has everything; those that changed last, the others are polled."""
    bench.tool.stop()
    for number in range(50_000):
        directory = bench.source / f"--many--/{number // 1000}/{number}"
        directory.mkdir(parents=True)
        (directory / "a.jsonl").write_bytes(LINE % number)
    first = PiBrainWatch(bench)
    first.start()
    first.stop()
    again = PiBrainWatch(bench)
    bench.tool = again
    again.start()
    at = {event: when for when, event in reversed(again.events)}
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{bench.agent()}/status").read_text().splitlines())
    watching = at.get("live") or at["polling"]
    return {"connected to watching s": round(watching - at["scanning"], 2), "agent MiB": round(int(status["VmHWM"].split()[0]) / 1024, 1)}


def switches(pid):
    return sum(int(line.split()[1]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
               for line in (task / "status").read_text().splitlines() if line.startswith("voluntary"))


def private_bytes(pid):
    """What this process alone has in memory."""
    return sum(int(line.split()[1]) * 1024 for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
               if line.startswith("Private"))


def idle(bench, samples):
    """Nothing happens, for ten minutes."""
    hub, agent = bench.tool.daemon.pid, bench.agent()
    time.sleep(30)
    trace = bench.dir / "trace"
    seconds = samples * 3
    before = switches(hub), switches(agent), trace.stat().st_size
    cpu = Cpu.of(bench)
    time.sleep(seconds)
    with open(trace) as lines:
        lines.seek(before[2])
        wire = sum(piece.get("up", 0) + piece.get("down", 0) for piece in map(json.loads, lines))
    resident = int(pathlib.Path(f"/proc/{agent}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"seconds": seconds, "hub wake-ups in 20 s": round((switches(hub) - before[0]) * 20 / seconds, 2),
            "agent wake-ups in 20 s": round((switches(agent) - before[1]) * 20 / seconds, 2),
            "bytes a minute": round(wire * 60 / seconds), "agent MiB": round(resident / MIB, 1),
            "hub MiB": round(private_bytes(hub) / MIB, 1), **cpu.since(bench, seconds / 1000)}


def many_spokes(bench, samples):
    """A hub with 200 spokes that do nothing."""
    alone = private_bytes(bench.tool.daemon.pid)
    bench.tool.stop()
    bench.tool = PiBrain(bench)
    bench.tool.spokes = 200
    began = time.perf_counter()
    bench.tool.start()
    live = time.perf_counter() - began
    hub = bench.tool.daemon.pid
    time.sleep(20)
    stat = lambda: sum(map(int, pathlib.Path(f"/proc/{hub}/stat").read_text().rpartition(")")[2].split()[11:13]))  # noqa: E731
    before, seconds = stat(), samples * 0.3
    time.sleep(seconds)
    share = (stat() - before) / os.sysconf("SC_CLK_TCK") / seconds
    memory = private_bytes(hub)
    return {"spokes": 200, "all live s": round(live, 1), "hub MiB": round(memory / MIB, 1), "KiB a spoke": round((memory - alone) / 199 / 1024),
            "% of a core": round(share * 100, 2)}


@dataclasses.dataclass
class Row:
    run: object
    aim: str
    tools: tuple = tuple(TOOLS)
    files: int = 5000
    link: tuple = ()


OURS = ("pi-brain",)
ROWS = {
    "append-5k": Row(one_writer, "p50 ≤ 5 ms, p99 ≤ 50 ms"),
    "append-50-writers": Row(many_writers, "p99 ≤ 100 ms"),
    "append-slow-link": Row(one_writer, "p50 ≤ 40 ms, p99 ≤ 100 ms", ("pi-brain", "inotify", "lsyncd", "lsyncd-0"), link=("--rtt-ms", "50", "--mbit", "20")),
    "append-1g": Row(a_large_session, "as append-5k ± 5 ms; < 1 ms of processor a line at both ends"),
    "new-directories": Row(new_directories, "2,000 of 2,000"),
    "burst": Row(a_burst, "none lost"),
    "directories-50k": Row(many_directories, "live 1 s after the connection; agent ≤ 16 MiB", OURS, files=0),
    "idle": Row(idle, "≤ 1 wake-up in 20 s at both ends, ≤ 1 KB a minute, agent ≤ 8 MiB", OURS, link=("--trace", "{dir}/trace")),
    "idle-200": Row(many_spokes, "≤ 100 MiB in all, ≤ 256 KiB a spoke, < 1% of a core", OURS, files=100),
}


def describe(seconds):
    seconds = sorted(seconds)

    def at(share):
        value = seconds[min(len(seconds) - 1, int(len(seconds) * share))]
        return None if value == float("inf") else round(value * 1000, 2)
    result = {"samples": len(seconds), "p50 ms": at(0.5), "p90 ms": at(0.9), "p99 ms": at(0.99), "most ms": at(1)}
    late = seconds.count(float("inf"))
    return {**result, "late": late} if late else result


def measure(row, tool, arguments):
    bench = Bench(arguments.work, row.link)
    try:
        sessions.make(bench.source, row.files, median=2000, seed=1)
        bench.tool = TOOLS[tool](bench)
        bench.tool.start()
        try:
            # A tool that waits for 10 s and more before it does anything would take hours.
            patient = getattr(bench.tool, "delay", 0) >= 1
            return row.run(bench, min(arguments.samples, 10) if patient else arguments.samples)
        finally:
            bench.tool.stop()
    finally:
        bench.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", default=[], help=", ".join(ROWS))
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--work", default="/dev/shm")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    results = {}
    known = arguments.out and arguments.out / "live.json"
    if known and known.exists():
        # Of rows and tools that are not measured now.
        results = json.loads(known.read_text())
    for name in arguments.rows or ROWS:
        row = ROWS[name]
        print(f"{name}: {row.run.__doc__} Aim: {row.aim}", flush=True)
        for tool in arguments.tools.split(","):
            if tool not in row.tools:
                continue
            result = measure(row, tool, arguments)
            results.setdefault(name, {})[tool] = result
            print(f"  {tool:12} " + ", ".join(f"{key} {value}" for key, value in result.items()), flush=True)
            if arguments.out:
                arguments.out.mkdir(parents=True, exist_ok=True)
                known.write_text(json.dumps(results, indent=2) + "\n")
                (arguments.out / "live.svg").write_text(chart(results))


if __name__ == "__main__":
    main()
