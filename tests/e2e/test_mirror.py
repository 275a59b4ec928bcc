"""The mirror follows the spoke: every kind of change, through sshd and the forced command."""
import os
import pathlib
import shutil
import tempfile
import threading
import time
import unittest

import harness
from harness import HubCase, sessions


def line(text, size=200):
    return b'{"type":"message","text":"%s","pad":"%s"}\n' % (text.encode(), b"x" * size)


class Mirror(HubCase):
    def make(self, files=60):
        self.made = sessions.make(self.source, files, median=8000)
        return self.made

    def test_first_run_then_nothing(self):
        self.make()
        first = self.sync_one()
        self.assertEqual(first["counts"]["new"], 60)
        self.assert_mirrored()
        again = self.sync_one()
        self.assertEqual(again["changes"], [])
        self.assertLess(again["wireUp"] + again["wireDown"], 8 * 1024)
        self.assert_mirrored()

    def test_empty_source_and_empty_mirror(self):
        self.assertEqual(self.counts(), {})
        self.assert_mirrored()

    def test_growth(self):
        self.make()
        self.sync()
        before = self.snapshot()
        grown = sessions.grow(self.source, 7)
        self.age(*grown)
        report = self.sync_one()
        self.assertEqual(report["counts"]["grown"], 7)
        self.assert_mirrored()
        added = sum(p.stat().st_size for p in grown) - sum(
            len(before[os.fsencode(p.relative_to(self.source))][0]) for p in grown)
        self.assertEqual(report["bytesLiteral"], added)
        self.assertEqual(self.archived(), {})

    def test_growth_is_appended_in_place(self):
        path = self.write("p/a.jsonl", line("one"))
        self.sync()
        inode = (self.mirror / "p/a.jsonl").stat().st_ino
        path.write_bytes(path.read_bytes() + line("two"))
        self.age(path)
        self.sync()
        self.assertEqual((self.mirror / "p/a.jsonl").stat().st_ino, inode)

    def test_growth_leaves_hard_links_alone(self):
        path = self.write("p/a.jsonl", line("one"))
        self.sync()
        os.link(self.mirror / "p/a.jsonl", self.dir / "backup")
        path.write_bytes(path.read_bytes() + line("two"))
        self.age(path)
        self.assertEqual(self.counts(), {"grown": 1})
        self.assert_mirrored()
        self.assertEqual((self.dir / "backup").read_bytes(), line("one"))

    def test_rewrite_of_any_size(self):
        old = b"".join(line("line %d" % i) for i in range(400))
        for name, new in {
                "same-size": old.replace(b"line 200", b"LINE 200"),
                "longer": old.replace(b"line 200", b"line two hundred"),
                "shorter": old.replace(b"line 200", b""),
                "small": line("small")}.items():
            with self.subTest(name):
                content = old if name != "small" else line("SMALL")
                path = self.write(f"{name}/s.jsonl", content)
                self.sync()
                path.write_bytes(new)
                self.age(path)
                report = self.sync_one()
                self.assertEqual(report["counts"]["rewritten"], 1)
                self.assert_mirrored()
                self.assertEqual(self.archived()[os.fsencode(f"{name}/s.jsonl")], content)
                if name != "small":
                    self.assertLess(report["bytesLiteral"], len(old) / 4)

    def test_rewrite_within_the_same_timestamp(self):
        path = self.write("p/a.jsonl", line("one"), age=False)
        self.sync()
        st = path.stat()
        path.write_bytes(line("eno"))
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.sync()
        self.assert_mirrored()

    def test_truncation(self):
        path = self.write("p/a.jsonl", b"".join(line(str(i)) for i in range(300)))
        old = path.read_bytes()
        self.sync()
        for cut in (old[:len(line("0")) * 90], b""):
            path.write_bytes(cut)
            self.age(path)
            self.assertEqual(self.counts(), {"rewritten": 1})
            self.assert_mirrored()
        self.assertEqual(self.archived()[b"p/a.jsonl"], old)

    def test_move(self):
        self.make()
        self.sync()
        sessions.move(self.source, 10)
        report = self.sync_one()
        self.assertEqual(report["counts"]["moved"], 10)
        self.assertEqual(report["bytesLiteral"], 0)
        self.assert_mirrored()
        self.assertEqual(self.archived(), {})
        self.assertEqual(self.counts(), {})

    def test_move_and_growth_at_once(self):
        self.make()
        self.sync()
        moved = sessions.move(self.source, 5)
        for path in moved:
            path.write_bytes(path.read_bytes() + line("more"))
        self.age(*moved)
        self.assertEqual(self.counts(), {"moved": 5})
        self.assert_mirrored()

    def test_one_name_in_two_directories_is_not_a_move(self):
        self.write("p/session.jsonl", line("one"))
        self.sync()
        os.rename(self.source / "p", self.source / "q")
        self.write("r/session.jsonl", line("another one altogether"))
        self.sync()
        self.assert_mirrored()

    def test_fork(self):
        self.make()
        self.sync()
        sessions.fork(self.source, 5)
        self.assertEqual(self.counts(), {"new": 5})
        self.assert_mirrored()

    def parent_and_fork(self, size=1 << 20):
        """A session that does not compress, and a fork that repeats it."""
        lines = [line(os.urandom(400).hex(), 10) for _ in range(size // 850)]
        name = "p/2026-01-01T00-00-00-000Z_parent.jsonl"
        self.write(name, b'{"type":"session"}\n' + b"".join(lines))
        header = b'{"type":"session","parentSession":"%s"}\n' % os.fsencode(self.source / name)
        return name, header + b"".join(lines[:-100]) + line("added")

    def test_a_fork_costs_only_what_it_adds(self):
        _, fork = self.parent_and_fork()
        first = self.sync_one()
        self.assertGreater(first["wireDown"], 400_000)
        self.write("q/2026-02-01T00-00-00-000Z_fork.jsonl", fork)
        report = self.sync_one()
        self.assertEqual(report["counts"]["new"], 1)
        self.assertLess(report["wireUp"] + report["wireDown"], 20_000)
        self.assert_mirrored()

    def test_parent_and_fork_in_one_run(self):
        _, fork = self.parent_and_fork()
        self.write("q/2026-02-01T00-00-00-000Z_fork.jsonl", fork)
        report = self.sync_one()
        self.assertEqual(report["counts"]["new"], 2)
        self.assertLess(report["wireDown"], 700_000)
        self.assert_mirrored()

    def test_a_fork_of_a_file_that_the_mirror_lacks(self):
        name, fork = self.parent_and_fork()
        self.sync()
        # The hub's copy was edited by hand, with its size and time: the next run cannot notice.
        mirrored = self.mirror / name
        before = mirrored.stat()
        with open(mirrored, "r+b") as out:
            out.seek(1000)
            out.write(b"XXXX")
        os.utime(mirrored, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.write("q/2026-02-01T00-00-00-000Z_fork.jsonl", fork)
        self.assertEqual(self.counts(), {"new": 1})
        self.assertEqual((self.mirror / "q/2026-02-01T00-00-00-000Z_fork.jsonl").read_bytes(), fork)

    def test_moves_cost_little(self):
        """A moved file is named by its fingerprint alone, and verified by its hash."""
        self.make(200)
        self.sync()
        moved = sessions.move(self.source, 50)
        report = self.sync_one("--delete")
        self.assertEqual(report["counts"]["moved"], len(moved))
        # A fingerprint for each of these and of their old neighbours, and a hash for each of these.
        self.assertLess(report["wireUp"] + report["wireDown"], 16_000)
        self.assert_mirrored()

    def test_moves_of_similar_files(self):
        """The same name, size, time and even beginning: the content decides."""
        beginning = line("x" * 6000)
        for number in range(60):
            self.write(f"p{number}/session.jsonl", beginning + line(f"{number:08}"))
        self.sync()
        for number in range(60):
            (self.source / f"new/q{59 - number:02}").mkdir(parents=True)
            (self.source / f"p{number}").rename(self.source / f"new/q{59 - number:02}/p")
        self.write("copy/session.jsonl", beginning + line(f"{7:08}"))
        report = self.sync_one()
        self.assertEqual((report["counts"]["moved"], report["counts"]["new"], report["counts"]["kept"]), (60, 1, 0))
        self.assert_mirrored()
        self.assertEqual(self.archived(), {})

    def test_moves_of_many_that_grew(self):
        for number in range(60):
            self.write(f"p{number}/session.jsonl", line(f"{number:08}") + line("x" * 5000) * (1 + number % 3))
        self.write("small/session.jsonl", line("tiny"))
        self.sync()
        for number in range(60):
            (self.source / f"p{number}").rename(self.source / f"q{number}")
            self.write(f"q{number}/session.jsonl", (self.source / f"q{number}/session.jsonl").read_bytes() + line("more"))
        (self.source / "small").rename(self.source / "little")
        report = self.sync_one()
        self.assertEqual((report["counts"]["moved"], report["counts"]["new"], report["counts"]["kept"]), (61, 0, 0))
        self.assertLess(report["bytesLiteral"], 61 * 300)
        self.assert_mirrored()
        self.assertEqual(self.archived(), {})

    def test_an_old_file_that_appears(self):
        """It is restored from a backup, with its time: the hub must ask for its name."""
        self.make()
        self.sync()
        for name in ("one", "two"):
            path = self.write(f"--old--/{name}.jsonl", line(name))
            os.utime(path, (10**9, 10**9))
        self.assertEqual(self.counts(), {"new": 2})
        self.assert_mirrored()

    def test_removal_is_kept_and_costs_nothing_later(self):
        self.make()
        self.sync()
        removed = sessions.remove(self.source, 4)
        names = [str(p.relative_to(self.source)) for p in removed]
        self.assertEqual(self.counts(), {"kept": 4})
        self.assert_mirrored(besides=names)
        again = self.sync_one()
        self.assertLess(again["wireUp"] + again["wireDown"], 8 * 1024)
        self.assert_mirrored(besides=names)
        # A lost database costs one listing, and nothing else.
        shutil.rmtree(self.dir / "data")
        self.assertEqual(self.counts(), {"kept": 4})
        self.assert_mirrored(besides=names)

    def test_removal_with_delete(self):
        self.make()
        self.sync()
        before = self.snapshot()
        contents = {path: before[path][0] for path in
                    (os.fsencode(p.relative_to(self.source)) for p in sessions.remove(self.source, 4))}
        self.assertEqual(self.counts("--delete"), {"deleted": 4})
        self.assert_mirrored()
        self.assertEqual(self.archived(), contents)

    def test_delete_removes_files_kept_by_earlier_runs(self):
        self.make()
        self.sync()
        sessions.remove(self.source, 4)
        self.sync()
        self.assertEqual(self.counts("--delete"), {"deleted": 4})
        self.assert_mirrored()

    def test_a_kept_file_that_returns(self):
        path = self.write("p/a.jsonl", line("one"))
        self.write("p/b.jsonl", line("two"))
        self.sync()
        st = path.stat()
        path.unlink()
        self.assertEqual(self.counts(), {"kept": 1})
        path.write_bytes(line("one"))
        os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))
        self.assertEqual(self.counts(), {})
        self.assert_mirrored()
        self.assertEqual(self.counts("--delete"), {})

    def test_delete_guards(self):
        self.make(40)
        self.sync()
        before = self.snapshot()
        sessions.remove(self.source, 30)
        report = self.sync_one("--delete", code=1)
        self.assertEqual(report["failure"]["id"], "deletion-refused")
        self.assertIn("--max-delete 30", report["error"])
        self.assertEqual(self.snapshot(), before)
        shutil.rmtree(self.source)
        self.source.mkdir()
        report = self.sync_one("--delete", "--max-delete", "1000", code=1)
        self.assertEqual(report["failure"]["id"], "deletion-refused")
        self.source.rmdir()
        report = self.sync_one("--delete", "--max-delete", "1000", code=1)
        self.assertEqual(report["failure"]["id"], "root-missing")
        self.assertEqual(self.snapshot(), before)

    def test_a_guard_does_not_hide_other_failures(self):
        self.make(40)
        self.sync()
        sessions.remove(self.source, 30)
        self.write(".pi-brain-staging/a.jsonl", line("one"))
        self.write("p/b.jsonl", line("two"))
        report = self.sync_one("--delete", code=1)
        # The summary says the first; both are told.
        for word in ("--max-delete 30", ".pi-brain-staging"):
            self.assertIn(word, report["error"])
        self.assertEqual((self.mirror / "p/b.jsonl").read_bytes(), line("two"))

    def test_delete_spares_files_that_could_not_be_moved_yet(self):
        self.write("old/2026-01-01T00-00-00-000Z_x.jsonl", line("one"))
        self.write("p/other.jsonl", line("other"))
        self.sync()
        (self.source / "new").mkdir()
        moved = self.source / "new/2026-01-01T00-00-00-000Z_x.jsonl"
        os.rename(self.source / "old" / moved.name, moved)
        moved.write_bytes(b"x" * 300)  # rewritten, and its first line is still incomplete
        self.assertEqual(self.counts("--delete"), {"deferred": 1, "kept": 1})
        self.assertEqual((self.mirror / "old" / moved.name).read_bytes(), line("one"))
        moved.write_bytes(line("rewritten, and complete"))
        self.age(moved)
        self.counts("--delete")
        self.assert_mirrored()
        self.assertIn(line("one"), self.archived().values())

    def test_a_move_onto_a_directory_name(self):
        self.write("old/x.jsonl", line("one"))
        self.write("new/x.jsonl/inside.jsonl", line("inside"))
        self.sync()
        shutil.rmtree(self.source / "new/x.jsonl")
        os.rename(self.source / "old/x.jsonl", self.source / "new/x.jsonl")
        self.makes_room_by_deletion("new/x.jsonl: the mirror has a directory of this name")
        self.assert_mirrored()
        self.assertEqual(self.archived(), {b"new/x.jsonl/inside.jsonl": line("inside")})

    def test_an_archive_on_another_filesystem(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
            self.assertNotEqual(os.stat(elsewhere).st_dev, os.stat(self.dir).st_dev)
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.write_config([self.spoke()])
            self.write("thing/deep/a.jsonl", line("inside"))
            rewritten = self.write("p/b.jsonl", line("old"))
            self.write("p/gone.jsonl", line("gone"))
            self.sync()
            shutil.rmtree(self.source / "thing")
            self.write("thing", line("now a file"))
            rewritten.write_bytes(line("new"))
            self.age(rewritten)
            (self.source / "p/gone.jsonl").unlink()
            self.sync("--delete", code=1)  # frees the name "thing"
            self.sync()
            self.assert_mirrored()
            self.assertEqual(self.archived(), {b"thing/deep/a.jsonl": line("inside"),
                                               b"p/b.jsonl": line("old"), b"p/gone.jsonl": line("gone")})

    def test_delete_with_leave(self):
        self.make(40)
        self.sync()
        sessions.remove(self.source, 30)
        self.assertEqual(self.counts("--delete", "--max-delete", "30"), {"deleted": 30})
        self.assert_mirrored()

    def test_empty_files(self):
        self.write("p/empty.jsonl", b"")
        self.write("p/empty.txt", b"")
        self.assertEqual(self.counts(), {"new": 2})
        self.assert_mirrored()
        path = self.write("p/empty.jsonl", line("now it is not"))
        self.assertEqual(self.counts(), {"grown": 1})
        self.assert_mirrored()
        path.write_bytes(b"")
        self.age(path)
        self.sync()
        self.assert_mirrored()

    def test_a_large_file(self):
        block = os.urandom(1 << 20)
        path = self.source / "large.jsonl"
        with open(path, "wb") as out:
            for number in range(300):
                out.write(b"%06d" % number + block[6:])
        self.age(path)
        self.assertEqual(self.counts(), {"new": 1})
        self.assert_mirrored()
        with open(path, "r+b") as out:
            out.seek(150 << 20)
            out.write(b"changed in the middle")
            out.seek(0, 2)
            out.write(b"and at the end\n")
        self.age(path)
        report = self.sync_one()
        self.assertEqual(report["counts"]["rewritten"], 1)
        self.assertLess(report["bytesLiteral"], 4 << 20)
        self.assert_mirrored()

    def test_names(self):
        for name in ["with spaces.jsonl", "ümläut-日本語.jsonl", "new\nline.jsonl", "-n.jsonl",
                     "--delete", "x" * 249 + ".jsonl", "tab\there", "quote'\".jsonl", "back\\slash",
                     "esc\x1b[31m.jsonl", "*?[a].jsonl", "$(touch x)", ".hidden"]:
            self.write(f"p/{name}", line(name if name.isascii() else "x"))
        with open(os.path.join(os.fsencode(self.source), b"not-\xff-utf8.jsonl"), "wb") as out:
            out.write(line("bytes"))
        self.sync()
        self.assert_mirrored()
        text = self.pi_brain("sync", "list").stdout
        self.assertNotIn("\x1b", text)
        self.assertIn("esc\\x1b[31m.jsonl", text)

    def test_deep_nesting(self):
        # 60 levels, and a path that is longer than PATH_MAX.
        path = self.source
        for level in range(60):
            path /= "level-%d" % level
        path.mkdir(parents=True)
        self.write(path.relative_to(self.source) / "deep.jsonl", line("deep"))
        fd = os.open(self.source, os.O_RDONLY)
        for level in range(25):
            os.mkdir("d" * 200, dir_fd=fd)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        with open(os.open("deep.jsonl", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "wb") as out:
            out.write(line("long path"))
        os.close(fd)
        self.sync()
        self.assert_mirrored()

    def test_a_tree_that_is_too_deep_deletes_nothing(self):
        self.write("p/a.jsonl", line("one"))
        fd = os.open(self.source, os.O_RDONLY)
        for _ in range(450):
            os.mkdir("d", dir_fd=fd)
            below = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
        report = self.sync_one(code=1)
        self.assertEqual(report["failure"]["id"], "spoke-unreadable", report["error"])
        self.assert_mirrored()

    def test_symlinks_and_fifos_are_skipped(self):
        self.write("p/a.jsonl", line("one"))
        os.symlink("a.jsonl", self.source / "p" / "link.jsonl")
        os.symlink("/etc", self.source / "etc")
        os.mkfifo(self.source / "p" / "fifo.jsonl")
        report = self.sync_one()
        self.assertEqual(report["counts"]["new"], 1)
        self.assertIn("3 (etc, p/fifo.jsonl, p/link.jsonl)", "".join(report["warnings"]))
        self.assert_mirrored()

    def test_a_file_in_place_of_a_directory(self):
        self.write("thing/a.jsonl", line("inside"))
        self.write("other", line("a file"))
        self.sync()
        shutil.rmtree(self.source / "thing")
        (self.source / "other").unlink()
        self.write("thing", line("now a file"))
        self.write("other/b.jsonl", line("now a directory"))
        self.makes_room_by_deletion("thing: the mirror has a directory of this name",
                                    "other/b.jsonl: the mirror has a file of this name")
        self.assert_mirrored()
        self.assertEqual(self.archived(), {b"thing/a.jsonl": line("inside"), b"other": line("a file")})

    def makes_room_by_deletion(self, *words):
        """Without --delete, the old entry stays; with it, the old one is removed, and the next run fetches the new one."""
        before = self.snapshot(self.mirror)
        error = self.sync_one(code=1)["error"]
        for word in words:
            self.assertIn(word, error)
        self.assertEqual(self.snapshot(self.mirror), before)
        self.assertEqual(self.archived(), {})
        self.sync("--delete", code=1)
        self.sync()

    def test_a_local_edit_is_archived(self):
        self.write("p/a.jsonl", line("one"))
        self.sync()
        (self.mirror / "p/a.jsonl").write_bytes(b"edited on the hub")
        self.sync()
        self.assert_mirrored()
        self.assertEqual(self.archived(), {b"p/a.jsonl": b"edited on the hub"})
        self.assertEqual(self.reasons(), [("p/a.jsonl", "edited")])

    def test_a_symlink_in_the_mirror_is_not_followed(self):
        self.write("p/a.jsonl", line("one"))
        outside = self.dir / "outside"
        outside.mkdir()
        self.mirror.mkdir(parents=True)
        os.symlink(outside, self.mirror / "p")
        report = self.sync_one(code=1)
        self.assertEqual(report["failure"]["id"], "files-failed", report["error"])
        self.assertEqual(list(outside.iterdir()), [])

    def test_a_reserved_name(self):
        self.write(".pi-brain-staging/a.jsonl", line("one"))
        self.write("p/b.jsonl", line("two"))
        report = self.sync_one(code=1)
        self.assertIn(".pi-brain-staging", report["error"])
        self.assertEqual(set(files := harness.files_below(self.mirror)), {b"p/b.jsonl"}, files)

    def test_modes_are_kept_on_request(self):
        self.write_config([self.spoke(keep_modes=True)])
        path = self.write("p/a.jsonl", line("one"))
        path.chmod(0o6755)
        self.sync()
        self.assertEqual((self.mirror / "p/a.jsonl").stat().st_mode & 0o7777, 0o755)

    def test_half_a_line_waits(self):
        path = self.write("p/a.jsonl", line("one") + b'{"half":', age=False)
        self.write("p/only-half.jsonl", b'{"half":', age=False)
        self.write("p/notes.txt", b"no lines here", age=False)
        self.assertEqual(self.counts(), {"new": 2, "deferred": 1})
        self.assertEqual((self.mirror / "p/a.jsonl").read_bytes(), line("one"))
        self.assertFalse((self.mirror / "p/only-half.jsonl").exists())
        self.assertEqual((self.mirror / "p/notes.txt").read_bytes(), b"no lines here")
        with open(path, "ab") as out:
            out.write(b'"whole"}\n')
        self.sync()
        self.assertEqual((self.mirror / "p/a.jsonl").read_bytes(), path.read_bytes())
        # After ten quiet seconds, it is sent as it is.
        past = time.time_ns() - 11 * 10**9
        os.utime(self.source / "p/only-half.jsonl", ns=(past, past))
        os.utime(path, ns=(past, past))
        self.sync()
        self.assert_mirrored()

    def test_a_file_that_grows_while_it_is_read(self):
        path = self.source / "p/busy.jsonl"
        path.parent.mkdir()
        with open(path, "wb") as out:
            for number in range(20_000):
                out.write(line(str(number), 0) + os.urandom(600).hex().encode() + b"\n")
        stop = threading.Event()

        def append():
            while not stop.is_set():
                with open(path, "ab") as out:
                    out.write(line("appended", 3000))

        writer = threading.Thread(target=append)
        writer.start()
        try:
            self.sync("--bwlimit", "8000")
            mirrored = (self.mirror / "p/busy.jsonl").read_bytes()
        finally:
            stop.set()
            writer.join()
        whole = path.read_bytes()
        self.assertGreater(len(mirrored), 20_000_000)
        self.assertLess(len(mirrored), len(whole))
        self.assertTrue(whole.startswith(mirrored))
        self.assertTrue(mirrored.endswith(b"\n"))
        self.sync()
        self.assert_mirrored()

    def test_a_file_that_is_rewritten_while_it_is_read(self):
        path = self.write("p/busy.jsonl", b"")
        stop = threading.Event()
        versions = [b"".join(line("%s %d" % (v, i), 900) for i in range(4000)) for v in "ab"]

        def rewrite():
            turn = 0
            while not stop.is_set():
                path.write_bytes(versions[turn % 2])
                turn += 1

        writer = threading.Thread(target=rewrite)
        writer.start()
        try:
            for _ in range(4):
                self.sync()
                mirrored = self.mirror / "p/busy.jsonl"
                if mirrored.exists():
                    content = mirrored.read_bytes()
                    self.assertTrue(any(v.startswith(content) for v in versions))
        finally:
            stop.set()
            writer.join()
        self.sync()
        self.assert_mirrored()

    def test_files_without_read_permission(self):
        self.write("p/open.jsonl", line("one"))
        denied = self.write("p/denied.jsonl", line("two"))
        closed = self.write("closed/c.jsonl", line("three"))
        self.sync()
        self.assert_mirrored()
        before = self.snapshot()
        denied.write_bytes(line("changed"))
        self.age(denied)
        denied.chmod(0)
        closed.parent.chmod(0)
        self.write("p/new.jsonl", line("four"))
        if os.geteuid() == 0:
            # Root reads everything unless it drops that capability.
            self.sshd.authorize("setpriv --bounding-set=-dac_override,-dac_read_search "
                                f"{harness.AGENT} --root={self.source}")
        for arguments in ([], ["--delete"]):
            report = self.sync_one(*arguments, code=1)
            self.assertIn("closed", " ".join(report["warnings"]))
            self.assertEqual(report["failure"]["id"], "files-failed", report["error"])
        now = self.snapshot()
        self.assertEqual(now.pop(b"p/new.jsonl")[0], line("four"))
        self.assertEqual(now, before)
        denied.chmod(0o600)
        closed.parent.chmod(0o700)
        self.sync()
        self.assert_mirrored()

    def test_an_interrupted_large_file_continues(self):
        path = self.source / "large.jsonl"
        path.write_bytes(os.urandom(24 << 20))
        self.age(path)
        run = self.start_run("--bwlimit", "8000")
        staging = self.mirror / ".pi-brain-staging"

        def half_way():
            return staging.exists() and any(p.stat().st_size > 8 << 20 for p in staging.iterdir())

        harness.wait_for(half_way, what="half of the file")
        run.kill()
        run.communicate()
        self.assertFalse((self.mirror / "large.jsonl").exists())
        report = self.sync_one()
        self.assertLess(report["bytesLiteral"], 17 << 20)
        self.assert_mirrored()


if __name__ == "__main__":
    unittest.main(verbosity=2)
