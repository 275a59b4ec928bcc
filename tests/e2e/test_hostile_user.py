"""A hostile local user swaps names on the spoke, in the mirror and in the archive with symlinks and FIFOs
while the real programs run. Each run succeeds or reports what failed; nothing outside is read or
written, and no file ever has another file's content."""
import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
import unittest

from harness import HubCase, files_below, read_below

FLIPPER = os.environ["PIBRAIN_TEST_FLIPPER"]
MARKER = b"CANARY-77b0ae"
RUNS = 12
# A tail longer than the hub buffers, and the part before it.
SHORT, LONG = 300_000, 6_500_000
FILES = ("a/b/one.jsonl", "a/b/two.jsonl", "a/three.jsonl", "c/four.jsonl")


class Watch:
    """Notices, by inotify, whether anything beneath a directory was opened, whatever times the filesystem keeps."""
    ALL_EVENTS = 0xfff

    def __init__(self, root):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for directory, _, _ in os.walk(root):
            if self.libc.inotify_add_watch(self.fd, os.fsencode(directory), self.ALL_EVENTS) < 0:
                raise OSError(ctypes.get_errno(), directory)
        self.seen()  # discards the events of this walk

    def seen(self):
        """The events since the last call."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                found += os.read(self.fd, 1 << 16)
        return found

    def close(self):
        os.close(self.fd)


def content(number, size=3000):
    """The content of a session's n-th version, which identifies it."""
    return b"".join(b'{"version":%d,"line":%d}\n' % (number, line) for line in range(size // 25))


@functools.cache
def large(number, size):
    return content(number, size)


class HostileUser(HubCase):
    def setUp(self):
        super().setUp()
        self.canary = self.dir / "canary"
        self.flip = self.dir / "flip"
        for name in FILES + ("b/one.jsonl", "b/canary-only.jsonl", "one.jsonl", "laptop/x/a/b/one.jsonl"):
            path = self.canary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(MARKER + b"\n")
        self.untouched = self.look()
        self.watch = Watch(self.canary)
        self.addCleanup(self.watch.close)

    def look(self):
        found = {}
        for directory, _, files in os.walk(self.canary):
            for path in [directory] + [os.path.join(directory, name) for name in files]:
                st = os.lstat(path)
                found[path] = (st.st_ino, st.st_mode, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
        return found

    def assert_canaries_untouched(self):
        self.assertEqual(self.watch.seen(), b"")
        self.assertEqual(self.look(), self.untouched)
        # Checks that an open would have been seen.
        self.watch.seen()
        (self.canary / "one.jsonl").read_bytes()
        self.assertIn(b"one.jsonl", self.watch.seen())

    def make_source(self, number):
        shutil.rmtree(self.source, ignore_errors=True)
        for name in FILES:
            self.write(name, content(number))

    def lay_out(self, kinds):
        """The entries that names are swapped with: symlinks to the canaries, and FIFOs."""
        shutil.rmtree(self.flip, ignore_errors=True)
        self.flip.mkdir()
        for i, (_, to) in enumerate(kinds):
            if to is None:
                os.mkfifo(self.flip / str(i))
            else:
                (self.flip / str(i)).symlink_to(to)

    @contextlib.contextmanager
    def flipping(self, kinds):
        self.lay_out(kinds)
        pairs = [part for i, (path, _) in enumerate(kinds)
                 for part in (os.path.relpath(path, self.dir), f"flip/{i}")]
        flipper = subprocess.Popen([FLIPPER, self.dir, *pairs], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            yield
        finally:
            out, _ = flipper.communicate(timeout=60)
            self.swaps = int(out)

    def outcome(self, *args):
        """Runs, and checks what must hold after each run, whatever its result."""
        done = self.pi_brain("sync", "run", "-v", *args, timeout=60)
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        said = done.stdout + done.stderr
        self.assertNotIn(MARKER.decode(), said)
        self.assertNotIn("canary-only", said)
        return done.returncode

    def assert_all_is_ours(self):
        self.assert_canaries_untouched()
        for root in (self.mirror, self.archive, self.flip):
            for path in files_below(root) if root.exists() else ():
                text = read_below(root, path)
                self.assertNotIn(MARKER, text, path)
                if path.endswith(b".jsonl") and text:
                    # Whole, and of one version.
                    number = int(text.split(b":")[1].split(b",")[0])
                    whole = (large(number, SHORT), large(number, LONG)) if b"large" in path else (content(number),)
                    self.assertTrue(text in whole, (root, path, len(text)))

    def test_on_the_spoke(self):
        codes = []
        for run in range(RUNS):
            self.make_source(run)
            with self.flipping([(self.source / "a", self.canary / "a"), (self.source / "a/b", self.canary / "a/b"),
                                (self.source / "a/b/one.jsonl", self.canary / "one.jsonl"),
                                (self.source / "a/b/two.jsonl", None), (self.source / "c", self.canary / "c")]):
                codes.append(self.outcome(*["--delete", "--max-delete", "100"] * (run % 2)))
            self.assertGreater(self.swaps, 10)
            self.assert_all_is_ours()
        self.make_source(RUNS)
        self.assertEqual(self.outcome(), 0)
        self.assert_mirrored_besides()

    def assert_mirrored_besides(self):
        for name in FILES:
            self.assertEqual((self.mirror / name).read_bytes(), (self.source / name).read_bytes())

    def test_in_the_mirror_and_the_archive(self):
        staging = self.mirror / ".pi-brain-staging"
        for run in range(RUNS):
            for made in (self.mirror, self.archive):
                shutil.rmtree(made, ignore_errors=True)
            self.make_source(1)
            self.assertEqual(self.outcome(), 0)
            self.assert_mirrored()
            staging.mkdir(mode=0o700)
            (self.archive / "laptop").mkdir(parents=True)
            # Rewritten, moved, deleted.
            self.make_source(2)
            if run % 2:
                (self.source / "c").rename(self.source / "moved")
                (self.source / "a/three.jsonl").unlink()
            with self.flipping([(self.mirror / "a", self.canary / "a"), (self.mirror / "a/b", self.canary / "a/b"),
                                (self.mirror / "a/b/one.jsonl", self.canary / "one.jsonl"),
                                (self.mirror / "a/b/two.jsonl", None), (self.mirror / "c", self.canary / "c"),
                                (staging, self.canary / "b"), (self.archive / "laptop", self.canary / "laptop")]):
                self.outcome(*["--delete", "--max-delete", "100"] * (run % 2))
                self.outcome()
            self.assertGreater(self.swaps, 10)
            self.assert_all_is_ours()

    def test_during_large_tails(self):
        """On the spoke, then in the mirror: a run leaves the old file, or the whole new one."""
        names = ("a/b/large.jsonl", "c/large.jsonl")
        staging = self.mirror / ".pi-brain-staging"
        grown = 0
        for run in range(RUNS):
            for made in (self.mirror, self.archive):
                shutil.rmtree(made, ignore_errors=True)
            self.make_source(run)
            for name in names:
                self.write(name, large(run, SHORT))
            self.assertEqual(self.outcome(), 0)
            self.assert_mirrored()
            staging.mkdir(mode=0o700)
            times = {name: self.write(name, large(run, LONG)).stat().st_mtime_ns for name in names}
            where = self.source if run % 2 else self.mirror
            kinds = [(where / "a", self.canary / "a"), (where / "a/b/large.jsonl", self.canary / "one.jsonl"),
                     (where / "c/large.jsonl", None)]
            if where == self.mirror:
                kinds.append((staging, self.canary / "b"))
            with self.flipping(kinds):
                self.outcome()
                self.outcome()
            self.assertGreater(self.swaps, 10)
            self.assert_all_is_ours()
            for name in names:
                mirrored = self.mirror / name
                if mirrored.is_file() and not mirrored.is_symlink():
                    text = mirrored.read_bytes()
                    self.assertTrue(text in (large(run, SHORT), large(run, LONG)), (name, len(text)))
                    self.assertTrue(text == large(run, LONG) or mirrored.stat().st_mtime_ns != times[name], name)
                    grown += text == large(run, LONG)
        self.assertGreater(grown, 0)

    def test_symlinks_in_the_mirror_are_reported(self):
        """Such an attack, frozen at one instant: the message names the symlink."""
        self.make_source(1)
        self.assertEqual(self.outcome(), 0)
        shutil.rmtree(self.mirror / "a")
        (self.mirror / "a").symlink_to(self.canary / "a")
        report = self.sync_one(code=1)
        self.assertEqual(report["failure"]["id"], "files-failed")
        self.assertIn("'a'", report["error"])
        (self.mirror / "a").unlink()
        self.assertEqual(self.outcome(), 0)
        self.assert_mirrored()
        self.assert_canaries_untouched()
        shutil.rmtree(self.archive, ignore_errors=True)
        self.archive.mkdir()
        (self.archive / "laptop").symlink_to(self.canary)
        self.make_source(2)
        self.sync_one(code=1)
        (self.archive / "laptop").unlink()
        self.assertEqual(self.outcome(), 0)
        self.assert_mirrored()
        self.assert_canaries_untouched()


if __name__ == "__main__":
    unittest.main(verbosity=2)
