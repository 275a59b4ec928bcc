"""The mirror's place changes: replaced during a run, unmounted, read-only. Nothing outside is touched and
nothing is thought gone that was only out of sight."""
import os
import re
import shutil
import signal
import subprocess
import unittest

import harness
import mounts
from faults import MIB, FaultCase, contents, lines, stop


class ReplacedDuringARun(FaultCase):
    """The hub stops in the middle, something is put in the place of its mirror, it goes on."""

    def setUp(self):
        super().setUp()
        self.make()
        self.away = self.dir / "synced" / "away"
        for number in range(8):
            self.write(f"n-{number}/slow.jsonl", lines(self.rng, 400_000))
        (self.source / "p/large.jsonl").unlink()
        self.change_patched(self.source / "p/patched.jsonl")

    def run_with(self, replace):
        run = self.start_run("--bwlimit", "100", "--delete", "--json")
        harness.wait_for(lambda: len(contents(self.mirror)) > len(self.before) + 1, what="the first new files")
        stop(run)
        try:
            replace()
        finally:
            os.kill(run.pid, signal.SIGCONT)
        out = run.communicate(timeout=60)[0]
        self.assertIn(run.returncode, (0, 1), out)
        self.assertNotIn(".cc:", out)
        return run.returncode, out

    def is_in(self, place):
        """The run went on in the directory that it had opened."""
        self.assert_mirrored(mirror=place)
        self.mirror, at = place, self.mirror
        self.assert_promised()
        self.mirror = at

    def test_by_nothing(self):
        code, out = self.run_with(lambda: self.mirror.rename(self.away))
        self.assertEqual(code, 0, out)
        self.is_in(self.away)
        self.assertFalse(self.mirror.exists())
        self.sync("--delete")
        self.assert_mirrored()

    def test_by_an_empty_directory(self):
        def replace():
            self.mirror.rename(self.away)
            self.mirror.mkdir(0o700)

        code, out = self.run_with(replace)
        self.assertEqual(code, 0, out)
        self.is_in(self.away)
        self.assertEqual(list(self.mirror.iterdir()), [])
        self.sync("--delete")
        self.assert_mirrored()

    def test_by_a_file(self):
        def replace():
            self.mirror.rename(self.away)
            self.mirror.write_bytes(b"mine")

        code, out = self.run_with(replace)
        self.assertEqual(code, 0, out)
        self.is_in(self.away)
        error = self.sync_one("--delete", code=1)["error"]
        self.assertIn("is not a directory", error)
        self.assertIn(str(self.mirror), error)
        self.assertEqual(self.mirror.read_bytes(), b"mine")

    def test_by_a_symlink(self):
        elsewhere = self.dir / "elsewhere"
        elsewhere.mkdir(0o700)

        def replace():
            self.mirror.rename(self.away)
            self.mirror.symlink_to(elsewhere)

        code, out = self.run_with(replace)
        self.assertEqual(code, 0, out)
        self.is_in(self.away)
        self.assertEqual(list(elsewhere.iterdir()), [])
        # The config's path is the user's: a symlink there is obeyed.
        self.sync("--delete")
        self.assert_mirrored(mirror=elsewhere)

    def test_a_directory_in_it_by_a_symlink(self):
        """There, nothing is followed: not by what is written, moved or deleted."""
        elsewhere = self.dir / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "large.jsonl").write_bytes(b"mine")
        (elsewhere / "patched.jsonl").write_bytes(b"mine too")

        def replace():
            (self.mirror / "p").rename(self.mirror / "q")
            (self.mirror / "p").symlink_to(elsewhere)

        # Whether the run still uses the directory, as it was open, or meets the symlink, depends on
        # how far it is.
        self.run_with(replace)
        self.assertEqual(contents(elsewhere), {b"large.jsonl": b"mine", b"patched.jsonl": b"mine too"})
        self.assert_nothing_lost()
        error = self.sync_one("--delete", code=1)["error"]
        self.assertIn("symlink in the mirror", error)
        self.assertEqual(contents(elsewhere), {b"large.jsonl": b"mine", b"patched.jsonl": b"mine too"})
        (self.mirror / "p").unlink()
        self.settle()

    def test_removed(self):
        code, out = self.run_with(lambda: shutil.rmtree(self.mirror))
        self.assertEqual(code, 1, out)
        self.assertIn("No such file or directory", out)
        self.sync("--delete")
        self.assert_mirrored()

    def test_files_edited_in_the_middle(self):
        """Somebody writes to files of the mirror while the run goes on: it is archived or still there."""
        def replace():
            (self.mirror / "p/patched.jsonl").write_bytes(b"edited meanwhile\n")
            (self.mirror / "p/large.jsonl").write_bytes(b"edited as well\n")

        self.run_with(replace)
        everything = set(contents(self.mirror).values()) | set(self.archived_contents().values())
        self.assertIn(b"edited as well\n", everything)
        self.assertIn(b"edited meanwhile\n", everything)
        self.held |= {b"edited meanwhile\n", b"edited as well\n"}
        self.sync_one("--delete")
        self.assert_mirrored()
        everything = set(self.archived_contents().values())
        self.assertIn(b"edited as well\n", everything)
        self.assertIn(b"edited meanwhile\n", everything)


class Mounts(FaultCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        mounts.use_private_mounts()

    def setUp(self):
        super().setUp()
        self.disk = mounts.Tmpfs(self.mirror, 32 * MIB)
        self.make()

    def tearDown(self):
        self.disk.unmount()
        super().tearDown()

    def test_unmounted(self):
        """The mirror is suddenly empty. Files come again, into the directory beneath; nothing is
        deleted or archived, and when it is mounted again all is as it was."""
        (self.source / "p/large.jsonl").unlink()
        self.assertEqual(self.counts(), {"kept": 1})
        kept = self.snapshot()
        self.disk.unmount()
        self.assertEqual(list(self.mirror.iterdir()), [])
        for arguments in ((), ("--delete",)):
            with self.subTest(arguments):
                report = self.sync_one(*arguments)
                self.assertEqual(report["counts"]["deleted"], 0)
                self.assertEqual(report["counts"]["new"], 0 if arguments else report["counts"]["files"])
                self.assertFalse(self.archive.exists())
                self.assert_mirrored()
        # Mounted again, with what it held.
        disk = self.disk = mounts.Tmpfs(self.mirror, 32 * MIB)
        for path, (content, mtime) in kept.items():
            target = disk.path / os.fsdecode(path)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o600)
            os.utime(target, ns=(mtime, mtime))
        self.assertEqual(self.counts(), {"kept": 1})
        self.assertEqual(self.snapshot(), kept)

    def test_unmounted_and_the_mount_point_missing(self):
        self.disk.unmount()
        self.mirror.rmdir()
        self.sync("--delete")
        self.assert_mirrored()

    def test_the_source_unmounted(self):
        """The spoke's directory is empty because its disk is not there: nothing is gone."""
        shutil.rmtree(self.source)
        self.source.mkdir()
        for arguments in ((), ("--delete",), ("--delete", "--max-delete", "1000")):
            with self.subTest(arguments):
                report = self.sync_one(*arguments, code=1 if arguments else 0)
                if arguments:
                    self.assertIn("unmounted", report["error"])
                self.assert_unchanged()

    def test_read_only(self):
        self.disk.read_only()
        self.assertEqual(self.counts(), {})  # nothing to do: nothing wrong
        self.change()
        for arguments in ((), ("--delete", "--max-delete", "1000")):
            report = self.sync_one(*arguments, code=1)
            self.assert_sentence(report["error"])
            self.assertIn("Read-only file system", report["error"])
            self.assertIn(str(self.mirror), report["error"])
            self.assert_unchanged()
        self.disk.read_only(False)
        self.settle()

    def test_read_only_with_something_to_delete(self):
        (self.source / "p/large.jsonl").unlink()
        self.disk.read_only()
        report = self.sync_one("--delete", code=1)
        self.assertIn("Read-only file system", report["error"])
        self.assert_unchanged()
        self.disk.read_only(False)
        self.settle()

    def test_a_read_only_archive(self):
        archive = mounts.Tmpfs(self.archive, 8 * MIB)
        try:
            archive.read_only()
            self.change_patched(self.source / "p/patched.jsonl")
            (self.source / "p/large.jsonl").unlink()
            self.write("p/new.jsonl", lines(self.rng, 1000))
            report = self.sync_one("--delete", code=1)
            self.assert_sentence(report["error"])
            self.assertIn("Read-only file system", report["error"])
            self.assertIn(str(self.archive), report["error"])
            now = contents(self.mirror)
            self.assertIn(b"p/new.jsonl", now)
            for path, content in self.before.items():
                self.assertTrue(now.get(path) == content, path)
        finally:
            archive.unmount()
        self.settle()

    def test_directories_that_may_not_be_written(self):
        """By a read-only bind mount, which stops root too, over one directory of the mirror."""
        mounts.run("mount", "--bind", self.mirror / "p", self.mirror / "p")
        mounts.run("mount", "-o", "remount,bind,ro", self.mirror / "p")
        self.change_patched(self.source / "p/patched.jsonl")
        (self.source / "p/large.jsonl").unlink()
        self.write("p/new.jsonl", lines(self.rng, 1000))
        self.write("elsewhere/new.jsonl", lines(self.rng, 1000))
        try:
            report = self.sync_one("--delete", code=1)
            self.assert_sentence(report["error"])
            self.assertRegex(report["error"], "Read-only file system|Invalid cross-device link")
            now = contents(self.mirror)
            self.assertIn(b"elsewhere/new.jsonl", now)
            for path, content in self.before.items():
                self.assertTrue(now.get(path) == content, path)
        finally:
            mounts.run("umount", "-l", self.mirror / "p")
        self.settle()

    def test_a_mount_in_the_mirror(self):
        """A directory of the mirror is another filesystem: what is staged cannot be published there,
        which is said; all else is synced."""
        below = mounts.Tmpfs(self.mirror / "p", 8 * MIB)
        try:
            self.write("elsewhere/new.jsonl", lines(self.rng, 1000))
            report = self.sync_one("--delete", code=1)
            self.assert_sentence(report["error"])
            self.assertIn("Invalid cross-device link", report["error"])
            self.assertIn(b"elsewhere/new.jsonl", contents(self.mirror))
        finally:
            below.unmount()
        self.settle()

    # Modes, for a user who is not root.

    def pi_brain(self, *arguments, **options):
        """Root obeys modes if it gives up to override them."""
        if os.geteuid() != 0:
            return super().pi_brain(*arguments, **options)
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", harness.HUB, *arguments,
                   "-c", self.config]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=60)

    def change_a_little(self):
        self.change_patched(self.source / "p/patched.jsonl")
        (self.source / "p/large.jsonl").unlink()
        self.write("p/new.jsonl", lines(self.rng, 1000))

    def test_a_directory_that_may_not_be_read(self):
        self.change_a_little()
        (self.mirror / "p").chmod(0)
        try:
            report = self.sync_one("--delete", code=1)
        finally:
            (self.mirror / "p").chmod(0o700)
        self.assert_sentence(report["error"])
        self.assertIn("ls -ld", report["error"])
        self.assertIn(str(self.mirror / "p"), report["error"])
        self.assert_unchanged()
        self.settle()

    def test_a_directory_that_may_not_be_written(self):
        self.change_a_little()
        (self.mirror / "p").chmod(0o500)
        try:
            report = self.sync_one("--delete", code=1)
        finally:
            (self.mirror / "p").chmod(0o700)
        self.assert_sentence(report["error"])
        self.assertIn("Permission denied", report["error"])
        self.assert_promised()
        self.assert_unchanged()
        self.settle()

    def test_a_mirror_that_may_not_be_written(self):
        self.change_a_little()
        for mode in (0o500, 0):
            self.mirror.chmod(mode)
            try:
                report = self.sync_one(code=1)
            finally:
                self.mirror.chmod(0o700)
            self.assert_sentence(report["error"])
            self.assertIn("Permission denied", report["error"])
            self.assertIn(str(self.mirror), report["error"])
            self.assert_unchanged()
        self.settle()

    def test_files_that_may_not_be_written(self):
        """Somebody protected the mirror's files: a grown one cannot be appended to. It is said."""
        path = self.mirror / "p/large.jsonl"
        with open(self.source / "p/large.jsonl", "ab") as out:
            out.write(lines(self.rng, 1000))
        path.chmod(0o400)
        report = self.sync_one(code=1)
        path.chmod(0o600)
        self.assertIn("p/large.jsonl: cannot open 'p/large.jsonl': Permission denied", report["error"])
        self.assert_unchanged()
        self.settle()


if __name__ == "__main__":
    unittest.main(verbosity=2)
