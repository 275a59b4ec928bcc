#!/usr/bin/env python3
"""Compare `pi-brain sync run` with `rsync -az` over one private sshd, in turn.

usage: compare.py [--tree DIR] [--files N] [--pairs P] [--work DIR] [--wait]

Without --tree a tree of N sessions is made (tests/sessions.py). For a first run and for a run in
which nothing changed it prints the median wall times of P pairs and their ratio, then the bytes
that a run without changes puts on the wire, counted by tests/relay.py. PIBRAIN_BIN names the
directory of the programs. --wait keeps sshd up in the end, for measurements by hand.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402


class Comparison:
    def __init__(self, work, tree):
        self.work, self.tree = work, tree
        self.sshd = harness.Sshd(work / "sshd")
        self.sshd.authorize_agent(tree)
        # rsync gets a key of its own, without a forced command.
        key = harness.keygen(work / "rsync_key")
        with open(self.sshd.authorized_keys, "a") as out:
            out.write(pathlib.Path(f"{key}.pub").read_text())
        self.rsync_config = work / "rsync_ssh_config"
        self.rsync_config.write_text(self.sshd.ssh_config.read_text().replace(str(self.sshd.key), str(key)))
        self.config = work / "config.yaml"
        self.config.write_text(json.dumps({
            "hub": {"database_dir": str(work / "data"), "archive_dir": str(work / "archive"),
                    "ssh_config": str(self.sshd.ssh_config)},
            "spokes": [{"name": "bench", "sync_method": "agent", "source": f"spoke:{tree}",
                        "path": str(work / "ours")}]}))

    def ours(self):
        began = time.monotonic()
        done = subprocess.run([harness.HUB, "sync", "run", "-c", self.config], capture_output=True, text=True)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
        return seconds

    def rsync(self):
        began = time.monotonic()
        subprocess.run(["rsync", "-az", "-e", f"ssh -F {self.rsync_config}", f"spoke:{self.tree}/",
                        f"{self.work}/theirs/"], check=True)
        return time.monotonic() - began

    def row(self, name, pairs, prepare):
        times = []
        for turn in range(pairs + 1):
            prepare()
            pair = (self.rsync(), self.ours())
            if turn > 0:  # the first warms up
                times.append(pair)
        theirs, ours = (statistics.median(column) for column in zip(*times))
        print(f"{name:16} rsync {theirs:6.3f} s   pi-brain {ours:6.3f} s   ratio {ours / theirs:.2f}", flush=True)

    def forget(self):
        for name in ("ours", "theirs"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def wire(self):
        trace = self.work / "trace"
        relay = subprocess.Popen(
            [sys.executable, HERE.parent / "relay.py", "--to", f"127.0.0.1:{self.sshd.port}", "--trace", trace],
            stdout=subprocess.PIPE, text=True)
        port = int(relay.stdout.readline())
        self.sshd.trust(port)
        self.sshd.configure_client(port=port)
        self.ours()
        time.sleep(0.5)
        relay.terminate()
        relay.communicate()
        entries = [json.loads(line) for line in trace.read_text().splitlines()]
        up, down = (sum(e.get(way, 0) for e in entries) for way in ("up", "down"))
        print(f"nothing changed  {up} bytes up, {down} down, {up + down} in all")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=pathlib.Path)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/dev/shm/pi-brain-bench"))
    parser.add_argument("--wait", action="store_true")
    args = parser.parse_args()
    args.work.mkdir()
    try:
        tree = args.tree
        if tree is None:
            tree = args.work / "tree"
            harness.sessions.make(tree, args.files)
        comparison = Comparison(args.work, tree.resolve())
        try:
            comparison.row("first run", args.pairs, comparison.forget)
            comparison.row("nothing changed", args.pairs, lambda: None)
            comparison.wire()
            if args.wait:
                print(f"sshd is on port {comparison.sshd.port}; the hub's config is {comparison.config}")
                comparison.sshd.process.wait()
        finally:
            comparison.sshd.stop()
    finally:
        shutil.rmtree(args.work)


if __name__ == "__main__":
    main()
