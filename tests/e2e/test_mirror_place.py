"""The mirror is replaced during a run, unmounted, or read-only. Nothing outside is touched, and nothing counts as
gone that was only hidden."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import harness
import mounts
from faults import MIB, STAGING, FaultCase, another_filesystem, contents, lines, stop
from harness import files_below


class ReplacedDuringARun(FaultCase):
    """The hub is stopped during a run, its mirror is replaced, and the hub continues."""

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
        harness.wait_for(lambda: len(files_below(self.mirror)) > len(self.before) + 1,
                         what="the first new files, where they are staged or at their places")
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
        """Checks that the run continued in the directory that it had opened."""
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
        report = self.sync_one("--delete", code=1)
        self.assertEqual(report["failure"]["id"], "mirror-unusable")
        self.assertIn(f"{self.mirror} ", report["error"])
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
        # The path in the config is the user's choice, so a symlink there is followed.
        self.sync("--delete")
        self.assert_mirrored(mirror=elsewhere)

    def test_a_directory_in_it_by_a_symlink(self):
        """Inside the mirror, no symlink is followed, whether files are written, moved or deleted."""
        elsewhere = self.dir / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "large.jsonl").write_bytes(b"mine")
        (elsewhere / "patched.jsonl").write_bytes(b"mine too")

        def replace():
            (self.mirror / "p").rename(self.mirror / "q")
            (self.mirror / "p").symlink_to(elsewhere)

        # Whether the run still uses the open directory, or finds the symlink, depends on how far it
        # is.
        self.run_with(replace)
        self.assertEqual(contents(elsewhere), {b"large.jsonl": b"mine", b"patched.jsonl": b"mine too"})
        self.assert_nothing_lost()
        report = self.sync_one("--delete", code=1)
        self.assertEqual(report["failure"]["id"], "files-failed")
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
        """Somebody writes to files of the mirror during the run: every edit is archived, or still in the mirror."""
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


class EditedDuringARun(FaultCase):
    """Somebody edits a file of the mirror just while a run changes it: the edit is in the mirror or in the archive,
    and after the next run, the mirror equals the spoke."""

    EDITED = b"edited meanwhile, by somebody who means it\n"
    NAME = "p/edited.jsonl"
    STEPS = ("linkat", "renameat", "renameat2", "unlinkat", "syncfs", "fsync", "utimensat")

    def setUp(self):
        super().setUp()
        self.write(self.NAME, lines(self.rng, 10_000))
        self.write("p/stays.jsonl", lines(self.rng, 1000))
        self.settle()
        self.edited = self.mirror / self.NAME

    # The edits.

    def append(self):
        with open(self.edited, "ab") as out:
            out.write(self.EDITED)

    def write_over_the_end(self):
        """The file keeps its size."""
        with open(self.edited, "r+b") as out:
            out.seek(-len(self.EDITED), os.SEEK_END)
            out.write(self.EDITED)

    def save(self):
        """By rename, as editors do."""
        new = self.edited.parent / "saved.tmp"
        new.write_bytes(self.EDITED)
        new.rename(self.edited)

    def everything(self):
        return [*contents(self.mirror).values(), *self.archived_contents().values()]

    def assert_kept(self, *arguments):
        """Checks that the edits exist somewhere, before and after the next run, which succeeds."""
        self.assertTrue(any(self.EDITED in content for content in self.everything()), "what was saved is nowhere")
        self.sync_one(*arguments)
        self.assert_mirrored()
        self.assertTrue(any(self.EDITED in content for content in self.everything()), "the next run lost what was saved")
        # Edits that somebody overwrote themselves do not count.
        self.held.update(self.everything())
        self.begin_anew()

    # During a tail.

    def test_during_a_tail(self):
        path = self.source / self.NAME
        for edit in (self.append, self.write_over_the_end, self.save):
            with self.subTest(edit.__name__):
                self.begin_anew()
                with open(path, "ab") as out:
                    for _ in range(12_000):
                        out.write(b'{"said":"%s"}\n' % self.rng.randbytes(500).hex().encode())
                self.age(path)
                size = self.edited.stat().st_size
                staging = self.mirror / os.fsdecode(STAGING)
                run = self.start_run("--bwlimit", "4000")

                def part_came():
                    self.assertIsNone(run.poll())
                    staged = [p.stat().st_size for p in staging.iterdir()] if staging.exists() else []
                    return max(staged + [self.edited.stat().st_size - size]) > 4 * MIB

                harness.wait_for(part_came, what="a part of the tail")
                edit()
                out, _ = run.communicate(timeout=60)
                self.assertIn(run.returncode, (0, 1), out)
                ours, theirs = self.edited.stat(), path.stat()
                if (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns):
                    self.assertTrue(self.edited.read_bytes() == path.read_bytes(), "another content was given the spoke's time")
                self.assert_kept()

    # At each step: strace delays a call, and the edit is made then.

    def traced(self, options, *arguments):
        return ["strace", "-f", "-qq", "-y", "-o", self.dir / "strace", *options, harness.HUB, "sync", "run", "-c",
                self.config, *arguments]

    def each_step(self, change, edits, *arguments):
        """change() changes the spoke; edits are made while a call on the mirror or the archive waits."""
        # A source without a host: the agent is the hub's child.
        self.write_config([self.spoke(source=str(self.source))])
        change()
        done = subprocess.run(self.traced(["-e", "trace=" + ",".join(self.STEPS)], *arguments), capture_output=True,
                              text=True, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout)
        steps = []
        for call in self.STEPS:
            made = re.findall(rf"^\d+ +({call}\(.*)", (self.dir / "strace").read_text(errors="replace"), re.M)
            steps += [(call, n) for n, text in enumerate(made, 1) if any(f"{d}" in text for d in (self.mirror, self.archive))]
        met = 0
        for call, number in steps:
            for edit in edits:
                with self.subTest(f"{call} {number}", edit=edit.__name__):
                    # Without anything left from the last one.
                    self.write(self.NAME, lines(self.rng, 10_000))
                    self.sync_one(*arguments)
                    self.begin_anew()
                    change()
                    met += self.edit_at(call, number, edit, *arguments)
        self.assertGreater(met, 0, steps)

    def edit_at(self, call, number, edit, *arguments):
        """Whether the file existed, to be edited, when the call was made."""
        (self.dir / "strace").unlink(missing_ok=True)
        run = subprocess.Popen(self.traced(["-e", "trace=" + call, "-e", f"inject={call}:delay_enter=400000:when={number}"],
                                           *arguments),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment())

        def waits():
            with contextlib.suppress(OSError):
                last = (self.dir / "strace").read_text(errors="replace").split("\n")[-1]
                if re.match(rf"\d+ +{call}\(", last):
                    time.sleep(0.02)
                    return (self.dir / "strace").read_text(errors="replace").endswith(last)
            return run.poll() is not None

        harness.wait_for(waits, what=call)
        there = run.poll() is None and self.edited.exists()
        if there:
            edit()
        out, _ = run.communicate(timeout=60)
        self.assertIn(run.returncode, (0, 1), out)
        if there:
            self.assert_kept(*arguments)
        return there

    def rewrite(self):
        self.write(self.NAME, lines(self.rng, 700))

    def grow(self):
        with open(self.source / self.NAME, "ab") as out:
            out.write(lines(self.rng, 700))
        self.age(self.source / self.NAME)

    def remove(self):
        (self.source / self.NAME).unlink()

    def test_at_each_step_of_a_rewrite(self):
        self.each_step(self.rewrite, (self.save, self.append))

    def test_at_each_step_of_a_delete(self):
        self.each_step(self.remove, (self.save, self.append), "--delete")

    def test_at_each_step_of_an_append(self):
        self.each_step(self.grow, (self.save,))

    def test_at_each_step_with_an_archive_elsewhere(self):
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.write_config([self.spoke()])
            self.each_step(self.rewrite, (self.save,))
            self.each_step(self.remove, (self.save,), "--delete")


class Mounts(mounts.PrivateMounts, FaultCase):
    def setUp(self):
        super().setUp()
        self.disk = mounts.Tmpfs(self.mirror, 32 * MIB)
        self.make()

    def tearDown(self):
        self.disk.unmount()
        super().tearDown()

    def test_unmounted(self):
        """The mirror is suddenly empty. Files are fetched again, into the directory beneath; nothing is deleted
        or archived, and once it is mounted again, everything is as it was."""
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
        # Mounted again, with its old content.
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
        """The spoke's directory is empty because its disk is not mounted: nothing counts as gone."""
        shutil.rmtree(self.source)
        self.source.mkdir()
        for arguments in ((), ("--delete",), ("--delete", "--max-delete", "1000")):
            with self.subTest(arguments):
                report = self.sync_one(*arguments, code=1 if arguments else 0)
                if arguments:
                    self.assertEqual(report["failure"]["id"], "deletion-refused")
                self.assert_unchanged()

    def test_read_only(self):
        self.disk.read_only()
        self.assertEqual(self.counts(), {})  # nothing to do, so no failure
        self.change()
        for arguments in ((), ("--delete", "--max-delete", "1000")):
            report = self.sync_one(*arguments, code=1)
            self.assert_sentence(report["error"])
            self.assertEqual(report["failure"]["id"], "read-only-filesystem")
            self.assertIn(str(self.mirror), report["error"])
            self.assert_unchanged()
        self.disk.read_only(False)
        self.settle()

    def test_read_only_with_something_to_delete(self):
        (self.source / "p/large.jsonl").unlink()
        self.disk.read_only()
        report = self.sync_one("--delete", code=1)
        self.assertEqual(report["failure"]["id"], "read-only-filesystem")
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
            self.assertEqual(report["failure"]["id"], "read-only-filesystem")
            self.assertIn(str(self.archive), report["error"])
            now = contents(self.mirror)
            self.assertIn(b"p/new.jsonl", now)
            for path, content in self.before.items():
                self.assertTrue(now.get(path) == content, path)
        finally:
            archive.unmount()
        self.settle()

    def test_directories_that_cannot_be_written(self):
        """A read-only bind mount, which stops root too, over one directory of the mirror."""
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
        """A directory of the mirror is another filesystem: staged files cannot be published there, which is
        reported; everything else is synced."""
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

    # Modes, for a user other than root.

    def pi_brain(self, *arguments, **options):
        """Root obeys modes once it drops the capability to override them."""
        if os.geteuid() != 0:
            return super().pi_brain(*arguments, **options)
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", harness.HUB, *arguments,
                   "-c", self.config]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=60)

    def change_a_little(self):
        self.change_patched(self.source / "p/patched.jsonl")
        (self.source / "p/large.jsonl").unlink()
        self.write("p/new.jsonl", lines(self.rng, 1000))

    def test_a_directory_that_cannot_be_read(self):
        self.change_a_little()
        (self.mirror / "p").chmod(0)
        try:
            report = self.sync_one("--delete", code=1)
        finally:
            (self.mirror / "p").chmod(0o700)
        self.assert_sentence(report["error"])
        self.assertIn("ls -ld", report["error"])
        self.assertIn(str(self.mirror / "p"), report["error"])
        self.settle()

    def test_a_directory_that_cannot_be_written(self):
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

    def test_a_mirror_that_cannot_be_written(self):
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

    def test_files_that_cannot_be_written(self):
        """Somebody protected the mirror's files, so a grown one cannot be appended to, which is reported."""
        path = self.mirror / "p/large.jsonl"
        with open(self.source / "p/large.jsonl", "ab") as out:
            out.write(lines(self.rng, 1000))
        path.chmod(0o400)
        report = self.sync_one(code=1)
        path.chmod(0o600)
        self.assertEqual(report["failure"]["id"], "files-failed")
        self.assertRegex(report["error"], "p/large.jsonl: .*: Permission denied")
        self.assert_unchanged()
        self.settle()


if __name__ == "__main__":
    unittest.main(verbosity=2)
