#!/usr/bin/env python3
"""Measure `pi-brain sync run` against `rsync -az` over one private sshd, in turn.

usage: bench.py [--out DIR] [--pairs P] [--work DIR] [--tree-5k DIR] [--list] [ROW…]

Each row is a change to a tree of sessions (tests/sessions.py) in --work (default /dev/shm). Before
each pair of runs the change is made, and 2 s pass, as they do before almost every run from cron;
then both bring their mirrors up to date, which of them first changing from pair to pair. A pair to
warm up is not counted. Wall time and processor time (user and system, of the hub's processes) are
medians of P pairs (default 5). One more pair, with the change made once more, goes through
tests/relay.py, which counts the bytes, while the largest process of either end is watched for its
peak memory. Both log in at the same sshd with `SetEnv SHLVL=1`, which spares them root's ~/.bashrc.
In the end the mirrors are compared with the tree, byte for byte.

Prints a table; writes results.json and results.svg to --out. PIBRAIN_BIN names the directory of the
programs. Without ROWs, all of them.
"""
import argparse
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE)]
import harness  # noqa: E402
from harness import sessions  # noqa: E402
from watch import watch  # noqa: E402

SLOW_LINK = ("--rtt-ms", "50", "--mbit", "20")


def touch_nothing(_tree, _turn):
    pass


def grow_one(tree, turn):
    path = tree / "--big--" / "large.jsonl"
    rng = sessions.random.Random(turn)
    lines = (sessions.entry(rng, None)[1] for _ in itertools.count())
    with open(path, "ab") as out:
        out.write(next(line for line in lines if 1900 < len(line) < 2200))


# name: (tree, what happens before each pair, link, the ratio of wall times that is aimed at)
ROWS = {
    "none-5k": ("5k", touch_nothing, (), 0.25),
    "none-50k": ("50k", touch_nothing, (), 0.35),
    "grow-5k": ("5k", lambda tree, turn: sessions.grow(tree, 50, 3, seed=turn), (), 0.30),
    "rewrite-5k": ("5k", lambda tree, turn: sessions.rewrite(tree, 20, seed=turn), (), 0.40),
    "fork-5k": ("5k", lambda tree, turn: sessions.fork(tree, 20, seed=turn), (), 0.35),
    "move-5k": ("5k", lambda tree, turn: sessions.move(tree, 200, seed=turn), (), 0.30),
    "grow-64m": ("64m", grow_one, (), 0.30),
    "first-5k": ("5k", None, (), 0.60),
    "first-50k": ("50k", None, (), 0.60),
    "none-5k-slow": ("5k", touch_nothing, SLOW_LINK, 0.42),
    "none-50k-slow": ("50k", touch_nothing, SLOW_LINK, 0.17),
    "grow-5k-slow": ("5k", lambda tree, turn: sessions.grow(tree, 50, 3, seed=turn), SLOW_LINK, 0.45),
    "first-5k-slow": ("5k", None, SLOW_LINK, 0.90),
    "fleet-20": ("fleet", touch_nothing, (), 0.35),
}


def make_tree(name, directory):
    if name == "5k":
        sessions.make(directory, 5000, median=32_000)  # 370 MB
    elif name == "50k":
        sessions.make(directory, 50_000, median=2050)  # 300 MB
    elif name == "64m":
        (directory / "--big--").mkdir(parents=True)
        rng = sessions.random.Random(64)
        with open(directory / "--big--" / "large.jsonl", "wb") as out:
            while out.tell() < 64 << 20:
                out.write(sessions.entry(rng, None)[1])
    else:
        for spoke in range(20):
            sessions.make(directory / f"spoke-{spoke:02d}", 500, seed=100 + spoke)


class Bench:
    def __init__(self, work, given):
        self.work, self.given = work, given
        self.watching = False
        self.sshd = harness.Sshd(work / "sshd")
        self.rsync_key = harness.keygen(work / "rsync_key")

    def tree(self, name):
        if name in self.given:
            return self.given[name]
        directory = self.work / "trees" / name
        if not directory.exists():
            make_tree(name, directory)
        return directory

    def sources(self, name):
        """Spoke's name -> its root."""
        tree = self.tree(name)
        return {path.name: path for path in sorted(tree.iterdir())} if name == "fleet" else {name: tree}

    def prepare(self, name, port, peaks=None):
        """Keys and configurations for both programs, through this port."""
        self.sources_now = self.sources(name)
        self.sshd.trust(port)
        self.sshd.configure_client(port=port)
        wrap = f"python3 {HERE}/watch.py {peaks} " if peaks else ""
        lines, blocks = [], []
        for spoke, root in self.sources_now.items():
            key = self.work / f"key-{spoke}"
            if not key.exists():
                harness.keygen(key)
            self.sshd.authorize(f"{wrap}{harness.AGENT} --root={root}", key=key)
            lines.append(self.sshd.authorized_keys.read_text())
            blocks.append(self.sshd.ssh_config.read_text().replace("Host spoke", f"Host {spoke}")
                          .replace(str(self.sshd.key), str(key)))
        forced = f'command="python3 {HERE}/watch.py {peaks} $SSH_ORIGINAL_COMMAND" ' if peaks else ""
        rsync_public = pathlib.Path(f"{self.rsync_key}.pub").read_text()
        self.sshd.authorized_keys.write_text("".join(lines) + forced + rsync_public)
        self.rsync_config = self.work / "rsync_config"
        self.rsync_config.write_text(self.sshd.ssh_config.read_text().replace(
            str(self.sshd.key), str(self.rsync_key)))
        self.sshd.ssh_config.write_text("".join(blocks))
        self.config = self.work / "config.yaml"
        self.config.write_text(json.dumps({
            "hub": {"database_dir": str(self.work / "data"), "archive_dir": str(self.work / "archive"),
                    "sessions_dir": str(self.work / "none"), "listing_mb": 4096, "ssh_config": str(self.sshd.ssh_config)},
            "spokes": [{"name": spoke, "sync_method": "agent", "source": f"{spoke}:{root}",
                        "path": str(self.work / "ours" / spoke)}
                       for spoke, root in self.sources_now.items()]}))

    def ours(self):
        return run_quietly([harness.HUB, "sync", "run", "--delete", "--jobs", "8", "-c", self.config],
                           self.watching)

    def rsync(self):
        def one(item):
            spoke, root = item
            (self.work / "theirs").mkdir(exist_ok=True)
            return run_quietly(["rsync", "-az", "--delete", "-e", f"ssh -F {self.rsync_config}",
                                f"spoke:{root}/", f"{self.work}/theirs/{spoke}/"], self.watching)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return max(pool.map(one, self.sources_now.items()))

    def forget(self):
        for name in ("ours", "theirs", "archive", "data"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def row(self, name, pairs):
        tree, change, link, _ = ROWS[name]
        self.forget()
        with RelayTo(self.sshd.port, link) if link else Direct(self.sshd.port) as way:
            self.prepare(tree, way.port)
            if change is not None:
                self.rsync()
                self.ours()
            turns = []
            for turn in range(pairs + 1):
                self.change(tree, change, turn)
                order = [self.rsync, self.ours] if turn % 2 else [self.ours, self.rsync]
                measured = {run.__name__: timed(run) for run in order}
                if turn > 0:  # the first warms up
                    turns.append(measured)
        result = {who: {what: statistics.median(t[who][what] for t in turns) for what in ("wall", "cpu")}
                  for who in ("rsync", "ours")}
        self.count_wire(tree, change, pairs + 1, result)
        self.check()
        return result

    def change(self, tree, change, turn):
        if change is None:
            self.forget()
        else:
            change(self.tree(tree), turn + 1000)
            if change is not touch_nothing:
                time.sleep(2.1)

    def count_wire(self, tree, change, turn, result):
        self.change(tree, change, turn)
        for who in ("rsync", "ours"):
            peaks = self.work / f"peaks-{who}"
            peaks.unlink(missing_ok=True)
            with RelayTo(self.sshd.port, ("--trace", self.work / "trace")) as way:
                self.prepare(tree, way.port, peaks)
                self.watching = True
                result[who]["hub_peak"] = getattr(self, who)()
                self.watching = False
                time.sleep(0.3)
            trace = self.work / "trace"
            entries = [json.loads(line) for line in trace.read_text().splitlines()]
            trace.unlink()
            result[who]["up"], result[who]["down"] = (sum(e.get(way, 0) for e in entries) for way in ("up", "down"))
            result[who]["spoke_peak"] = max(map(int, peaks.read_text().split()))

    def check(self):
        """Both mirrors hold what the spokes have."""
        for spoke, root in self.sources_now.items():
            for mirror in ("ours", "theirs"):
                differences = subprocess.run(
                    ["rsync", "-rcn", "--delete", "--out-format=%n", f"{root}/", f"{self.work}/{mirror}/{spoke}/"],
                    check=True, capture_output=True, text=True).stdout.split()
                if [d for d in differences if not d.endswith("/")]:
                    sys.exit(f"{mirror} differs: {differences[:5]}")


@contextlib.contextmanager
def set_up(work, given):
    """A Bench in a directory of its own, which must not exist yet and is removed in the end."""
    work.mkdir()
    try:
        bench = Bench(work, given)
        try:
            yield bench
        finally:
            bench.sshd.stop()
    finally:
        shutil.rmtree(work)


class Direct:
    def __init__(self, port):
        self.port = port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class RelayTo:
    """tests/relay.py in front of a port."""

    def __init__(self, port, options):
        self.process = subprocess.Popen(
            [sys.executable, HERE.parent / "relay.py", "--to", f"127.0.0.1:{port}", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def run_quietly(command, watching=False):
    """The peak memory of its largest process, in bytes, if it is to be watched."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    peak = watch(child) if watching else 0
    output = child.communicate()[0]
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {child.returncode}\n{output}")
    return peak


def timed(run):
    def cpu():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, began = cpu(), time.monotonic()
    run()
    return {"wall": time.monotonic() - began, "cpu": cpu() - before}


def ratio(result, what):
    return what(result["ours"]) / what(result["rsync"])


def wire(side):
    return side["up"] + side["down"]


def table(results):
    head = ("row", "rsync s", "ours s", "ratio", "aim", "cpu ratio", "rsync wire", "ours wire", "wire ratio",
            "hub MiB", "agent MiB")
    lines = [head]
    for name, result in results.items():
        ours, rsync = result["ours"], result["rsync"]
        lines.append((name, f"{rsync['wall']:.3f}", f"{ours['wall']:.3f}", f"{ratio(result, lambda s: s['wall']):.2f}",
                      f"{ROWS[name][3]:.2f}", f"{ratio(result, lambda s: s['cpu']):.2f}", f"{wire(rsync):,}",
                      f"{wire(ours):,}", f"{ratio(result, wire):.3f}", f"{ours['hub_peak'] / 2**20:.1f}",
                      f"{ours['spoke_peak'] / 2**20:.1f}"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) if i else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))) for line in lines)


def chart(results):
    """Bars of our wall time and wire, as shares of rsync's."""
    row, left, full = 44, 130, 420
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + full + 90}" '
             f'height="{row * len(results) + 60}" font-family="sans-serif" font-size="12">',
             f'<text x="{left}" y="18">pi-brain as a share of rsync -az: time (dark), bytes on the wire (light)</text>',
             f'<line x1="{left + full}" y1="28" x2="{left + full}" y2="{row * len(results) + 34}" stroke="#999"/>',
             f'<text x="{left + full - 12}" y="{row * len(results) + 50}" fill="#666">rsync</text>']
    for number, (name, result) in enumerate(results.items()):
        y = 36 + number * row
        parts.append(f'<text x="{left - 8}" y="{y + 18}" text-anchor="end">{name}</text>')
        for offset, color, share in ((0, "#1f5f8b", ratio(result, lambda s: s["wall"])),
                                     (15, "#9cc3dd", ratio(result, wire))):
            width = min(share, 1.15) * full
            parts.append(f'<rect x="{left}" y="{y + offset}" width="{width:.1f}" height="13" fill="{color}"/>')
            parts.append(f'<text x="{left + width + 5:.1f}" y="{y + offset + 11}" font-size="11">{share:.2f}</text>')
    return "\n".join(parts + ["</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("bench"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/dev/shm/pi-brain-bench"))
    parser.add_argument("--tree-5k", type=pathlib.Path, help="a tree of 5,000 sessions to use (it is changed)")
    parser.add_argument("--tree-50k", type=pathlib.Path, help="a tree of 50,000 sessions to use")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    unknown = [row for row in args.rows if row not in ROWS]
    if args.list or unknown:
        print("\n".join(ROWS))
        sys.exit(f"there is no row {unknown[0]}" if unknown else 0)
    given = {name: path.resolve() for name, path in (("5k", args.tree_5k), ("50k", args.tree_50k)) if path}
    results = {}
    with set_up(args.work, given) as bench:
        for name in args.rows or ROWS:
            results[name] = bench.row(name, args.pairs)
            print(table({name: results[name]}).splitlines()[1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (args.out / "results.svg").write_text(chart(results))
    print("\n" + table(results))


if __name__ == "__main__":
    main()
