"""A spoke whose sessions change in every way, and what must hold when a run over them is disturbed."""
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import tempfile

import harness
from harness import HubCase, files_below, read_below, sessions

STAGING = b".pi-brain-staging"
INCOMPLETE = b"incomplete"  # in a spoke's archive
MIB = 1 << 20
# Beyond this, the test empties the archive itself, so that a long test does not fill the disk.
ENOUGH_ARCHIVED = 64 * MIB
# More of a tail than the hub buffers: it is appended while it arrives.
LARGE_TAIL = 4 * MIB + 300_000


def lines(rng, size):
    """Whole lines of about `size` bytes that do not compress well."""
    block = b"".join(b'{"type":"message","pad":"%s"}\n' % rng.randbytes(300).hex().encode()
                     for _ in range(min(100, size // 600 + 1)))
    return block * max(1, size // len(block))


def contents(root):
    """Maps the path of every file that is not staged to its content."""
    if not root.exists():
        return {}
    return {path: read_below(root, path) for path in files_below(root)
            if not path.startswith(STAGING + b"/")}


def brief(files):
    """Maps each path to size and hash, which a failed assertion can print."""
    return {path: f"{len(c)} bytes, {hashlib.sha256(c).hexdigest()[:12]}" for path, c in files.items()}


def another_filesystem(path):
    """A directory on a filesystem other than `path`'s."""
    for place in ("/dev/shm", "/tmp", "/var/tmp"):
        if os.path.isdir(place) and os.stat(place).st_dev != os.stat(path).st_dev:
            return tempfile.TemporaryDirectory(dir=place)
    raise AssertionError("/dev/shm, /tmp and /var/tmp are one filesystem: this needs two")


def stop(process):
    """Stops the process, and waits until it has stopped."""
    os.kill(process.pid, signal.SIGSTOP)

    def stopped():
        tasks = os.listdir(f"/proc/{process.pid}/task")
        states = [pathlib.Path(f"/proc/{process.pid}/task/{t}/stat").read_text().rsplit(") ", 1)[1][0] for t in tasks]
        return all(state in "TZ" for state in states)

    harness.wait_for(stopped, what="SIGSTOP")


class FaultCase(HubCase):
    """self.change() changes the spoke; self.assert_promised() checks the mirror after a disturbed run."""

    @classmethod
    def setUpClass(cls):
        # In memory, if there is enough, since hundreds of runs would wait for the disk.
        memory = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
        before = tempfile.tempdir
        if memory and memory.f_bavail * memory.f_frsize > 500 * MIB:
            tempfile.tempdir = "/dev/shm"
        try:
            super().setUpClass()
        finally:
            tempfile.tempdir = before

    def setUp(self):
        super().setUp()
        self.rng = random.Random(self.id())
        self.turn = 0
        self.held = set()  # every content that the mirror was seen to have
        self.before = {}   # the mirror before the run that was disturbed
        self.in_archive = {}     # the content of each archive then

    def make(self, files=12):
        sessions.make(self.source, files, median=6000)
        for name in ("large", "patched"):
            self.write(f"p/{name}.jsonl", lines(self.rng, 400_000))
        self.settle()

    def settle(self, *arguments):
        """An undisturbed run, after which the mirror must be right."""
        report = self.sync_one("--delete", "--max-delete", "1000", *arguments)
        self.assert_mirrored()
        self.assertFalse((self.mirror / os.fsdecode(STAGING)).exists(), report)
        self.assertFalse((self.archive / "laptop" / os.fsdecode(INCOMPLETE)).exists(), report)
        self.note()
        return report

    def note(self):
        """Remembers the mirror as it is now, which the next run must not lose."""
        self.assert_nothing_lost()
        self.before = contents(self.mirror)
        self.held.update(self.before.values())
        self.note_archive()

    def begin_anew(self):
        """Starts from the current state, whatever caused it: for a test that continues after a failure."""
        self.before = contents(self.mirror)
        self.held.update(self.before.values())
        self.note_archive()

    def note_archive(self):
        """Remembers the archive's content, which was checked: no later run may remove it."""
        if sum(size for size, _, _ in self.archive_stamps().values()) > ENOUGH_ARCHIVED:
            shutil.rmtree(self.archive / "laptop")
        self.in_archive[self.archive] = self.archive_stamps()

    def archive_stamps(self):
        below = self.archive / "laptop"
        stamps = {path: (st.st_size, st.st_mtime_ns, st.st_ino)
                  for path, st in (files_below(below) if below.exists() else {}).items()}
        stamps.pop(INCOMPLETE, None)  # left by a kill during a copy
        return stamps

    # How the spoke changes. Each turn has changes of every kind, every third one large files too.

    def change(self):
        self.turn += 1
        seed = self.turn
        sessions.grow(self.source, 2, seed=seed)
        sessions.rewrite(self.source, 1, seed=seed)
        sessions.fork(self.source, 1, seed=seed)
        sessions.move(self.source, 1, seed=seed)
        sessions.make(self.source, 1, median=4000, seed=1000 + seed)
        for name in ("large", "patched", "large-new"):
            (self.source / "p").mkdir(exist_ok=True)
            getattr(self, "change_" + name.replace("-", "_"))(self.source / "p" / f"{name}.jsonl")
        if len(sessions.sessions(self.source)) > 14:
            sessions.remove(self.source, 3, seed=seed)

    def change_large(self, path):
        if not path.exists() or path.stat().st_size > 12 * MIB:
            path.write_bytes(lines(self.rng, 300_000))
        elif self.turn % 3:
            with open(path, "ab") as out:
                out.write(lines(self.rng, LARGE_TAIL))

    def change_patched(self, path):
        content = bytearray(path.read_bytes() if path.exists() else b"")
        if content.count(b"pad") < 100:
            content = bytearray(lines(self.rng, 400_000))
        at = content.rindex(b"pad", 0, content.rindex(b"pad") - self.rng.randrange(content.rindex(b"pad") // 2))
        content[at:at + 3] = b"cut"
        path.write_bytes(content)

    def change_large_new(self, path):
        if self.turn % 3 == 1:
            path.unlink(missing_ok=True)
        elif self.turn % 3 == 2:
            path.write_bytes(lines(self.rng, 2 * MIB))

    # What must hold.

    def assert_promised(self, source=None):
        """Checks P3 and P5, against self.before and the spoke's files: each file is the old one, the new
        one, or a prefix of what it grew to, and nothing is lost."""
        source = contents(self.source) if source is None else source
        now = contents(self.mirror)
        for path, content in now.items():
            self.assertTrue(self.may_be(path, content, source.get(path)),
                            f"turn {self.turn}: {path} is neither old nor new, {len(content)} bytes")
        for path in self.before.keys() & source.keys():
            self.assertIn(path, now, f"turn {self.turn}: gone from the mirror")
        self.assert_nothing_lost(now)
        self.held.update(now.values())
        return now

    def may_be(self, path, content, new):
        # A file that moved may have its new path already, with its old content.
        olds = [self.before[path]] if path in self.before else [
            old for other, old in self.before.items()
            if os.path.basename(other) == os.path.basename(path)]
        if content == new or content in olds:
            return True
        return new is not None and new.startswith(content) and any(content.startswith(old) for old in olds)

    def assert_nothing_lost(self, now=None):
        """Checks that every content that the mirror had is in the mirror, perhaps grown, or in the archive,
        and that the archive has nothing else."""
        archived = self.archived_contents()
        for path, content in archived.items():
            self.assertTrue(self.was_held(path, content),
                            f"turn {self.turn}: {path} in the archive was never in the mirror")
        left = list((contents(self.mirror) if now is None else now).values()) + list(archived.values())
        whole = set(left)
        for path, content in self.before.items():
            self.assertTrue(content in whole or any(other.startswith(content) for other in left),
                            f"turn {self.turn}: the content of {path}, {len(content)} bytes, is lost")

    def was_held(self, path, content):
        """Whether the mirror may have had this content before it was archived there."""
        return content in self.held or content in self.before.values()

    def archived_contents(self):
        """Returns what was archived since note_archive(), and checks that the rest is still there."""
        stamps, kept = self.archive_stamps(), self.in_archive.get(self.archive, {})
        for path, stamp in kept.items():
            self.assertEqual(stamps.get(path), stamp, f"turn {self.turn}: {path} is no more in the archive as it was")
        found = {path: read_below(self.archive / "laptop", path) for path in stamps.keys() - kept.keys()}
        for path in found:
            self.assertRegex(path, re.compile(rb"^\d{8}T\d{6}\.\d{3}Z~[a-z]+(~\d+)?/."))
        return found

    def assert_archived(self, *expected):
        """Checks that these contents were archived, and no others."""
        self.assertCountEqual(brief(dict(enumerate(expected))).values(), brief(self.archived_contents()).values())

    def assert_unchanged(self):
        self.assertEqual(brief(contents(self.mirror)), brief(self.before))

    def assert_no_agents(self):
        """Checks that a run that ended left no process on the spoke."""
        harness.wait_for(lambda: not harness.descendants(self.sshd.process.pid), what="the agent's end")

    def assert_sentence(self, text):
        """Checks P8: a sentence for people, on one line."""
        self.assertTrue(text)
        for odd in ("\n", ".cc:", "kj::", "std::", "terminate", "capnp/"):
            self.assertNotIn(odd, text)
