"""The database in every bad state: the history is lost, with a warning, and nothing else."""
import contextlib
import json
import os
import shutil
import sqlite3
import time
import unittest

import harness
import mounts
from faults import FaultCase, lines


class History(mounts.PrivateMounts, FaultCase):
    def setUp(self):
        super().setUp()
        self.database = self.dir / "data" / "sync.db"
        self.make()
        # Kept files, which are gone on the spoke: the store remembers them.
        for name in ("large", "patched"):
            (self.source / f"p/{name}.jsonl").unlink()
        self.kept = ["p/large.jsonl", "p/patched.jsonl"]
        self.assertEqual(self.counts(), {"kept": 2})
        self.note()

    def sync_said(self, *arguments):
        """Runs, checks that the mirror is right, and returns the warnings."""
        self.write(f"p/new-{time.monotonic_ns()}.jsonl", lines(self.rng, 1000))
        grown = self.source / "p/grown.jsonl"
        grown.touch()
        grown.write_bytes(grown.read_bytes() + lines(self.rng, 1000))
        self.age(grown)
        done = self.pi_brain("sync", "run", "--json", *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)["spokes"][0]
        self.assertEqual(report["outcome"], "ok")
        self.assert_promised()
        said = " ".join([done.stderr, *report["warnings"]])
        self.assertNotIn(".cc:", said)
        return said, report

    def goes_on(self, *words):
        """Without --delete, the files that are gone stay, however little is known of them; with it, and the
        database still bad, they are archived."""
        said, report = self.sync_said()
        for word in words:
            self.assertIn(word, said)
        self.assert_mirrored(besides=self.kept)
        self.assertEqual(report["counts"]["kept"], 2)
        status = self.pi_brain("sync", "status")
        self.assertEqual(status.returncode, 0, status.stderr)

    def deletes(self):
        gone = [self.before[os.fsencode(name)] for name in self.kept]
        said, report = self.sync_said("--delete")
        self.assertEqual(report["counts"]["deleted"], 2)
        self.assert_mirrored()
        for content in gone:
            self.assertIn(content, self.archived_contents().values())
        return said

    def heals(self):
        """The database is intact: the next run records again."""
        self.assertEqual(self.sync_said()[0], "")
        self.assertIn("✓ laptop", self.pi_brain("sync", "status").stdout)

    def test_locked_by_another_program(self):
        with contextlib.closing(sqlite3.connect(self.database)) as other:
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            self.goes_on("locked", "sync.db")
            self.assertLess(time.monotonic() - began, 60)
            other.rollback()
        self.heals()
        self.deletes()

    def test_locked_for_a_moment(self):
        """Another program reads it, and the run waits for that."""
        run = None
        with contextlib.closing(sqlite3.connect(self.database)) as other:
            other.execute("BEGIN EXCLUSIVE")
            run = self.start_run("--json")
            time.sleep(1)
            other.rollback()
        out = run.communicate(timeout=60)[0]
        self.assertEqual(run.returncode, 0, out)
        self.assertNotIn("locked", out)

    def begins_anew(self, damaged, *arguments):
        """Checks for one warning, that the damaged database is put aside, and that later runs are recorded."""
        self.database.write_bytes(damaged)
        if arguments:
            self.pi_brain(*arguments)
        else:
            self.goes_on("sync.db was damaged", "sync.db.broken")
        self.assertEqual((self.database.parent / "sync.db.broken").read_bytes(), damaged)
        self.heals()
        self.assertEqual(len(self.pi_brain("sync", "history").stdout.splitlines()), 1 if arguments else 2)

    def test_garbage(self):
        self.begins_anew(os.urandom(20_000))
        self.begins_anew(bytes(20_000))
        self.deletes()

    def test_damaged_pages(self):
        """A valid header, and garbage after it."""
        content = bytearray(self.database.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        self.begins_anew(bytes(content))
        self.deletes()

    def test_truncated(self):
        content = self.database.read_bytes()
        for size in (50, 4096, 6000, len(content) - 4096):
            with self.subTest(size):
                self.begins_anew(content[:size])
        self.deletes()

    def test_readers_find_the_damage(self):
        for command in (("sync", "status"), ("sync", "history"), ("sync", "doctor"), ("spoke", "list")):
            with self.subTest(command):
                self.begins_anew(os.urandom(20_000), *command)
        done = self.pi_brain("sync", "run", "--dry-run")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_no_space_to_put_it_aside(self):
        """The damaged database is not overwritten before it is put aside."""
        disk = mounts.Tmpfs(self.database.parent, 1 << 20)
        try:
            damaged = os.urandom(700 << 10)
            self.database.write_bytes(damaged)
            self.goes_on("Move it away", "will not be recorded")
            self.assertEqual(self.database.read_bytes(), damaged)
        finally:
            disk.unmount()

    def test_empty_and_missing(self):
        self.database.write_bytes(b"")
        self.goes_on()
        self.heals()
        self.database.unlink()
        self.goes_on()
        shutil.rmtree(self.database.parent)
        self.goes_on()
        self.heals()
        self.deletes()

    def test_read_only(self):
        """On a read-only filesystem, since modes do not stop root."""
        content = self.database.read_bytes()
        disk = mounts.Tmpfs(self.database.parent, 4 << 20)
        try:
            self.database.write_bytes(content)
            disk.read_only()
            self.goes_on(f"filesystem of {self.database} is read-only; 'findmnt -T", "sync.db")
            self.deletes()
            disk.read_only(False)
            self.heals()
        finally:
            disk.unmount()

    def test_a_directory_that_cannot_be_written(self):
        disk = mounts.Tmpfs(self.dir / "read-only", 1 << 20)
        try:
            disk.read_only()
            for place, word in ((disk.path, f"filesystem of {disk.path} is read-only"), (disk.path / "below", "Read-only file system"),
                                (self.config / "data", "Not a directory")):
                with self.subTest(place):
                    self.write_config([self.spoke()], database_dir=str(place))
                    self.goes_on(word, "will not be recorded")
            self.deletes()
        finally:
            disk.unmount()

    def test_a_directory_in_its_place(self):
        self.database.unlink()
        self.database.mkdir()
        self.goes_on(f"{self.database}: Is a directory", "will not be recorded", f"'mv {self.database} {self.database}.old'")
        self.deletes()

    def test_a_symlink_to_nothing(self):
        self.database.unlink()
        self.database.symlink_to("/nonexistent/sync.db")
        self.goes_on("unable to open", "will not be recorded", f"'rm {self.database}'")
        self.assertIn(f"'rm {self.database}'", self.pi_brain("sync", "status").stderr)
        self.assertTrue(self.database.is_symlink())
        self.deletes()

    def test_a_table_that_is_missing(self):
        for table in ("runs", "kept", "filesystems"):
            with self.subTest(table):
                with contextlib.closing(sqlite3.connect(self.database)) as database:
                    database.execute(f"DROP TABLE {table}")
                    database.commit()
                self.begins_anew(self.database.read_bytes())
        self.deletes()

    def test_a_newer_schema(self):
        """A future version: the common part is used, and the rest left alone."""
        with contextlib.closing(sqlite3.connect(self.database)) as newer:
            newer.execute("ALTER TABLE runs ADD COLUMN mood TEXT")
            newer.execute("PRAGMA user_version = 99")
            newer.commit()
        self.goes_on()
        self.heals()
        with contextlib.closing(sqlite3.connect(self.database)) as newer:
            self.assertEqual(newer.execute("PRAGMA user_version").fetchone(), (99,))
            newer.execute("ALTER TABLE runs RENAME COLUMN files TO sessions")
            newer.execute("DROP TABLE kept")
            newer.execute("CREATE TABLE kept (everything TEXT)")
            newer.commit()
        self.goes_on("sync.db")
        self.deletes()

    def test_kept_files_that_are_wrong(self):
        """The store lists files as gone that are not gone, and files that never existed."""
        with contextlib.closing(sqlite3.connect(self.database)) as wrong:
            present = [str(p.relative_to(self.source)) for p in self.source.rglob("*.jsonl")]
            wrong.execute("DELETE FROM kept")
            wrong.executemany("INSERT INTO kept VALUES ('laptop', ?)",
                              [(os.fsencode(p),) for p in [*present, "../../etc/passwd", "/etc/passwd", "", "p"]])
            wrong.commit()
        self.goes_on()
        self.deletes()


if __name__ == "__main__":
    unittest.main(verbosity=2)
