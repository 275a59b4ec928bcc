#!/usr/bin/env python3
"""Make and change trees of pi session files, for tests, the demo and benchmarks.

usage: sessions.py make DIR --files N [--median BYTES] [--forks SHARE] [--seed S]
       sessions.py grow DIR --files N [--lines L] [--seed S]      append lines to N sessions
       sessions.py rewrite DIR --files N [--seed S]               change a line inside N sessions
       sessions.py fork DIR --files N [--seed S]                  add N forks of sessions
       sessions.py move DIR --files N [--seed S]                  move N sessions to another project
       sessions.py remove DIR --files N [--seed S]                delete N sessions

The same seed on the same tree makes the same bytes. Layout, names, header and entries follow pi's
session format v3: --<cwd>--/<timestamp>_<uuid>.jsonl, entries that name their parent, a fork that
begins with a copy of its parent's lines. The text is invented.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import uuid

EPOCH = datetime.datetime(2016, 1, 1, tzinfo=datetime.timezone.utc)
STEP = 311  # seconds between the starts of two sessions: a million take less than ten years

WORDS = """the a this that file function test error value returns check build run change line
module parser handler request response session token config path directory string number list
index loop thread lock queue buffer stream socket client server message field type class object
reads writes opens closes calls fails passes should must can will now then because when where
after before first last next new old same other each every only also still not and or but with
without from into over under between while until if else for in on at by of to as is was are be
""".split()

COMMANDS = ["ls -la src", "git status --short", "npm test -- --watch=false", "rg -n TODO src",
            "cat package.json", "git diff HEAD~1", "make -j8 test", "node scripts/check.js"]


def time_of(rng, number):
    return EPOCH + datetime.timedelta(seconds=number * STEP + rng.random() * (STEP - 1))


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (moment.microsecond // 1000)


def length(rng, median):
    """The length of a text, in words or lines: most are short, a few very long."""
    return min(int(median * rng.lognormvariate(0, 1.2)) + 1, 100 * median)


def sentence(rng, words):
    phrases = [" ".join(rng.choices(WORDS, k=3)) for _ in range(24)]
    return " ".join(rng.choices(phrases, k=words // 3 + 1))


def code(rng, lines):
    names = rng.sample(WORDS, 10)
    return ["  " * rng.randint(0, 4) + "const %s_%d = %s(%s, %d);" % (
        rng.choice(names), rng.randrange(100), rng.choice(names), rng.choice(names),
        rng.randrange(100)) for _ in range(lines)]


def output(rng, read):
    """A tool's result: often a file that was read before, with one line changed."""
    if read and rng.random() < 0.4:
        lines = list(rng.choice(read))
        lines[rng.randrange(len(lines))] = code(rng, 1)[0]
    else:
        lines = code(rng, length(rng, 26))
    read.append(lines)
    return "\n".join(lines)


def message(rng, read):
    """The content of one entry, in the kinds and proportions of a coding session."""
    kind = rng.random()
    if kind < 0.15:
        return {"role": "user", "content": [{"type": "text", "text": sentence(rng, length(rng, 30))}]}
    if kind < 0.55:
        return {"role": "assistant", "model": "example-model", "usage": {
            "input": rng.randrange(90000), "output": rng.randrange(4000), "cacheRead": rng.randrange(90000)},
            "content": [
                {"type": "text", "text": sentence(rng, length(rng, 50))},
                {"type": "toolCall", "id": "call_%012x" % rng.getrandbits(48), "name": "bash",
                 "arguments": {"command": rng.choice(COMMANDS)}}]}
    return {"role": "toolResult", "toolCallId": "call_%012x" % rng.getrandbits(48), "toolName": "bash",
            "isError": False, "content": [{"type": "text", "text": output(rng, read)}]}


def pool(seed=0, size=2000):
    """Entries to draw from, since inventing each line would take most of the time. Their number,
    length and similarity were chosen so that a tree compresses about as well, with windows of 32 KiB
    to 8 MiB, as one of real lines drawn in the same way."""
    rng = random.Random("pool %d" % seed)
    read = []
    return [json.dumps(message(rng, read), separators=(",", ":")) for _ in range(size)]


POOL = pool()


def entry(rng, parent):
    ident, moment = "%08x" % rng.getrandbits(32), time_of(rng, rng.randrange(100000))
    line = '{"type":"message","id":"%s","parentId":%s,"timestamp":"%s","message":%s,"timestamp":%d}}\n' % (
        ident, '"%s"' % parent if parent else "null", stamp(moment),
        POOL[rng.randrange(len(POOL))][:-1], moment.timestamp() * 1000)
    return ident, line.encode()


def body(rng, size):
    lines, total, parent = [], 0, None
    while total < size:
        parent, line = entry(rng, parent)
        lines.append(line)
        total += len(line)
    return lines


def header(ident, when, cwd, parent=None):
    head = {"type": "session", "version": 3, "id": ident, "timestamp": when, "cwd": cwd}
    if parent:
        head["parentSession"] = str(parent)
    return (json.dumps(head, separators=(",", ":")) + "\n").encode()


def project(root, number):
    cwd = "/home/dev/work/project-%03d" % number
    directory = root / ("--" + cwd.strip("/").replace("/", "-") + "--")
    directory.mkdir(parents=True, exist_ok=True)
    return directory, cwd


def projects(files, most):
    return max(1, min(most, files // 25))


def write(path, content, number, rng):
    path.write_bytes(content)
    seconds = int(EPOCH.timestamp()) + number * STEP
    nanos = seconds * 10**9 + rng.randrange(10**9)
    os.utime(path, ns=(nanos, nanos))


def new_path(rng, directory, number):
    when, ident = stamp(time_of(rng, number)), str(uuid.UUID(int=rng.getrandbits(128), version=4))
    name = when.replace(":", "-").replace(".", "-") + "_" + ident + ".jsonl"
    return directory / name, ident, when


def add_fork(rng, root, parent, number, directory, cwd):
    path, ident, when = new_path(rng, directory, number)
    lines = parent.read_bytes().splitlines(keepends=True)[1:]
    keep = lines[:rng.randint(len(lines) // 2, len(lines))]
    content = header(ident, when, cwd, parent) + b"".join(keep + body(rng, 3000))
    write(path, content, number, rng)
    return path


def make(root, files, median=30000, forks=0.05, seed=1, most_projects=200):
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    made = []
    for number in range(files):
        directory, cwd = project(root, rng.randrange(projects(files, most_projects)))
        if made and rng.random() < forks:
            made.append(add_fork(rng, root, rng.choice(made), number, directory, cwd))
            continue
        path, ident, when = new_path(rng, directory, number)
        size = int(min(max(rng.lognormvariate(0, 1.3) * median, 300), 64 << 20))
        write(path, header(ident, when, cwd) + b"".join(body(rng, size)), number, rng)
        made.append(path)
    return made


def sessions(root):
    return sorted(pathlib.Path(root).rglob("*.jsonl"))


def choose(rng, root, files):
    every = sessions(root)
    return rng.sample(every, min(files, len(every)))


def grow(root, files, lines=3, seed=1):
    rng = random.Random(seed)
    chosen = choose(rng, root, files)
    for path in chosen:
        with open(path, "ab") as out:
            out.write(b"".join(entry(rng, None)[1] for _ in range(lines)))
    return chosen


def rewrite(root, files, seed=1):
    rng = random.Random(seed)
    chosen = choose(rng, root, files)
    for path in chosen:
        lines = path.read_bytes().splitlines(keepends=True)
        lines[len(lines) // 2] = entry(rng, None)[1]
        path.write_bytes(b"".join(lines))
    return chosen


def fork(root, files, seed=1):
    rng = random.Random(seed)
    every = sessions(root)
    made = []
    for parent in choose(rng, root, files):
        cwd = "/" + parent.parent.name.strip("-")
        made.append(add_fork(rng, root, parent, len(every) + len(made), parent.parent, cwd))
    return made


def move(root, files, seed=1):
    rng = random.Random(seed)
    directory = pathlib.Path(root) / ("--home-dev-work-renamed-%d--" % seed)
    directory.mkdir(exist_ok=True)
    moved = []
    for path in choose(rng, root, files):
        path.rename(directory / path.name)
        moved.append(directory / path.name)
    return moved


def remove(root, files, seed=1):
    chosen = choose(random.Random(seed), root, files)
    for path in chosen:
        path.unlink()
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["make", "grow", "rewrite", "fork", "move", "remove"])
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--median", type=int, default=30000)
    parser.add_argument("--forks", type=float, default=0.05)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.action == "make":
        make(args.dir, args.files, args.median, args.forks, args.seed)
    elif args.action == "grow":
        grow(args.dir, args.files, args.lines, args.seed)
    else:
        globals()[args.action](args.dir, args.files, seed=args.seed)
    every = sessions(args.dir)
    print("%d sessions, %d bytes" % (len(every), sum(path.stat().st_size for path in every)))


if __name__ == "__main__":
    main()
