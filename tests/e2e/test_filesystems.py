"""Mirrors on filesystems that store names and times in their own ways, and spokes on others."""
import json
import os
import sqlite3
import stat
import subprocess
import unittest

import harness
import mounts
from harness import HubCase, files_below, read_below


def line(text):
    return b'{"type":"message","text":"%s"}\n' % text.encode()


class FilesystemCase(HubCase):
    method = "agent"

    def setUp(self):
        super().setUp()
        mounts.use_private_mounts()
        self.disk = None
        if self.method == "rsync":
            self.sshd.authorized_keys.write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())

    def put_mirror_on(self, disk):
        self.disk = disk
        self.addCleanup(disk.unmount)
        self.mirror = disk.path / "mirror"
        self.write_config([self.spoke(path=str(self.mirror), sync_method=self.method)])

    def settle_at(self, grain):
        """At most two runs until the mirror equals the spoke, except for times finer than the grain."""
        self.assertEqual(self.counts(), {})
        theirs, ours = files_below(self.source), files_below(self.mirror)
        self.assertEqual(set(theirs), set(ours))
        for path, their in theirs.items():
            self.assertEqual(read_below(self.source, path), read_below(self.mirror, path), path)
            self.assertEqual(their.st_mtime_ns // grain * grain, ours[path].st_mtime_ns, path)

    def assert_folded(self, report, named):
        """Checks that a file failed, with the name that the mirror's filesystem has for it."""
        self.assertEqual(report["failure"]["id"], "files-failed", report["failure"])
        self.assertRegex(report["failure"]["cause"], named)

    def archived(self):
        return files_below(self.archive) if self.archive.exists() else {}

    def rot(self, path):
        """Changes one byte in the mirror, and keeps size and time."""
        file = self.mirror / path
        times = file.stat()
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        with open(file, "r+b") as out:
            out.write(content)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def verify(self, *args, code=0):
        done = self.pi_brain("sync", "verify", "--json", *args)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        return json.loads(done.stdout)["spokes"][0]


class CoarseTimes(FilesystemCase):
    """ext4 with inodes of 128 bytes stores seconds, from 1901 to 2038."""

    def setUp(self):
        super().setUp()
        self.put_mirror_on(mounts.Image(self.dir / "img", self.dir / "disk", "ext4", 64 << 20, ("-I", "128")))

    def test_every_change_is_noticed_and_nothing_else(self):
        for i in range(300):
            self.write(f"p{i % 20}/{i}.jsonl", line(f"one of {i}"))
        self.assertEqual(self.counts(), {"new": 300})
        report = self.sync_one()
        self.assertLess(report["wireUp"] + report["wireDown"], 8192)
        self.settle_at(10**9)
        for i in range(3):
            with open(self.write(f"p{i}/{i}.jsonl", line(f"one of {i}")), "ab") as out:
                out.write(line("more"))
        self.age(*(self.source / f"p{i}/{i}.jsonl" for i in range(3)))
        self.write("p3/3.jsonl", line("one of x"))
        self.assertEqual(self.counts(), {"grown": 3, "rewritten": 1})
        self.settle_at(10**9)

    def test_a_time_beyond_its_range(self):
        for year, name in ((2100, "late"), (1800, "early"), (2300, "beyond")):
            path = self.write(f"p/{name}.jsonl", line(name))
            mounts.run("touch", "-d", f"{year}-01-01", path)
        self.assertEqual(self.counts(), {"new": 3})
        report = self.sync_one()
        self.assertEqual({k: v for k, v in report["counts"].items() if v and k != "files"}, {})
        self.assertLess(report["wireUp"] + report["wireDown"], 8192)

    def test_verify_compares_times_as_they_are_stored(self):
        """Different content with the same size and time is damage on this filesystem too, for both methods."""
        for method in ("agent", "rsync"):
            with self.subTest(method):
                if method == "rsync":
                    self.sshd.authorized_keys.write_text("restrict " + self.sshd.key.with_suffix(".pub").read_text())
                self.write_config([self.spoke(path=str(self.mirror), sync_method=method)])
                self.write("p/rots.jsonl", line("one") * 500)
                self.write("p/changes.jsonl", line(f"of {method}") * 300)
                self.sync()
                self.rot("p/rots.jsonl")
                differences = self.verify(code=1)["differences"]
                self.assertEqual([(d["path"], d["kind"]) for d in differences], [("p/rots.jsonl", "content")])
                path = self.write("p/changes.jsonl", line(f"by {method}") * 300)
                mounts.run("touch", "-d", "2026-03-04 05:06:07.5", path)
                differences = self.verify(code=1)["differences"]
                self.assertEqual([(d["path"], d["kind"]) for d in differences],
                                 [("p/changes.jsonl", "changed"), ("p/rots.jsonl", "content")])
                self.assertTrue(self.verify("--repair")["repaired"])
                self.assertEqual(self.verify()["differences"], [])
                for path in files_below(self.source):
                    self.assertEqual(read_below(self.source, path), read_below(self.mirror, path), path)
                subprocess.run(["rm", "-rf", self.mirror, self.archive], check=True)

    def test_a_fresh_file_is_checked_again(self):
        self.write("p/fresh.jsonl", line("one"), age=False)
        self.sync()
        ours = (self.mirror / "p/fresh.jsonl").stat().st_mtime_ns
        theirs = (self.source / "p/fresh.jsonl").stat().st_mtime_ns
        self.assertEqual(ours, theirs // 10**9 * 10**9 - 10**9)
        self.age(self.source / "p/fresh.jsonl")
        self.sync()
        self.settle_at(10**9)


class NamesThatFold(FilesystemCase):
    def setUp(self):
        super().setUp()
        self.put_mirror_on(mounts.Exfat(self.dir, self.dir / "disk"))

    def names(self):
        return sorted(str(p.relative_to(self.mirror)) for p in self.mirror.rglob("*") if p.is_file())

    def test_two_names_that_fold_into_one(self):
        self.write("p/Notes.jsonl", line("A" * 50))
        self.write("p/notes.jsonl", line("B" * 90))
        self.write("p/other.jsonl", line("C"))
        for _ in range(4):
            self.assert_folded(self.sync_one(code=1), r"p/[Nn]otes\.jsonl: .* 'p/[Nn]otes\.jsonl'")
        self.assertEqual(len(self.names()), 2)
        self.assertEqual(self.archived(), {})
        # The file that exists is whole, and the other follows once its name is free.
        there = [name for name in self.names() if name.lower() == "p/notes.jsonl"][0]
        self.assertEqual((self.mirror / there).read_bytes(), (self.source / there).read_bytes())
        other = {"p/Notes.jsonl": "p/notes.jsonl", "p/notes.jsonl": "p/Notes.jsonl"}[there]
        (self.source / other).rename(self.source / "p/renamed.jsonl")
        self.assertEqual(self.counts(), {"new": 1})
        self.settle_at(10**9)

    def test_two_directories_that_fold_into_one(self):
        self.write("Project/a.jsonl", line("a"))
        self.write("project/b.jsonl", line("b"))
        for _ in range(3):
            self.assert_folded(self.sync_one(code=1), r"[Pp]roject/[ab]\.jsonl: .* '[Pp]roject['/]")
        self.assertEqual(len(self.names()), 1)
        self.assertEqual(self.archived(), {})

    def test_a_rename_of_case_alone(self):
        self.write("p/notes.jsonl", line("a"))
        self.write("Old/deep/one.jsonl", line("b"))
        self.write("Old/two.jsonl", line("c"))
        self.sync()
        (self.source / "p/notes.jsonl").rename(self.source / "p/Notes.jsonl")
        (self.source / "Old").rename(self.source / "old")
        self.sync()
        self.assertEqual(self.names(), ["old/deep/one.jsonl", "old/two.jsonl", "p/Notes.jsonl"])
        self.settle_at(10**9)
        # And with different content.
        (self.source / "p/Notes.jsonl").rename(self.source / "p/NOTES.jsonl")
        self.write("p/NOTES.jsonl", line("quite another"))
        self.sync()
        self.assertEqual(self.names(), ["old/deep/one.jsonl", "old/two.jsonl", "p/NOTES.jsonl"])
        self.settle_at(10**9)
        self.assertIn(line("a"), [read_below(self.archive, path) for path in self.archived()])

    def other_content(self, name, text):
        """A file with another time and size, whose name differs from an existing one in case."""
        path = self.write(name, line(text))
        mounts.run("touch", "-d", "2026-03-02 03:04:06", path)

    def test_the_staging_directory_in_other_case(self):
        self.write(".Pi-Brain-Staging/x.jsonl", line("x"))
        self.write("p/a.jsonl", line("a"))
        report = self.sync_one(code=1)
        self.assertEqual(report["failure"]["id"], "files-failed", report["failure"])
        self.assertIn(".Pi-Brain-Staging/x.jsonl: ", report["failure"]["cause"])
        self.assertEqual(self.names(), ["p/a.jsonl"])

    def test_replaced_and_removed_files_are_archived(self):
        """Without links, and without an exchange of names."""
        self.write("p/a.jsonl", line("one") * 100)
        self.write("p/b.jsonl", line("two"))
        self.write("p/c.jsonl", line("three"))
        self.sync()
        self.write("p/a.jsonl", line("another"))
        (self.source / "p/b.jsonl").unlink()
        self.assertEqual(self.counts("--delete"), {"rewritten": 1, "deleted": 1})
        self.settle_at(10**9)
        self.assertEqual(sorted(read_below(self.archive, path) for path in self.archived()),
                         sorted([line("one") * 100, line("two")]))
        self.disk.unmount()
        self.disk.mount()
        self.assertEqual(self.counts(), {})


class NamesThatFoldByAgent(NamesThatFold):
    """Cases that rsync handles in another way, or not at all."""

    def test_verify_does_not_repair_one_file_into_another(self):
        self.write("p/Notes.jsonl", line("A" * 50))
        self.sync()
        self.write("p/notes.jsonl", line("B" * 90))
        self.write("p/other.jsonl", line("C"))
        for _ in range(2):
            self.assert_folded(self.verify("--repair", code=1), r"p/notes\.jsonl: .* 'p/Notes\.jsonl'")
        self.assertEqual(self.names(), ["p/Notes.jsonl", "p/other.jsonl"])
        self.assertEqual((self.mirror / "p/Notes.jsonl").read_bytes(), line("A" * 50))
        self.assertEqual(self.archived(), {})

    def test_a_deletion_does_not_take_a_file_of_another_name(self):
        """'Notes' is gone; the mirror finds 'notes' under that name, which still exists."""
        self.write("p/Notes.jsonl", line("A" * 50))
        for i in range(4):
            self.write(f"p/{i}.jsonl", line(str(i)))
        for archive in (self.archive, self.disk.path / "archive"):  # on another filesystem, and on this one
            self.archive = archive
            self.write_config([self.spoke(path=str(self.mirror))], archive_dir=str(archive))
            self.sync()
            (self.source / "p/Notes.jsonl").unlink()
            self.other_content("p/notes.jsonl", "B")
            self.assertEqual(self.counts("--delete"), {"new": 1})
            self.settle_at(10**9)
            self.assertIn("p/notes.jsonl", self.names())
            # The old content was replaced, and archived once.
            self.assertEqual([read_below(archive, path) for path in self.archived()], [line("A" * 50)])
            (self.source / "p/notes.jsonl").unlink()
            self.write("p/Notes.jsonl", line("A" * 50))
            self.sync("--delete")
            subprocess.run(["rm", "-rf", archive], check=True)

    def test_a_deletion_does_not_take_a_directory_of_another_name(self):
        for i in range(3):
            self.write(f"Proj/{i}.jsonl", line("A" * 50))
            self.write(f"q/{i}.jsonl", line("q"))
        self.sync()
        subprocess.run(["rm", "-r", self.source / "Proj"], check=True)
        for i in range(3):
            self.other_content(f"proj/{i}.jsonl", "B")
        self.assertEqual(self.counts("--delete"), {"new": 3})
        self.settle_at(10**9)
        self.assertEqual([name for name in self.names() if "roj/" in name], [f"proj/{i}.jsonl" for i in range(3)])
        self.assertEqual([read_below(self.archive, path) for path in self.archived()], [line("A" * 50)] * 3)
        # And a directory that is really gone is deleted, beside a name that folds into it.
        (self.source / "proj/1.jsonl").unlink()
        self.assertEqual(self.counts("--delete"), {"deleted": 1})

    def test_a_name_that_replaced_another_is_not_kept(self):
        self.write("p/one.jsonl", line("A" * 50))
        self.sync()
        (self.source / "p/one.jsonl").unlink()
        self.other_content("p/ONE.jsonl", "B")
        self.assertEqual(self.counts(), {"new": 1})
        self.settle_at(10**9)

    def test_letters_beyond_ascii(self):
        """The hub cannot fold them by itself; a rename works nevertheless, and two such names are refused."""
        self.write("p/\u00c9t\u00e9.jsonl", line("A" * 50))
        self.write("p/other.jsonl", line("o"))
        self.sync()
        (self.source / "p/\u00c9t\u00e9.jsonl").unlink()
        self.other_content("p/\u00e9t\u00e9.jsonl", "B")
        self.assertEqual(self.counts("--delete"), {"new": 1})
        self.settle_at(10**9)
        self.write("p/\u00c9t\u00e9.jsonl", line("C" * 70))
        self.assert_folded(self.sync_one(code=1), "p/\u00c9t\u00e9.jsonl: ")
        self.assertEqual((self.mirror / "p/\u00e9t\u00e9.jsonl").read_bytes(), line("B"))
        self.assertEqual(len(self.names()), 2)


class NoModes(FilesystemCase):
    """keep_modes on a filesystem without modes."""

    def follow(self, disk):
        self.put_mirror_on(disk)
        self.write_config([self.spoke(path=str(self.mirror), keep_modes=True)])
        self.write("p/a.jsonl", line("a")).chmod(0o640)
        self.write("p/b.jsonl", line("b")).chmod(0o600)
        report = self.sync_one()
        self.assertEqual(report["counts"]["new"], 2)
        [said] = report["warnings"]
        self.assertIn("'keep_modes'", said)
        for mode in (0o640, 0o604, 0o600):
            (self.source / "p/a.jsonl").chmod(mode)
            report = self.sync_one()
            self.assertEqual({k: v for k, v in report["counts"].items() if v and k != "files"}, {})
            self.assertEqual(report["warnings"], [], "it was said")
        with open(self.source / "p/a.jsonl", "ab") as out:
            out.write(line("more"))
        self.age(self.source / "p/a.jsonl")
        self.assertEqual(self.counts(), {"grown": 1})
        checks = json.loads(self.pi_brain("sync", "doctor", "--json").stdout)["spokes"][0]["checks"]
        warnings = [check["failure"] for check in checks if check["step"] == "mirror" and check["state"] == "warning"]
        self.assertEqual([warning["id"] for warning in warnings], ["modes-not-kept"])
        self.assertIn("'keep_modes'", warnings[0]["what"])

    def test_exfat(self):
        self.follow(mounts.Exfat(self.dir, self.dir / "disk"))

    def test_ntfs(self):
        self.follow(mounts.Ntfs(self.dir, self.dir / "disk"))


class OtherTraitsThanBefore(FilesystemCase):
    def test_mounted_with_other_options(self):
        """The same device now ignores case."""
        self.put_mirror_on(mounts.Ntfs(self.dir, self.dir / "disk"))
        self.write("p/notes.jsonl", line("A" * 50))
        self.write("p/x.jsonl", line("x"))
        self.sync()
        self.write("p/Notes.jsonl", line("B" * 90))
        self.assertEqual(self.counts(), {"new": 1})
        (self.mirror / "p/Notes.jsonl").unlink()
        self.disk.unmount()
        self.disk.mount("lowntfs-3g", "ignore_case")
        for _ in range(3):
            self.assert_folded(self.sync_one(code=1), r"p/Notes\.jsonl: .* 'p/notes\.jsonl'")
            self.assertEqual(self.archived(), {})
        self.assertEqual((self.mirror / "p/notes.jsonl").read_bytes(), line("A" * 50))

    def test_remembered_wrongly(self):
        """Whatever traits were remembered, a file found under another name is not replaced."""
        self.put_mirror_on(mounts.Exfat(self.dir, self.dir / "disk"))
        self.write("p/Notes.jsonl", line("A" * 50))
        self.write("Proj/a.jsonl", line("a"))
        self.sync()
        database = sqlite3.connect(self.dir / "data/sync.db")
        [[traits]] = database.execute("SELECT traits FROM filesystems").fetchall()
        words = traits.split()
        self.assertEqual(words[3], "1")
        words[3] = "0"
        database.execute("UPDATE filesystems SET traits = ?", (" ".join(words),))
        database.commit()
        database.close()
        self.write("p/notes.jsonl", line("B" * 90))
        self.write("proj/b.jsonl", line("b"))
        for _ in range(2):
            report = self.sync_one(code=1)
            self.assert_folded(report, r"p/notes\.jsonl: [^;]* 'p/Notes\.jsonl'")
            self.assert_folded(report, r"proj/b\.jsonl: [^;]* 'Proj'")
        self.assertEqual((self.mirror / "p/Notes.jsonl").read_bytes(), line("A" * 50))
        self.assertEqual(self.archived(), {})
        # A rename of case alone.
        (self.source / "p/Notes.jsonl").unlink()
        subprocess.run(["rm", "-r", self.source / "proj"], check=True)
        (self.source / "Proj").rename(self.source / "proj")
        self.sync("--delete")
        self.settle_at(10**9)

    def test_a_mount_inside_the_mirror(self):
        """Nothing can be renamed into it: the message names it, and nothing is lost."""
        disk = mounts.Exfat(self.dir, self.dir / "disk")
        disk.unmount()
        self.write("p/Notes.jsonl", line("A" * 50))
        self.write("q/a.jsonl", line("a"))
        inside = self.mirror / "p"
        inside.mkdir(parents=True)
        disk.path = inside
        disk.mount()
        self.addCleanup(disk.unmount)
        (inside / "notes.jsonl").write_bytes(line("mine"))
        for _ in range(2):
            error = self.sync_one(code=1)["error"]
            self.assertIn("p/Notes.jsonl", error)
        self.assertEqual((inside / "notes.jsonl").read_bytes(), line("mine"))
        self.assertEqual((self.mirror / "q/a.jsonl").read_bytes(), line("a"))
        self.assertEqual(self.archived(), {})


class NamesThatFoldByRsync(NamesThatFold):
    method = "rsync"

    def test_a_rename_of_case_alone_and_deletion(self):
        self.write("p/notes.jsonl", line("a"))
        self.write("p/gone.jsonl", line("b"))
        self.write("Überblick/Ärger.jsonl", line("c"))
        self.sync()
        (self.source / "p/notes.jsonl").rename(self.source / "p/Notes.jsonl")
        (self.source / "Überblick/Ärger.jsonl").rename(self.source / "Überblick/ärger.jsonl")
        (self.source / "p/gone.jsonl").unlink()
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        self.assertEqual([name.lower() for name in self.names()], ["p/notes.jsonl", "überblick/ärger.jsonl"])
        self.assertIn("p/Notes.jsonl", self.names())


class CoarseTimesByRsync(FilesystemCase):
    method = "rsync"

    def test_nothing_is_rewritten_for_its_time(self):
        self.put_mirror_on(mounts.Exfat(self.dir, self.dir / "disk"))
        for number in range(5):
            self.write(f"p/{number}.jsonl", line("x" * number))
        self.assertEqual(self.counts(), {"new": 5})
        self.settle_at(10**9)
        self.write("p/3.jsonl", line("another"))
        self.assertEqual(self.counts(), {"rewritten": 1})
        self.settle_at(10**9)


class Others(FilesystemCase):
    def test_lost_and_found(self):
        """On both sides, for a hub and an agent that do not run as root."""
        self.put_mirror_on(mounts.Image(self.dir / "img", self.dir / "disk", "ext4", 64 << 20))
        (self.disk.path / "lost+found").chmod(0o700)
        self.assertIn("lost+found", os.listdir(self.disk.path))
        self.mirror = self.disk.path
        self.write_config([self.spoke(path=str(self.mirror))])
        self.write("p/a.jsonl", line("a"))
        self.write("p/b.jsonl", line("b"))
        (self.source / "lost+found").mkdir(mode=0o700)
        if os.geteuid() == 0:
            self.sshd.authorize("setpriv --bounding-set=-dac_override,-dac_read_search "
                                f"{harness.AGENT} --root={self.source}")
            os.chown(self.source / "lost+found", 1, 1)
        self.assertEqual(self.counts(), {"new": 2})
        (self.source / "p/b.jsonl").unlink()
        self.assertEqual(self.counts("--delete"), {"deleted": 1})

    def test_modes_are_followed_where_they_are_stored(self):
        self.write_config([self.spoke(keep_modes=True)])
        path = self.write("p/a.jsonl", line("a"))
        path.chmod(0o644)
        self.sync()
        mode = lambda: stat.S_IMODE((self.mirror / "p/a.jsonl").stat().st_mode)
        self.assertEqual(mode(), 0o644)
        path.chmod(0o640)
        self.assertEqual(self.counts(), {"touched": 1})
        self.assertEqual(mode(), 0o640)
        self.assertEqual(self.counts(), {})
        self.write_config([self.spoke()])
        self.sync()
        path.chmod(0o664)
        self.assertEqual(self.counts(), {})
        self.write_config([self.spoke(keep_modes=True)])
        self.sync()
        self.assertEqual(mode(), 0o664)

    def test_a_mirror_that_was_open_to_others(self):
        path = self.write("p/a.jsonl", line("a"))
        self.write("p/b.jsonl", line("b"))
        self.mirror.mkdir(parents=True)
        mounts.run("cp", "-a", f"{self.source}/.", self.mirror)
        for made in (self.mirror, self.mirror / "p"):
            made.chmod(0o755)
        for made in (self.mirror / "p").iterdir():
            made.chmod(0o644)
        with open(path, "ab") as out:
            out.write(line("more"))
        self.age(path)
        self.assertEqual(self.counts(), {"grown": 1})
        self.assertEqual(stat.S_IMODE((self.mirror / "p").stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((self.mirror / "p/a.jsonl").stat().st_mode), 0o600)
        checks = json.loads(self.pi_brain("sync", "doctor", "--json").stdout)["spokes"][0]["checks"]
        (exposed,) = [check for check in checks if check["failure"] and check["failure"]["id"] == "mirror-exposed"]
        self.assertIn(" 1 ", exposed["detail"])


class SpokeOnAnother(FilesystemCase):
    @classmethod
    def setUpClass(cls):
        # sshd, and with it the agent, must see the mounts.
        mounts.use_private_mounts()
        super().setUpClass()

    def test_a_name_that_is_too_long(self):
        """NTFS has names of 255 UTF-16 units: 765 bytes."""
        file = self.dir / "ntfs.img"
        with open(file, "wb") as out:
            out.truncate(64 << 20)
        mounts.run("mkfs.ntfs", "-F", "-q", file)
        disk = self.dir / "ntfs"
        disk.mkdir()
        mounts.run("mount", "-t", "ntfs-3g", "-o", "loop", file, disk)
        try:
            self.write_config([self.spoke(source=f"spoke:{disk}")])
            self.sshd.authorize_agent(disk)
            (disk / "p").mkdir()
            (disk / "p" / ("\u20ac" * 200 + ".jsonl")).write_bytes(line("long"))
            (disk / "p" / "short.jsonl").write_bytes(line("short"))
            report = self.sync_one(code=1)
            self.assertEqual(report["failure"]["id"], "files-failed", report["failure"])
            self.assertRegex(report["failure"]["cause"], "\u20ac\u20ac.*\\.jsonl: .* 255 ")
            self.assertEqual((self.mirror / "p/short.jsonl").read_bytes(), line("short"))
        finally:
            harness.wait_for(lambda: not harness.descendants(self.sshd.process.pid), what="the agent's end")
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    unittest.main()
