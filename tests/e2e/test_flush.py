"""What is on the disk, and when: the order of a run's calls, what happens if the disk reports errors, and a hub
that ignores them."""
import collections
import json
import os
import pathlib
import shutil
import subprocess
import unittest

import harness
import mounts
import straced
from faults import LARGE_TAIL, MIB, FaultCase, another_filesystem, contents, lines

IGNORED_FLUSH = os.environ["PIBRAIN_TEST_IGNORED_FLUSH"]


class FlushCase(FaultCase):
    def local(self):
        """A source without a host: the agent is the hub's child."""
        self.write_config([self.spoke(source=str(self.source), path=str(self.mirror))])

    def prepare(self):
        """A mirror, and a spoke with changes of every kind; saved, so that a test can start from there again."""
        for name in ("line", "tail", "large-tail", "rewritten", "patched", "gone", "moves", "moves-and-grows", "touched"):
            self.write(f"p/{name}.jsonl", lines(self.rng, 300_000 if name == "patched" else 20_000))
        self.settle()
        for name, size in (("line", 100), ("tail", 100_000), ("large-tail", LARGE_TAIL), ("moves-and-grows", 100)):
            with open(self.source / f"p/{name}.jsonl", "ab") as out:
                out.write(lines(self.rng, size))
        (self.source / "p/rewritten.jsonl").write_bytes(lines(self.rng, 5000))
        self.change_patched(self.source / "p/patched.jsonl")
        (self.source / "p/gone.jsonl").unlink()
        (self.source / "q").mkdir()
        for name in ("moves", "moves-and-grows"):
            (self.source / f"p/{name}.jsonl").rename(self.source / f"q/{name}.jsonl")
        self.write("p/new.jsonl", lines(self.rng, 3000))
        self.write("new/large.jsonl", lines(self.rng, 3 * MIB))
        self.age(*(self.source / f"{name}.jsonl" for name in (
            "p/line", "p/tail", "p/large-tail", "p/rewritten", "p/patched", "p/touched", "q/moves-and-grows")))
        self.saved = self.dir / "saved"
        subprocess.run(["cp", "-a", self.mirror, self.saved], check=True)
        self.prepared = dict(self.before)

    def restore(self):
        shutil.rmtree(self.mirror)
        subprocess.run(["cp", "-a", self.saved, self.mirror], check=True)
        shutil.rmtree(self.dir / "data")
        self.before = dict(self.prepared)
        self.note_archive()

    REPLACED = ("p/rewritten.jsonl", "p/patched.jsonl", "p/gone.jsonl")
    APPENDED = ("p/line.jsonl", "p/tail.jsonl", "q/moves-and-grows.jsonl")
    PUBLISHED = ("p/large-tail.jsonl", "p/rewritten.jsonl", "p/patched.jsonl", "p/new.jsonl", "new/large.jsonl")

    def traced(self, *options, command=("run", "--delete"), env=None):
        arguments = [*straced.strace(self.dir / "trace", *options), harness.HUB, "sync", *command, "--json", "-c", self.config]
        return subprocess.run(arguments, capture_output=True, text=True, env=env or self.environment(), timeout=120)

    def order(self, unflushed=(), syncfs=True):
        times = {f"{self.mirror}/{os.fsdecode(p)}": st.st_mtime_ns for p, st in harness.files_below(self.source).items()}
        return straced.Order(self, self.dir / "trace", self.mirror, self.archive, times, unflushed, syncfs)

    def in_mirror(self, names):
        return [f"{self.mirror}/{name}" for name in names]


class InOrder(FlushCase):
    """Data is on the disk before anything that would be wrong without it after a power cut."""

    def setUp(self):
        super().setUp()
        self.local()

    def a_run_of_everything(self):
        self.prepare()
        done = self.traced()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        order = self.order()
        # Checks that the run did what is judged here.
        published = [path for _, _, path in order.publications()]
        self.assertEqual(set(published), set(self.in_mirror(self.PUBLISHED)))
        self.assertEqual(order.appended(), set(self.in_mirror(self.APPENDED)))
        for check in (order.check_durable_before_visible, order.check_times_last,
                      lambda: order.check_archived_first(self.in_mirror(self.REPLACED)),
                      lambda: order.check_staging(clean=True)):
            with self.subTest(getattr(check, "__name__", "")):
                check()
        self.assert_mirrored()
        for path, st in harness.files_below(self.mirror).items():
            self.assertEqual(st.st_mtime_ns, (self.source / os.fsdecode(path)).stat().st_mtime_ns, path)
        self.note()

    def test_on_one_filesystem(self):
        self.a_run_of_everything()

    def test_with_an_archive_elsewhere(self):
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.local()
            self.a_run_of_everything()

    def test_a_repair(self):
        self.write("p/rotten.jsonl", lines(self.rng, 200_000))
        self.settle()
        rotten = self.mirror / "p/rotten.jsonl"
        st = rotten.stat()
        with open(rotten, "r+b") as out:
            out.write(b"x")
        os.utime(rotten, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.before = contents(self.mirror)
        done = self.traced(command=("verify", "--repair"))
        order = self.order()
        self.assertEqual([path for _, _, path in order.publications()], [str(rotten)], done.stdout + done.stderr)
        order.check_durable_before_visible()
        order.check_times_last()
        order.check_archived_first([str(rotten)])
        self.assert_mirrored()
        self.assert_nothing_lost()


class WithoutSyncfs(mounts.PrivateMounts, FlushCase):
    """Most of FUSE has no syncfs(2): each file and directory is flushed by itself."""

    def setUp(self):
        super().setUp()
        self.disk = mounts.Exfat(self.dir, self.dir / "disk")
        self.addCleanup(self.disk.unmount)
        self.mirror = self.disk.path / "laptop"
        self.local()
        for name in ("grows", "grows-much", "rewritten", "gone"):
            self.write(f"p/{name}.jsonl", lines(self.rng, 20_000))
        self.sync()
        for name, size in (("grows", 100), ("grows-much", LARGE_TAIL)):
            with open(self.source / f"p/{name}.jsonl", "ab") as out:
                out.write(lines(self.rng, size))
        (self.source / "p/rewritten.jsonl").write_bytes(lines(self.rng, 5000))
        (self.source / "p/gone.jsonl").unlink()
        self.write("new/deep/new.jsonl", lines(self.rng, 3000))
        for name in ("grows", "grows-much", "rewritten"):
            second = 1_700_000_000 + len(name)
            os.utime(self.source / f"p/{name}.jsonl", (second, second))

    def test_each_file_and_directory_is_written(self):
        done = self.traced()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        order = self.order(syncfs=False)
        self.assertEqual(order.appended(), set(self.in_mirror(["p/grows.jsonl"])))
        self.assertEqual(len(order.publications()), 3)
        order.check_durable_before_visible()
        order.check_times_last()
        order.check_staging(clean=True)
        for directory in ("p", "new", "new/deep", "."):
            path = os.path.normpath(self.mirror / directory)
            self.assertTrue(order.fsynced(path, 0, order.events[-1].end + 1), path)
        self.assertEqual(contents(self.mirror), contents(self.source))

    def test_an_error_leaves_the_staging_directory(self):
        grows = self.mirror / "p/grows.jsonl"
        done = self.traced("-P", grows, "-e", "inject=fsync:error=EIO:when=1")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(b"p/grows.jsonl\0", (self.mirror / ".pi-brain-staging/lost-writes").read_bytes())
        self.assertNotEqual(grows.stat().st_mtime, (self.source / "p/grows.jsonl").stat().st_mtime)
        self.sync("--delete")
        self.assertEqual(contents(self.mirror), contents(self.source))
        self.assertFalse((self.mirror / ".pi-brain-staging").exists())


class UnreadableDirectory(FlushCase):
    """One directory of the mirror cannot be read from the disk."""

    def test_it_stays_and_the_others_are_synced(self):
        self.local()
        for name in ("p/grows", "p/gone", "p/deep/same", "q/grows", "q/gone"):
            self.write(f"{name}.jsonl", lines(self.rng, 2000))
        self.settle()
        for name in ("p/grows", "q/new", "q/grows"):
            self.write(f"{name}.jsonl", lines(self.rng, 3000))
        # Too small to be q/gone under another name, which would keep q/gone. It is not fetched.
        self.write("p/new.jsonl", lines(self.rng, 1000))
        for name in ("p/gone", "q/gone"):
            (self.source / f"{name}.jsonl").unlink()
        done = self.traced("-P", self.mirror / "p", "-e", "trace=getdents64", "-e", "inject=getdents64:error=EIO")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        report = json.loads(done.stdout)["spokes"][0]
        self.assert_sentence(report["error"])
        self.assertEqual(report["failure"]["id"], "mirror-unreadable")
        self.assertIn(f"'{self.mirror}/p'", report["error"])
        counts = report["counts"]
        self.assertEqual((counts["new"], counts["rewritten"], counts["deleted"]), (1, 1, 1))
        now = contents(self.mirror)
        for path in (b"p/grows.jsonl", b"p/gone.jsonl", b"p/deep/same.jsonl"):
            self.assertEqual(now[path], self.before[path])
        self.assertNotIn(b"p/new.jsonl", now)
        self.assertEqual(now[b"q/grows.jsonl"], (self.source / "q/grows.jsonl").read_bytes())
        self.assert_nothing_lost()
        self.held.update(now.values())
        self.settle()


class PutOff(FlushCase):
    """A file that a run was writing when it failed or was killed, and that the next run does not fetch."""

    def setUp(self):
        super().setUp()
        self.local()
        for name in ("a.db", "b.jsonl", "c.jsonl"):
            self.write(f"p/{name}", lines(self.rng, 20_000))
        self.settle()
        for name in ("a.db", "b.jsonl"):
            with open(self.source / "p" / name, "ab") as out:
                out.write(lines(self.rng, 1000))
            self.age(self.source / "p" / name)
        self.staging = self.mirror / ".pi-brain-staging"
        self.mark = self.staging / "lost-writes"
        self.journal = self.source / "p/a.db-wal"

    def run_that_ends_badly(self, how):
        done = self.traced("-e", f"inject=syncfs:{how}:when=1", command=("run",))
        self.assertNotEqual(done.returncode, 0)
        if how.startswith("error"):
            self.assertEqual(json.loads(done.stdout)["spokes"][0]["failure"]["id"], "writes-lost")
        self.held.update(contents(self.mirror).values())
        self.journal.touch()  # now the database is in use
        for _ in range(2):
            self.assertIn("deferred", self.counts())
            self.assertTrue(self.staging.exists(), "forgotten, though nobody looked at it")

    def test_after_a_flush_that_failed(self):
        self.run_that_ends_badly("error=EIO")
        self.assertEqual(self.mark.read_bytes(), b"p/a.db\0")  # the other file was fetched
        # The disk has other content than the cache, with the right size and time.
        mirrored = self.mirror / "p/a.db"
        times = (self.source / "p/a.db").stat()
        with open(mirrored, "r+b") as out:
            out.seek(-500, os.SEEK_END)
            out.write(b"\0" * 500)
        os.utime(mirrored, ns=(times.st_mtime_ns, times.st_mtime_ns))
        self.before = contents(self.mirror)
        self.journal.unlink()
        self.assertEqual(self.counts(), {"rewritten": 1})
        self.assertFalse(self.staging.exists())
        self.settle()

    def test_after_a_kill(self):
        self.run_that_ends_badly("signal=KILL")
        self.assertFalse(self.mark.exists())
        self.journal.unlink()
        done = self.traced(command=("run",))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertFalse(self.staging.exists())
        self.settle()

    def test_a_file_that_is_deleted_meanwhile(self):
        self.run_that_ends_badly("error=EIO")
        for name in ("a.db", "a.db-wal"):
            (self.source / "p" / name).unlink()
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        self.assertFalse(self.staging.exists())
        self.settle()

    def test_a_file_that_is_restored_on_the_spoke(self):
        """Its size and time are the mirror's again, whatever the mirror's content is."""
        self.run_that_ends_badly("error=EIO")
        self.journal.unlink()
        stat = (self.mirror / "p/a.db").stat()
        self.write("p/a.db", lines(self.rng, stat.st_size)[:stat.st_size].ljust(stat.st_size, b"x"))
        os.utime(self.source / "p/a.db", ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        self.assertEqual(self.counts(), {"rewritten": 1})
        self.assertFalse(self.staging.exists())
        self.settle()

    def test_a_file_that_is_restored_from_the_archive(self):
        self.run_that_ends_badly("error=EIO")
        (self.source / "p/c.jsonl").unlink()
        self.sync("--delete")
        listed = json.loads(self.pi_brain("sync", "archive", "list", "--json").stdout)["files"]
        gone = [one["id"] for one in listed if one["path"] == "p/c.jsonl"]
        done = self.pi_brain("sync", "archive", "restore", gone[0])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.mark.read_bytes(), b"p/a.db\0")


class Unheard(FlushCase):
    """strace makes syncfs and fsync fail: each error fails the run, and the next run checks again what may not be on
    the disk."""

    def setUp(self):
        super().setUp()
        self.local()
        self.prepare()

    def calls(self, call):
        """The calls of an undisturbed run on mirror or archive, counted from 1 in each thread, as strace counts."""
        self.restore()
        self.assertEqual(self.traced().returncode, 0)
        order, counts, found = self.order(), collections.Counter(), set()
        for event in order.of(call, good=False):
            counts[event.pid] += 1
            if any(order.inside(event.paths[0], root) for root in (order.mirror, order.archive)):
                found.add(counts[event.pid])
        self.settle()
        return sorted(found)

    def disturb(self, call, number, env=None):
        """A run in which the n-th such call fails."""
        self.restore()
        done = self.traced("-e", f"inject={call}:error=EIO:when={number}", env=env)
        self.assertIn("(INJECTED)", (self.dir / "trace").read_text(errors="replace"))
        return done

    def judge(self, done):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        error = json.loads(done.stdout)["spokes"][0]["error"]
        self.assert_sentence(error)
        self.assertIn("Input/output error", error)
        self.assertNotIn("intact", error)
        self.assert_promised()
        order = self.order()
        order.check_durable_before_visible()
        order.check_times_last()
        order.check_staging(clean=False)
        return order.unflushed()

    def heard(self, call):
        """Makes each call fail in turn. Returns how many there are."""
        numbers = self.calls(call)
        for number in numbers:
            with self.subTest(f"{call} {number} of {numbers}"):
                unflushed = self.judge(self.disturb(call, number))
                done = self.traced()
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                order = self.order(unflushed)
                self.assertEqual(unflushed - order.looked_at(), set(), "not looked at again")
                order.check_durable_before_visible()
                order.check_times_last()
                order.check_staging(clean=True)
                self.settle()
                self.assertEqual(self.counts(), {})
        return len(numbers)

    def test_errors_of_the_flush(self):
        self.assertGreater(self.heard("syncfs"), 1)

    def test_errors_with_an_archive_elsewhere(self):
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.local()
            self.assertGreater(self.heard("syncfs") + self.heard("fsync"), 2)

    def test_a_hub_that_ignores_errors_is_noticed(self):
        env = {**self.environment(), "LD_PRELOAD": IGNORED_FLUSH}
        for number in self.calls("syncfs"):
            done = self.disturb("syncfs", number, env)
            with self.assertRaisesRegex(AssertionError, "0 != 1"):
                self.judge(done)
            self.settle()


class ThinDevice(mounts.PrivateMounts, FlushCase):
    """A thin disk without enough blocks: writes are lost on their way to it."""

    SIZE = 400 * MIB
    HEAD = 12 * MIB  # metadata and journal, which have their blocks from the start

    def setUp(self):
        super().setUp()
        self.thin = mounts.Tmpfs(self.dir / "thin", 600 * MIB)
        self.addCleanup(self.thin.unmount)
        self.disk = mounts.Image(
            self.thin.path / "image", self.dir / "disk", "ext4", self.SIZE,
            mkfs=("-N", "512", "-J", "size=4", "-E",
                  "packed_meta_blocks=1,lazy_itable_init=0,lazy_journal_init=0,nodiscard"), options=["nodiscard"])
        self.addCleanup(self.disk.unmount)
        self.disk.unmount()
        with open(self.disk.file, "r+b") as image:
            head = image.read(self.HEAD)
            image.seek(0)
            image.write(head)
        self.disk.mount()
        self.mirror = self.disk.path / "laptop"
        self.local()

    def run_full(self, room):
        st = os.statvfs(self.thin.path)
        self.thin.resize((st.f_blocks - st.f_bfree) * st.f_frsize + room)

    def change_much(self):
        """More than fits: new files, files grown by a line and by much, and rewritten ones."""
        for number in range(4):
            with open(self.source / f"p/grows-{number}.jsonl", "ab") as out:
                out.write(lines(self.rng, (100, MIB, 3 * MIB, LARGE_TAIL)[number]))
            (self.source / f"p/rewritten-{number}.jsonl").write_bytes(lines(self.rng, MIB))
            self.write(f"p/new-{number}.jsonl", self.rng.randbytes(3 * MIB).hex().encode())
        paths = [self.source / f"p/{kind}-{n}.jsonl" for kind in ("grows", "rewritten", "new") for n in range(4)]
        self.rng.shuffle(paths)
        self.age(*paths)

    def on_the_device(self):
        self.disk.unmount()
        self.disk.mount()

    def runs_full(self, room):
        for number in range(4):
            for kind in ("grows", "rewritten"):
                self.write(f"p/{kind}-{number}.jsonl", lines(self.rng, 500_000))
        self.settle()
        self.on_the_device()
        self.run_full(room)
        self.change_much()
        for _ in range(2):  # the second starts from what the first left, without more space
            report = self.sync_one(code=1)
            self.assert_sentence(report["error"])
            self.assertNotIn("intact", report["error"])
        self.thin.resize(600 * MIB)
        self.sync_one()
        self.on_the_device()
        self.assert_mirrored()
        # Content that had not reached the disk may have been archived.
        self.held.update(self.archived_contents().values())
        self.assert_nothing_lost()
        self.assertEqual(self.counts(), {})

    def test_lost_files_that_are_deferred(self):
        """The kernel's cache of such a file is not trusted until a run has fetched the file."""
        databases = [f"p/{number}.db" for number in range(8)]
        for path in databases:
            self.write(path, lines(self.rng, 130_000))
        self.settle()
        self.on_the_device()
        self.run_full(0)
        for path in databases:
            with open(self.source / path, "ab") as out:
                out.write(lines(self.rng, 3 * MIB))
            self.age(self.source / path)
        self.sync_one(code=1)
        self.thin.resize(600 * MIB)
        journals = [self.source / f"{path}-wal" for path in databases]
        for journal in journals:
            journal.touch()
        self.assertEqual(self.counts(), {"deferred": 16})
        for journal in journals:
            journal.unlink()
        self.pi_brain("sync", "run")  # which may get the error once more
        self.sync_one()
        self.on_the_device()
        self.assert_mirrored()
        self.assertEqual(self.counts(), {})

    def test_with_space_for_little(self):
        self.runs_full(MIB)

    def test_with_space_for_some(self):
        self.runs_full(8 * MIB)

    def test_with_space_for_much(self):
        self.runs_full(20 * MIB)


if __name__ == "__main__":
    unittest.main(verbosity=2)
