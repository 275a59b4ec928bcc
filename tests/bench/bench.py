#!/usr/bin/env python3
"""Measure `pi-brain sync run` against `rsync -az` over one private sshd, in turn.

usage: bench.py [--out DIR] [--pairs P] [--work DIR] [--tree-5k DIR] [--list] [ROW…]

Each row is a change to a tree of sessions (tests/sessions.py) in --work (default /dev/shm, where it
takes some 2 GB). Before each pair of runs the change is made, and 2 s pass, as before almost every
run from cron; then both bring their mirrors up to date, and take turns in going first. A first pair
warms up and is not counted. Wall time and processor time (user and system, of the hub's processes)
are medians of P pairs (default 5). One more pair, with the change made again, goes through
tests/relay.py, which counts the bytes, while the peak memory of the largest process at either end is
measured. Both log in at the same sshd with `SetEnv SHLVL=1`, so that neither reads root's ~/.bashrc.
At the end, rsync --checksum compares the mirrors with the tree.

Prints a table, and writes results.json, with the times of each run, and results.svg to --out.
PIBRAIN_BIN names the directory of the programs (default build/release/bin). Without ROWs, measures
all of them.
"""
import argparse
import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import resource
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE)]
os.environ.setdefault("PIBRAIN_BIN", str(HERE.parent.parent / "build/release/bin"))
import harness  # noqa: E402
from harness import sessions  # noqa: E402
from watch import watch  # noqa: E402

SLOW_LINK = ("--rtt-ms", "50", "--mbit", "20")
TIME_COLOR, WIRE_COLOR = "#1f5f8b", "#9cc3dd"


def touch_nothing(_tree, _turn):
    pass


def grow_one(tree, turn):
    path = tree / "--big--" / "large.jsonl"
    rng = sessions.random.Random(turn)
    lines = (sessions.entry(rng, None)[1] for _ in itertools.count())
    with open(path, "ab") as out:
        out.write(next(line for line in lines if 1900 < len(line) < 2200))


def grow_some(tree, turn):
    sessions.grow(tree, 50, 3, seed=turn)


@dataclasses.dataclass
class Row:
    what: str  # for people
    tree: str
    change: object  # made before each pair of runs; None: both start without a mirror
    link: tuple  # options of tests/relay.py
    wall: float  # the target for the ratio of wall times
    wire: float = None  # the target for the ratio of bytes on the wire; above 1: for our bytes


ROWS = {
    "none-5k": Row("nothing changed, 5,000 files", "5k", touch_nothing, (), 0.25, 8192),
    "none-50k": Row("nothing changed, 50,000 files", "50k", touch_nothing, (), 0.35, 8192),
    "grow-5k": Row("50 of 5,000 grew by 3 lines", "5k", grow_some, (), 0.30, 0.20),
    "rewrite-5k": Row("20 of 5,000 rewritten in the middle", "5k",
                      lambda tree, turn: sessions.rewrite(tree, 20, seed=turn), (), 0.40, 0.60),
    "fork-5k": Row("20 forks added to 5,000", "5k",
                   lambda tree, turn: sessions.fork(tree, 20, seed=turn), (), 0.35, 0.10),
    "move-5k": Row("200 of 5,000 moved", "5k", lambda tree, turn: sessions.move(tree, 200, seed=turn), (), 0.30, 0.02),
    "grow-64m": Row("one session of 64 MiB grew by 2 KB", "64m", grow_one, (), 0.30, 0.05),
    "first-5k": Row("first run, 5,000 files", "5k", None, (), 0.60, 0.95),
    "first-50k": Row("first run, 50,000 files", "50k", None, (), 0.60, 0.95),
    "none-5k-slow": Row("nothing changed, 5,000, slow link", "5k", touch_nothing, SLOW_LINK, 0.42),
    "none-50k-slow": Row("nothing changed, 50,000, slow link", "50k", touch_nothing, SLOW_LINK, 0.17),
    "grow-5k-slow": Row("50 of 5,000 grew, slow link", "5k", grow_some, SLOW_LINK, 0.45),
    "first-5k-slow": Row("first run, 5,000, slow link", "5k", None, SLOW_LINK, 0.90),
    "fleet-20": Row("20 spokes of 500 files, nothing changed", "fleet", touch_nothing, (), 0.35),
}


def make_tree(name, directory):
    if name == "5k":
        sessions.make(directory, 5000, median=31_000)  # 370 MB
    elif name == "50k":
        sessions.make(directory, 50_000, median=1350)  # 300 MB
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
        (work / "home").mkdir()
        self.sshd = harness.Sshd(work / "sshd", [harness.USUAL_KEY_EXCHANGE])
        self.rsync_key = harness.keygen(work / "rsync_key")

    def tree(self, name):
        if name in self.given:
            return self.given[name]
        directory = self.work / "trees" / name
        if not directory.exists():
            make_tree(name, directory)
        return directory

    def sources(self, name):
        """Maps each spoke's name to its root."""
        tree = self.tree(name)
        return {path.name: path for path in sorted(tree.iterdir())} if name == "fleet" else {name: tree}

    def prepare(self, name, port, peaks=None):
        """Writes keys and configurations for both programs, for this port."""
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
        forced = f'restrict,command="python3 {HERE}/watch.py {peaks} $SSH_ORIGINAL_COMMAND" ' if peaks else "restrict "
        rsync_public = pathlib.Path(f"{self.rsync_key}.pub").read_text()
        self.sshd.authorized_keys.write_text("".join(lines) + forced + rsync_public)
        self.rsync_config = self.work / "rsync_config"
        self.rsync_config.write_text(self.sshd.ssh_config.read_text().replace(
            str(self.sshd.key), str(self.rsync_key)))
        self.sshd.ssh_config.write_text("".join(blocks))
        self.config = self.work / "config.yaml"
        self.config.write_text(json.dumps({
            "hub": {"database_dir": str(self.work / "data"), "archive_dir": str(self.work / "archive"),
                    "sessions_dir": str(self.work / "none"), "ssh_config": str(self.sshd.ssh_config)},
            "spokes": [{"name": spoke, "sync_method": "agent", "source": f"{spoke}:{root}",
                        "path": str(self.work / "ours" / spoke)}
                       for spoke, root in self.sources_now.items()]}))

    def ours(self):
        return self.run([harness.HUB, "sync", "run", "--delete", "--jobs", "8", "-c", self.config])

    def rsync(self):
        def one(item):
            spoke, root = item
            (self.work / "theirs").mkdir(exist_ok=True)
            return self.run(["rsync", "-az", "--delete", "-e", f"ssh -F {self.rsync_config}",
                             f"spoke:{root}/", f"{self.work}/theirs/{spoke}/"])

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return max(pool.map(one, self.sources_now.items()))

    def run(self, command):
        """Returns the peak memory of the command's largest process, in bytes, if that is measured."""
        environment = {"HOME": str(self.work / "home"), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        with tempfile.TemporaryFile(dir=self.work) as output:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                     env=environment)
            peak = watch(child) if self.watching else 0
            if child.wait() != 0:
                output.seek(0)
                sys.exit(f"{' '.join(map(str, command))}: exit {child.returncode}\n"
                         + output.read().decode(errors="replace"))
        return peak

    def forget(self):
        for name in ("ours", "theirs", "archive", "data"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def row(self, name, pairs):
        tree, change, link = ROWS[name].tree, ROWS[name].change, ROWS[name].link
        self.forget()
        with RelayTo(self.sshd.port, link) if link else Direct(self.sshd.port) as way:
            self.prepare(tree, way.port)
            size = tree_size(self.tree(tree))
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
        self.count_wire(tree, change, link, pairs + 1, result)
        self.check()
        if change not in (None, touch_nothing):
            shutil.rmtree(self.work / "trees" / tree, ignore_errors=True)  # the next row needs the original tree
        return {**result, "tree": size, "runs": turns}

    def change(self, tree, change, turn):
        if change is None:
            self.forget()
        else:
            change(self.tree(tree), turn + 1000)
            if change is not touch_nothing:
                time.sleep(2.1)

    def count_wire(self, tree, change, link, turn, result):
        self.change(tree, change, turn)
        for who in ("rsync", "ours"):
            peaks = self.work / f"peaks-{who}"
            peaks.write_text("")
            with RelayTo(self.sshd.port, (*link, "--trace", self.work / "trace")) as way:
                self.prepare(tree, way.port, peaks)
                self.watching = True
                result[who]["hub_peak"] = getattr(self, who)()
                self.watching = False
                # An agent's is written when sshd ends it, which the hub does not wait for.
                harness.wait_for(lambda: len(peaks.read_text().split()) == len(self.sources_now), what="peaks")
            trace = self.work / "trace"
            entries = [json.loads(line) for line in trace.read_text().splitlines()]
            trace.unlink()
            result[who]["up"], result[who]["down"] = (sum(e.get(way, 0) for e in entries) for way in ("up", "down"))
            result[who]["spoke_peak"] = max(map(int, peaks.read_text().split()))

    def check(self):
        """Checks that both mirrors equal the spokes' trees."""
        for spoke, root in self.sources_now.items():
            for mirror in ("ours", "theirs"):
                differences = subprocess.run(
                    ["rsync", "-rcn", "--delete", "--out-format=%n", f"{root}/", f"{self.work}/{mirror}/{spoke}/"],
                    check=True, capture_output=True, text=True).stdout.split()
                if [d for d in differences if not d.endswith("/")]:
                    sys.exit(f"{mirror} differs: {differences[:5]}")


@contextlib.contextmanager
def set_up(work, given):
    """Returns a Bench in a directory of its own, which must not exist yet and is removed at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        work.mkdir()
    except OSError as e:
        sys.exit(f"{e}. --work must name a directory that does not exist: this program makes it, and removes it "
                 "at the end. If an earlier run left this one, remove it.")
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
    """Runs tests/relay.py in front of a port."""

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


def timed(run):
    def cpu():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, began = cpu(), time.monotonic()
    run()
    return {"wall": time.monotonic() - began, "cpu": cpu() - before}


def tree_size(tree):
    sizes = [path.stat().st_size for path in tree.rglob("*.jsonl")]
    return {"files": len(sizes), "bytes": sum(sizes)}


def ratio(result, what):
    return what(result["ours"]) / what(result["rsync"])


def wire(side):
    return side["up"] + side["down"]


def aim_of(row):
    if row.wire is None:
        return ""
    return f"{row.wire:.0f} B" if row.wire > 1 else f"{row.wire:.2f}"


def table(results):
    def pair(result, what, form="{:,}"):
        return " ".join(form.format(result[who][what]) for who in ("rsync", "ours"))

    def mib(result, what):
        return " ".join(f"{result[who][what] / 2**20:.1f}" for who in ("rsync", "ours"))

    head = ("rsync, then ours:", "wall s", "ratio", "aim", "cpu s", "bytes up", "bytes down", "ratio", "aim",
            "hub MiB", "spoke MiB")
    lines = [head]
    for name, result in results.items():
        lines.append((name, pair(result, "wall", "{:.3f}"), f"{ratio(result, lambda s: s['wall']):.2f}",
                      f"{ROWS[name].wall:.2f}", pair(result, "cpu", "{:.2f}"), pair(result, "up"),
                      pair(result, "down"), f"{ratio(result, wire):.3f}", aim_of(ROWS[name]),
                      mib(result, "hub_peak"), mib(result, "spoke_peak")))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) if i else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))) for line in lines)


def chart(results):
    """Returns bars of our wall time and bytes on the wire, as shares of rsync's."""
    row, left, full, top = 44, 270, 420, 66
    height = top + row * len(results)
    text = '<text x="{:.1f}" y="{:.1f}" {}>{}</text>'.format
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + full + 80}" height="{height + 34}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             text(16, 20, 'font-size="14"', "pi-brain sync as a share of rsync -az: shorter is better")]
    for x, color, what in ((16, TIME_COLOR, "time"), (86, WIRE_COLOR, "bytes on the wire")):
        parts += [f'<rect x="{x}" y="34" width="12" height="12" fill="{color}"/>', text(x + 18, 44, "", what)]
    parts += ['<line x1="224" y1="34" x2="224" y2="46" stroke="#e0701e" stroke-width="2"/>',
              text(232, 44, "", "target")]
    for tenth in range(0, 11, 2):
        x = left + full * tenth / 10
        color, label = ("#999", "rsync") if tenth == 10 else ("#ddd", f"{tenth / 10:g}")
        parts.append(f'<line x1="{x}" y1="{top - 6}" x2="{x}" y2="{height}" stroke="{color}"/>')
        parts.append(text(x, height + 18, 'text-anchor="middle" fill="#666"', label))
    for number, (name, result) in enumerate(results.items()):
        y = top + number * row
        parts.append(text(left - 8, y + 18, 'text-anchor="end"', ROWS[name].what))
        for offset, color, share, aim in ((0, TIME_COLOR, ratio(result, lambda s: s["wall"]), ROWS[name].wall),
                                          (15, WIRE_COLOR, ratio(result, wire), ROWS[name].wire)):
            width = min(share, 1.15) * full
            parts.append(f'<rect x="{left}" y="{y + offset}" width="{width:.1f}" height="13" fill="{color}"/>')
            aim = aim * full if aim is not None and aim <= 1 else None
            if aim is not None:
                parts.append(f'<line x1="{left + aim}" y1="{y + offset}" x2="{left + aim}" y2="{y + offset + 13}" '
                             'stroke="#e0701e" stroke-width="2"/>')
            parts.append(text(left + max(width, aim or 0) + 5, y + offset + 11, 'font-size="11"',
                              f"{share:.2f}" if share >= 0.01 else "under 0.01"))
    return "\n".join(parts + ["</svg>\n"])


def machine():
    def first_line(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]

    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.strip()
    return {"date": time.strftime("%Y-%m-%d"), "kernel": platform.release(), "cores": os.cpu_count(),
            "rsync": first_line("rsync", "--version"), "ssh": ssh}


def write_results(out, results):
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps({"machine": machine(), "rows": results}, indent=2) + "\n")
    (out / "results.svg").write_text(chart(results))


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
        print("\n".join(f"{name:14} {row.what}" for name, row in ROWS.items()))
        sys.exit(f"there is no row {unknown[0]}" if unknown else 0)
    if args.pairs < 1:
        sys.exit("--pairs must be a number from 1")
    given = {name: path.resolve() for name, path in (("5k", args.tree_5k), ("50k", args.tree_50k)) if path}
    results = {}
    with set_up(args.work, given) as bench:
        for name in args.rows or ROWS:
            results[name] = bench.row(name, args.pairs)
            print(table({name: results[name]}), flush=True)
            write_results(args.out, results)
    print("\n" + table(results))


if __name__ == "__main__":
    main()
