"""The system calls that decide what is on the disk, as strace saw them, and the order that they must have.

An event's path is the one that its descriptor had when the call began (strace -y). A call that strace shows
in two parts began at the first and ended at the second."""
import os
import re

WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate", "copy_file_range", "sendfile")
RENAMES = ("renameat", "renameat2", "rename")
CALLS = (*WRITES, *RENAMES, "openat", "openat2", "linkat", "unlinkat", "mkdirat", "utimensat",
         "syncfs", "fsync", "fdatasync")
STAGING = ".pi-brain-staging"

_STRING = r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?'
_DESCRIPTOR = r'(?:AT_FDCWD|\d+)<(?P<{0}>[^<>]*)>(?:\(deleted\))?'
_AT = _DESCRIPTOR + r', "(?P<{1}>(?:[^"\\]|\\.)*)"'


# LeakSanitizer, which looks for leaks in builds with AddressSanitizer, does not work under strace.
WITHOUT_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}


def strace(output, *options):
    return ["strace", "-f", "-y", "-qq", "-s", "300", "-o", str(output), "-e", "trace=" + ",".join(CALLS),
            *map(str, options)]


class Event:
    def __init__(self, begin, pid, call):
        self.begin = self.end = begin
        self.pid = pid
        self.call = call
        self.text = ""
        self.result = None  # a number; None if the process ended during the call
        self.paths = []     # the paths of the call, joined with their directories

    def failed(self):
        return self.result is None or self.result < 0

    def times(self):
        """The mtime that utimensat sets, in ns; None if it sets none."""
        found = re.findall(r"\{tv_sec=(-?\d+), tv_nsec=(\d+)\}|UTIME_(OMIT|NOW)", self.text.split("[", 1)[-1])
        return int(found[1][0]) * 10**9 + int(found[1][1]) if len(found) == 2 and found[1][0] else None

    def __repr__(self):
        return f"line {self.begin}: {self.text[:300]}"


def parse(file):
    events, begun = [], {}
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        pid, text = line.rstrip("\n").split(None, 1)
        resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
        call = re.match(r"(\w+)\(", text)
        if resumed and (pid, resumed[1]) in begun:
            event = begun.pop((pid, resumed[1]))
            event.text += text[resumed.end():]
        elif call:
            event = Event(number, pid, call[1])
            event.text = text
            events.append(event)
            if text.endswith("<unfinished ...>"):
                event.text = text.removesuffix("<unfinished ...>").rstrip()
                begun[pid, call[1]] = event
                continue
        else:
            continue
        event.end = number
        result = re.search(r"\) += (-?\d+)(?:<[^<>]*>)?[^=]*$", event.text)
        event.result = int(result[1]) if result else None
    for event in events:
        event.paths = _paths(event)
    return events


def _paths(event):
    """Of a descriptor, or of a directory and a name; some calls have two."""
    arguments = event.text[len(event.call) + 1:]
    if event.call == "rename":
        return re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
    found = re.findall(_AT.replace("{0}", "a").replace("{1}", "b"), arguments)
    if found and (event.call in RENAMES or event.call in ("openat", "openat2", "linkat", "unlinkat", "mkdirat", "utimensat")):
        return [os.path.normpath(os.path.join(directory, name)) for directory, name in found]
    return [path for path in re.findall(_DESCRIPTOR.replace("{0}", "a"), arguments)[:1]]


class Order:
    """The events of one run, and questions about them. `times`: the times of the spoke's files, by path in the
    mirror. `unflushed`: files that were written before these events, and may not be on the disk. `syncfs`:
    whether syncfs flushes these filesystems; otherwise each file needs its own fsync."""

    def __init__(self, case, file, mirror, archive, times, unflushed=(), syncfs=True):
        self.case, self.times, self.syncfs = case, times, syncfs
        self.events = [e for e in parse(file) if e.paths]
        self.mirror, self.archive = str(mirror), str(archive)
        self.one = not os.path.exists(archive) or os.stat(mirror).st_dev == os.stat(archive).st_dev
        self.unflushed_before = set(map(str, unflushed))

    def inside(self, path, root):
        return path == root or path.startswith(root + "/")

    def staged(self, path):
        return self.inside(path, f"{self.mirror}/{STAGING}")

    def live(self, path):
        return self.inside(path, self.mirror) and not self.staged(path)

    def of(self, *calls, good=True):
        return [e for e in self.events if e.call in calls and not (good and e.failed())]

    def synced(self, root, after, before):
        """Whether everything on root's filesystem at line `after` was flushed before line `before`. The kernel
        reports an error once, so a success after a failure does not count."""
        roots = (self.mirror, self.archive) if self.one else (root,)
        flushes = [e for e in self.of("syncfs", good=False)
                   if after < e.begin and e.end < before and any(self.inside(e.paths[0], r) for r in roots)]
        return bool(flushes) and not flushes[0].failed()

    def on_disk(self, path, after, before):
        """Whether this file of the mirror, as written by line `after`, is on the disk before line `before`."""
        return self.synced(self.mirror, after, before) and (self.syncfs or self.fsynced(path, after, before))

    def fsynced(self, path, after, before):
        return any(after < e.begin and e.end < before and e.paths[0] == path for e in self.of("fsync", "fdatasync"))

    def last_write(self, path, before):
        """The line at which the last write to it ended; None if nothing needs a flush."""
        lines = [e.end for e in self.of(*WRITES) if path in e.paths and e.begin < before]
        return max(lines) if lines else 0 if path in self.unflushed_before else None

    def publications(self):
        """(event, staged path, path) of each file that got its name."""
        return [(e, *e.paths) for e in self.of(*RENAMES, "linkat")
                if len(e.paths) == 2 and self.staged(e.paths[0]) and self.live(e.paths[1])]

    def appended(self):
        return {p for e in self.of(*WRITES) for p in e.paths if self.live(p)}

    def check_durable_before_visible(self):
        for event, staged, path in self.publications():
            written = self.last_write(staged, event.begin)
            self.case.assertTrue(written is None or self.on_disk(staged, written, event.begin),
                                 f"published before it was on the disk: {event}")
            parent, end = os.path.dirname(path), self.events[-1].end + 1
            self.case.assertTrue(self.syncfs or self.fsynced(parent, event.end, end), f"its name is not on the disk: {event}")

    def check_times_last(self):
        staged_as = {path: (event, staged) for event, staged, path in self.publications()}
        for event in self.of("utimensat"):
            path = event.paths[0]
            if not self.live(path) or event.times() != self.times.get(path):
                continue
            writes = [(path, self.last_write(path, event.begin))]
            if path in staged_as and staged_as[path][0].begin < event.begin:
                staged = staged_as[path][1]
                writes.append((staged, self.last_write(staged, staged_as[path][0].begin)))
            for name, written in writes:
                self.case.assertTrue(written is None or self.on_disk(name, written, event.begin),
                                     f"the spoke's time before the content is on the disk: {event}")

    def check_archived_first(self, replaced):
        """`replaced`: paths in the mirror whose content must be in the archive before it leaves the mirror."""
        for path in replaced:
            went = [e for e in self.of(*RENAMES, "unlinkat") if path in e.paths
                    and not (e.call in RENAMES and self.live(e.paths[0]) and self.live(e.paths[1]))]
            self.case.assertTrue(went, f"nothing was seen of what became of {path}")
            self.check_archived(path, went[0])

    def check_archived(self, path, went):
        name = path.removeprefix(self.mirror + "/")
        kept = [e for e in self.of(*RENAMES, "linkat") if self.inside(e.paths[-1], self.archive)
                and (e.paths[-1].endswith("/" + name) or e.paths[0] == path) and e.end < went.begin]
        if went.call in RENAMES and self.inside(went.paths[-1], self.archive):
            kept.append(went)  # the rename itself archived it
            self.case.assertTrue(self.one, went)
        self.case.assertTrue(kept, f"went from the mirror before it was archived: {went}")
        if self.one:
            return  # one journal keeps their order
        archived = kept[-1]
        self.case.assertTrue(self.synced(self.archive, archived.end, went.begin)
                             or self.fsynced_with_directories(archived, went.begin),
                             f"went before it was on the archive's disk: {went}; archived by {archived}")

    def fsynced_with_directories(self, archived, before):
        """Checks for an fsync of the file, and of each directory that got a new entry in this run."""
        source, target = archived.paths
        written = self.last_write(source, archived.begin)
        if written is not None and not any(self.fsynced(p, written, before) for p in (source, target)):
            return False
        made = [e for e in self.of("mkdirat") if self.inside(target, e.paths[0]) and e.end < archived.begin]
        return all(self.fsynced(os.path.dirname(e.paths[-1]), e.end, before) for e in (archived, *made))

    def check_staging(self, clean):
        """Checks that the mark exists before anything is written, and goes after everything is flushed, if the run ended well."""
        first = min((e.begin for e in self.of(*WRITES) if any(self.inside(p, self.mirror) for p in e.paths)), default=None)
        directory = f"{self.mirror}/{STAGING}"
        removed = [e for e in self.of("unlinkat") if e.paths[0] == directory]
        if first is not None and self.unflushed_before == set():
            made = [e for e in self.of("mkdirat") if e.paths[0] == directory]
            self.case.assertTrue(made and made[0].end < first, "written to the mirror before there was a mark of it")
        self.case.assertLessEqual(int(clean), len(removed))
        if not removed:
            return
        last = max([e.end for e in self.of(*WRITES) if any(self.live(p) for p in e.paths)]
                   + [e.end for e, _, _ in self.publications()], default=None)
        if last is not None:
            self.case.assertTrue(self.synced(self.mirror, last, removed[0].begin), "the mark went before all was flushed")

    def unflushed(self):
        """Files of the mirror, live or staged, that were written and may not be on the disk."""
        end = self.events[-1].end + 1
        paths = {p for e in self.of(*WRITES) for p in e.paths if self.inside(p, self.mirror)}
        paths -= {e.paths[0] for e in self.of("unlinkat") if self.last_write(e.paths[0], end) in range(e.begin)}
        return {p for p in paths if not self.synced(self.mirror, self.last_write(p, end), end)}

    def looked_at(self):
        """The paths that were opened, removed or replaced."""
        return {e.paths[-1] for e in self.of("openat", "openat2", "unlinkat", *RENAMES)}
