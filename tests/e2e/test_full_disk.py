"""A full disk, at every stage of a run: the message names the disk, nothing is lost, and freeing space is enough."""
import json
import os
import unittest

import mounts
import tiers
from faults import INCOMPLETE, LARGE_TAIL, MIB, FaultCase, contents, lines


class FullDisk(mounts.PrivateMounts, FaultCase):
    def setUp(self):
        super().setUp()
        self.small = None
        self.other_source = self.dir / "other-sessions"
        self.other_source.mkdir()

    def tearDown(self):
        self.unmount()
        super().tearDown()

    def unmount(self):
        if self.small is not None:
            self.small.unmount()
        self.before, self.in_archive = {}, {}
        self.mirror, self.archive = self.dir / "synced" / "laptop", self.dir / "archive"

    def put_on_small_disk(self, what, size=24 * MIB, inodes=0):
        """`what`: mirror, archive, both (on one filesystem), or data."""
        self.unmount()
        self.small = mounts.Tmpfs(self.dir / "small", size, inodes)
        if what in ("mirror", "both"):
            self.mirror = self.small.path / "laptop"
        if what in ("archive", "both"):
            self.archive = self.small.path / "archive"
        data = self.small.path / "data" if what == "data" else self.dir / "data"
        (self.other_source / "o.jsonl").write_bytes(b'{"other":1}\n')
        self.write_config([self.spoke(path=str(self.mirror)), self.spoke("other", source=str(self.other_source))],
                          database_dir=str(data))

    def assert_says_how_to_look(self, failure, disk):
        """Checks that a fix shows how full that disk is, and its inodes."""
        self.assertIn(f"df -h {disk}; df -i {disk}", [fix["command"] for fix in failure["fixes"]])

    def fails_for_want_of_room(self, *arguments, failure="disk-full", disk=None):
        """Checks that the run reports it, and syncs another spoke on another disk. Returns the spoke's report."""
        (self.other_source / f"{os.urandom(4).hex()}.jsonl").write_bytes(b'{"other":2}\n')
        report = self.sync(*arguments, code=1)
        laptop, other = report["spokes"]
        self.assertEqual(laptop["outcome"], "failed")
        self.assertEqual(other["outcome"], "ok")
        self.assert_sentence(laptop["error"])
        self.assertEqual(laptop["failure"]["id"], failure, laptop["error"])
        self.assertIn("No space left on device", laptop["error"])
        self.assert_says_how_to_look(laptop["failure"], disk or self.mirror)
        self.assert_promised()
        return laptop

    def with_room_it_ends_right(self, *arguments):
        self.small.make_room()
        self.settle(*arguments)

    def test_for_a_new_file(self):
        self.put_on_small_disk("mirror")
        self.make()
        self.small.fill(leave=MIB)
        for number in range(5):
            self.write(f"n/{number}.jsonl", lines(self.rng, 400_000))
        self.fails_for_want_of_room()
        self.assertIn(b"n/0.jsonl", contents(self.mirror))  # files that fit are there
        self.assertNotIn(b"n/4.jsonl", contents(self.mirror))
        self.with_room_it_ends_right()

    def test_a_file_that_no_disk_holds(self):
        """A sparse file takes no space on its spoke, and must not fill the disk that other spokes need."""
        self.put_on_small_disk("mirror")
        self.make()
        path = self.source / "p/huge.jsonl"
        path.touch()
        os.truncate(path, 1 << 40)
        self.age(path)
        free = os.statvfs(self.small.path).f_bavail
        laptop, other = self.sync(code=1)["spokes"]
        self.assertEqual((laptop["outcome"], other["outcome"]), ("failed", "ok"))
        self.assert_sentence(laptop["error"])
        self.assertRegex(laptop["error"], r"p/huge\.jsonl: .* 1\.0 TB ")
        self.assertEqual(laptop["failure"]["id"], "disk-full")
        self.assert_says_how_to_look(laptop["failure"], self.mirror)
        self.assertGreater(os.statvfs(self.small.path).f_bavail, free - 100)
        self.assert_unchanged()
        path.unlink()
        self.with_room_it_ends_right()

    def test_a_file_with_holes(self):
        """It takes the space of its data alone."""
        self.put_on_small_disk("mirror")
        self.make()
        self.small.fill(leave=2 * MIB)
        for name, size in (("p/holes.bin", tiers.rounds(1024, 200) * MIB), ("p/nothing.bin", 100 * MIB)):
            os.truncate(self.write(name, b"x\n"), size)
            self.age(self.source / name)
        self.settle()
        with open(self.source / "p/holes.bin", "ab") as out:
            out.write(b"y\n")
        os.truncate(self.source / "p/nothing.bin", 200 * MIB)
        self.age(self.source / "p/holes.bin", self.source / "p/nothing.bin")
        self.settle()

    def test_one_file_that_does_not_fit(self):
        """Files before and after it do, and the next run starts with them."""
        for leave, size in ((700_000, 850_000), (20_000, 40_000)):
            with self.subTest(leave=leave):
                self.put_on_small_disk("mirror")
                self.make()
                self.small.fill(leave)
                self.write("p/large.bin", self.rng.randbytes(size))
                for number in range(3):
                    self.write(f"p/small-{number}.jsonl", lines(self.rng, 600))
                for _ in range(2):
                    report = self.fails_for_want_of_room()
                    self.assertEqual(report["counts"]["failed"], 1)
                    self.assertIn("p/large.bin: ", report["error"])
                    for number in range(3):
                        self.assertIn(b"p/small-%d.jsonl" % number, contents(self.mirror))
                    self.begin_anew()
                self.with_room_it_ends_right()
                self.unmount()

    def test_many_that_do_not_fit(self):
        """Files that cannot fit are not requested again and again."""
        self.put_on_small_disk("mirror")
        self.make()
        self.small.fill(leave=2 * MIB)
        many = 150
        for number in range(many):
            self.write(f"p/{number}.bin", self.rng.randbytes(MIB - 100_000))
        self.write("p/small.jsonl", lines(self.rng, 600))
        report = self.fails_for_want_of_room()
        self.assertIn(b"p/small.jsonl", contents(self.mirror))
        self.assertEqual(report["counts"]["failed"], many - 2)
        self.assertLess(report["wireDown"], 90 * MIB)
        self.begin_anew()
        for number in range(many):
            (self.source / f"p/{number}.bin").unlink()
        self.with_room_it_ends_right()

    def test_a_file_of_more_than_half_of_the_disk_that_grows(self):
        """It grows by so much that it is appended in place only if there is no space for a copy."""
        self.put_on_small_disk("mirror")
        path = self.write("p/large.jsonl", lines(self.rng, 9 * MIB))
        self.settle()
        with open(path, "ab") as out:
            out.write(lines(self.rng, LARGE_TAIL))
        self.age(path)
        self.settle()

    def test_for_the_first_directory(self):
        self.put_on_small_disk("mirror", inodes=20)
        self.write("p/a.jsonl", lines(self.rng, 1000))
        self.small.fill_inodes(leave=0)
        laptop = self.sync(code=1)["spokes"][0]
        self.assertEqual(laptop["failure"]["id"], "mirror-unusable")
        self.assertIn("No space left on device", laptop["error"])
        self.assertIn(str(self.mirror), laptop["error"])
        self.with_room_it_ends_right()

    def test_for_the_staging_directory(self):
        self.put_on_small_disk("mirror", inodes=200)
        self.make()
        self.small.fill_inodes(leave=0)
        self.write("p/new.jsonl", lines(self.rng, 1000))
        self.fails_for_want_of_room()
        self.assert_unchanged()
        self.with_room_it_ends_right()

    def test_inodes_in_the_middle(self):
        self.put_on_small_disk("mirror", inodes=200)
        self.make()
        self.small.fill_inodes(leave=5)
        for number in range(10):
            self.write(f"dir-{number}/n.jsonl", lines(self.rng, 1000))
        self.fails_for_want_of_room()
        self.with_room_it_ends_right()

    def test_in_the_middle_of_an_append(self):
        for size, leave in ((400_000, 200_000), (LARGE_TAIL, MIB), (LARGE_TAIL + 3 * MIB, LARGE_TAIL + MIB)):
            with self.subTest(size=size):
                self.put_on_small_disk("mirror")
                self.make()
                path = self.source / "p/large.jsonl"
                with open(path, "ab") as out:
                    out.write(lines(self.rng, size))
                self.age(path)
                self.small.fill(leave)
                # A staged tail is known not to fit before it arrives; another tail only once
                # all space is used.
                if size < 4 * MIB:
                    self.fails_for_want_of_room()
                else:
                    report = self.sync_one(code=1)
                    self.assertEqual(report["failure"]["id"], "disk-full")
                    self.assertRegex(report["error"], r"p/large\.jsonl: .* [0-9.]+ MB ")
                    self.assert_says_how_to_look(report["failure"], self.mirror)
                # The part of the tail that did fit was removed again.
                self.assert_unchanged()
                self.with_room_it_ends_right()
                self.unmount()

    def test_in_the_middle_of_a_patch(self):
        self.put_on_small_disk("mirror")
        self.make()
        self.change_patched(self.source / "p/patched.jsonl")
        self.small.fill(leave=150_000)
        self.fails_for_want_of_room()
        self.assert_unchanged()
        self.with_room_it_ends_right()

    def test_during_a_restore_and_a_repair(self):
        self.put_on_small_disk("mirror")
        gone, rots = self.write("p/gone.jsonl", lines(self.rng, MIB)), self.write("p/rots.jsonl", lines(self.rng, MIB))
        self.sync()
        gone.unlink()
        self.sync("--delete")
        listed = json.loads(self.pi_brain("sync", "archive", "list", "--json").stdout)["files"]
        rotten = self.mirror / "p/rots.jsonl"
        times = rotten.stat()
        with open(rotten, "r+b") as out:
            out.write(b"x")
        os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
        before = self.snapshot()
        self.small.fill(leave=100_000)
        commands = (("archive", "restore", listed[0]["id"]), ("verify", "--repair", "--spoke", "laptop"))
        for command in commands:
            done = self.pi_brain("sync", *command)
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, 1, said)
            self.assertIn("No space left on device", said)
            self.assertIn("df -h", said)
            self.assertEqual({path: content for path, content in self.snapshot().items() if path != b"filler"}, before)
        self.small.make_room()
        for command in commands:
            done = self.pi_brain("sync", *command)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_mirrored(besides=["p/gone.jsonl"])

    def test_a_full_archive(self):
        """Archive and mirror are on different filesystems: files that cannot be archived stay."""
        for full in ("archive", "mirror"):
            with self.subTest(full=full):
                self.put_on_small_disk(full)
                self.make()
                self.change_patched(self.source / "p/patched.jsonl")
                (self.source / "p/large.jsonl").unlink()
                self.small.fill(leave=100_000)
                if full == "archive":
                    self.fails_for_want_of_room("--delete", failure="archive-full", disk=self.archive)
                else:
                    self.fails_for_want_of_room("--delete")
                if full == "archive":
                    self.assert_unchanged()
                    self.assertEqual(list((self.archive / "laptop").rglob("*")), [])  # not even half a file
                else:
                    # A deletion needs no space in the mirror.
                    self.assertEqual(self.before.keys() - contents(self.mirror).keys(), {b"p/large.jsonl"})
                    self.begin_anew()
                self.assertFalse((self.archive / "laptop" / os.fsdecode(INCOMPLETE)).exists())
                self.with_room_it_ends_right()
                self.unmount()

    def test_an_archive_without_space_for_one_file(self):
        """All others are rewritten and deleted."""
        self.put_on_small_disk("archive", size=3 * MIB)
        for name, size in (("large", 8 * MIB), ("one", 1000), ("two", 1000), ("gone", 1000)):
            self.write(f"p/{name}.jsonl", lines(self.rng, size))
        self.settle()
        for name, size in (("large", 8 * MIB), ("one", 700), ("two", 700)):
            self.write(f"p/{name}.jsonl", lines(self.rng, size))
        (self.source / "p/gone.jsonl").unlink()
        for _ in range(2):
            self.held.update(contents(self.mirror).values())
            report = self.sync("--delete", code=1)["spokes"][0]
            self.assertEqual(report["counts"]["failed"], 1)
            self.assertIn("p/large.jsonl: ", report["error"])
            self.assertEqual(report["failure"]["id"], "archive-full")
            self.assert_says_how_to_look(report["failure"], self.archive)
            self.assert_nothing_lost()
            now = contents(self.mirror)
            self.assertEqual(now.keys(), {b"p/large.jsonl", b"p/one.jsonl", b"p/two.jsonl"})
            self.assertEqual(now[b"p/one.jsonl"], (self.source / "p/one.jsonl").read_bytes())
            # No empty directories.
            self.assertEqual([run.partition("~")[2] for run in sorted(os.listdir(self.archive / "laptop"))],
                             ["deleted", "replaced"])
        self.small.resize(24 * MIB)
        self.settle()

    def test_an_archive_without_space_for_deletions(self):
        self.put_on_small_disk("archive")
        self.make()
        for name in ("large", "patched"):
            (self.source / f"p/{name}.jsonl").unlink()
        self.small.fill(leave=500_000)  # enough for one of them
        self.fails_for_want_of_room("--delete", failure="archive-full", disk=self.archive)
        self.assertEqual(len(self.archived_contents()), 1)
        self.with_room_it_ends_right()

    def test_an_archive_without_space_for_its_first_directory(self):
        self.put_on_small_disk("archive", inodes=12)
        self.make()
        (self.source / "p/large.jsonl").unlink()
        self.small.fill_inodes(leave=1)
        self.fails_for_want_of_room("--delete", failure="archive-full", disk=self.archive)
        self.assert_unchanged()
        self.with_room_it_ends_right()

    def test_an_archive_on_the_same_filesystem_needs_no_space(self):
        """Old versions are linked or moved into it."""
        self.put_on_small_disk("both")
        self.make()
        (self.source / "p/large.jsonl").unlink()
        self.small.fill(leave=40_000)
        self.sync("--delete")
        self.assert_nothing_lost()
        self.assert_mirrored()

    def test_for_the_history(self):
        self.put_on_small_disk("data", size=2 * MIB, inodes=20)
        self.small.fill(leave=0)
        self.make_without_history()
        self.small.make_room()
        self.settle()
        self.small.fill(leave=0)
        self.change()
        for path in list(self.source.rglob("*.jsonl"))[:3]:
            path.unlink()
        self.make_without_history()

    def make_without_history(self):
        if not self.before:
            self.write("p/a.jsonl", lines(self.rng, 1000))
        done = self.pi_brain("sync", "run", "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        warnings = [w for spoke in json.loads(done.stdout)["spokes"] for w in spoke["warnings"]]
        said = done.stderr + " ".join(warnings)
        self.assertIn("full", said)
        self.assertIn("sync.db", said)
        self.assert_promised()


if __name__ == "__main__":
    unittest.main(verbosity=2)
