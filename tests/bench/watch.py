#!/usr/bin/env python3
"""Run a command and append the peak memory of its largest process, in bytes, to a file.

usage: watch.py FILE COMMAND…

The peaks are read from /proc again and again; the last reading is some 2 ms old when a process
ends. getrusage() would not do: it counts what a child had before its exec, a copy of this Python.
"""
import os
import pathlib
import subprocess
import sys
import time


def below(pid):
    """Returns the pids of a process and of all its descendants."""
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return  # it has ended
    for thread in threads:
        try:
            children = pathlib.Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from below(int(child))


def watch(child):
    """Waits for a subprocess.Popen, and returns the peak resident memory of its largest process."""
    own, peak = os.readlink("/proc/self/exe"), 0
    while child.poll() is None:
        for pid in below(child.pid):
            try:
                if os.readlink(f"/proc/{pid}/exe") == own:
                    continue
                for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
            except OSError:
                pass
        time.sleep(0.002)
    return peak


def main():
    child = subprocess.Popen(sys.argv[2:])
    peak = watch(child)
    with open(sys.argv[1], "a") as out:
        out.write("%d\n" % peak)
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
