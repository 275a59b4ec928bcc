#!/usr/bin/env python3
"""Measure how a run without changes grows with the number of files, ours and rsync's.

usage: growth.py [--out DIR] [--work DIR] [FILES…]

FILES are numbers of files (default 1000 10000 100000). For each, --work (default
/dev/shm/pi-brain-growth) gets a tree of small sessions, 25 per directory, and two mirrors of hard links
to its files. A million files take 5 GB and 3.2 million inodes, more than a tmpfs has by default:
mount -t tmpfs -o nr_inodes=0,size=8G none DIR, and --work DIR/work. Times are medians of 5 runs each,
in turn, after one that warms up. Prints a table, and writes growth.json and growth.svg to --out.
PIBRAIN_BIN names the directory of the programs (default build/release/bin).
"""
import argparse
import json
import math
import pathlib
import shutil
import statistics
import subprocess

import bench
from bench import sessions

COLORS = {"rsync": "#b5651d", "ours": "#1f5f8b"}


def measure(machine, work, files):
    tree = work / "trees" / str(files)
    sessions.make(tree, files, median=300, forks=0, most_projects=files)
    machine.given[str(files)] = tree
    machine.forget()
    for mirror in ("ours", "theirs"):
        (work / mirror).mkdir()
        # Hard links suffice, since nothing is changed.
        subprocess.run(["cp", "-al", tree, work / mirror / str(files)], check=True)
    result = {"rsync": {}, "ours": {}}
    machine.prepare(str(files), machine.sshd.port)
    turns = [{who: bench.timed(getattr(machine, who)) for who in order}
             for order in (("rsync", "ours"), ("ours", "rsync")) * 3]
    for who, values in result.items():
        values["wall"] = statistics.median(turn[who]["wall"] for turn in turns[1:])
    machine.count_wire(str(files), bench.touch_nothing, (), 0, result)
    machine.forget()
    shutil.rmtree(tree)
    return result


def panel(title, unit, results, value, x, width, height):
    """Returns a chart with logarithmic axes."""
    counts = sorted(results)
    points = {who: [(n, value(results[n][who])) for n in counts] for who in COLORS}
    values = [v for line in points.values() for _, v in line]
    # Up to the next 1, 2 or 5.
    steps = [power + math.log10(digit) for power in range(-3, 12) for digit in (1, 2, 5)]
    low = max(step for step in steps if step <= math.log10(min(values)))
    high = min(step for step in steps if step >= math.log10(max(values)))
    left, right = math.log10(counts[0]), math.log10(counts[-1])

    def place(n, v):
        across = (math.log10(n) - left) / max(right - left, 1e-9)
        up = (math.log10(v) - low) / (high - low)
        return x + across * width, 40 + height - up * height

    out = [f'<text x="{x}" y="22" font-size="13">{title}</text>']
    for power in range(math.ceil(low), math.floor(high) + 1):
        y = place(counts[0], 10.0 ** power)[1]
        out.append(f'<line x1="{x}" y1="{y:.1f}" x2="{x + width}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{unit(10.0 ** power)}</text>')
    for n in counts:
        out.append(f'<text x="{place(n, values[0])[0]:.1f}" y="{60 + height}" text-anchor="middle">{n:,}</text>')
    for who, line in points.items():
        above = who == "rsync"
        path = " ".join("%.1f,%.1f" % place(n, v) for n, v in line)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[who]}" stroke-width="2.5"/>')
        for n, v in line:
            at = place(n, v)
            out.append('<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>' % (*at, COLORS[who]))
            out.append(f'<text x="{at[0]:.1f}" y="{at[1] + (-9 if above else 18):.1f}" text-anchor="middle" '
                       f'fill="{COLORS[who]}">{unit(float(f"{v:.2g}"))}</text>')
        name = "rsync -az" if who == "rsync" else "pi-brain"
        end = place(*line[-1])
        out.append(f'<text x="{end[0] + 22:.1f}" y="{end[1] + (-9 if above else 18):.1f}" '
                   f'fill="{COLORS[who]}">{name}</text>')
    return out


def seconds(value):
    return f"{value:g} s"


def size(value):
    for limit, name in ((1e6, "MB"), (1e3, "KB")):
        if value >= limit:
            return f"{value / limit:g} {name}"
    return f"{value:g} B"


def chart(results):
    body = panel("Nothing changed: time", seconds, results, lambda r: r["wall"], 60, 300, 240)
    body += panel("Nothing changed: bytes on the wire", size, results, bench.wire, 540, 300, 240)
    for x in (210, 690):
        body.append(f'<text x="{x}" y="322" text-anchor="middle" fill="#666">files (both scales logarithmic)</text>')
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg" width="960" height="334" '
                      'font-family="sans-serif" font-size="11">',
                      '<rect width="960" height="334" fill="white"/>', *body, "</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=int, metavar="FILES", default=[1000, 10_000, 100_000])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/bench"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/dev/shm/pi-brain-growth"))
    args = parser.parse_args()
    results = {}
    with bench.set_up(args.work, {}) as machine:
        for files in sorted(args.files):
            results[files] = measure(machine, args.work, files)
            rsync, ours = results[files]["rsync"], results[files]["ours"]
            print(f"{files:>9,} files: rsync {rsync['wall']:.3f} s, {bench.wire(rsync):,} B; "
                  f"pi-brain {ours['wall']:.3f} s, {bench.wire(ours):,} B, "
                  f"agent {ours['spoke_peak'] / 2**20:.1f} MiB, hub {ours['hub_peak'] / 2**20:.1f} MiB", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "growth.json").write_text(json.dumps(results, indent=2) + "\n")
    (args.out / "growth.svg").write_text(chart(results))


if __name__ == "__main__":
    main()
