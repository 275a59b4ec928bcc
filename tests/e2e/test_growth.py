"""Files that change in other ways than by growing, and mirrored files that somebody edits: in the end the mirror
equals the spoke, and every old version is in the archive."""
import os
import time
import unittest

from faults import LARGE_TAIL, FaultCase, lines


class Growth(FaultCase):
    def setUp(self):
        super().setUp()
        # Smaller and larger than files that are worth a delta.
        self.files = {"p/small.jsonl": 3000, "p/medium.jsonl": 60_000, "p/large.jsonl": 700_000}
        for name, size in self.files.items():
            self.write(name, lines(self.rng, size))
        self.settle()

    def each(self, edit, archived=True, fresh=True):
        """Edits each file with edit(path), twice. Checks that the mirror follows, and that old versions are archived."""
        for turn in range(2):
            olds = []
            for name, size in self.files.items():
                path = self.source / name
                if path.stat().st_size < size / 2:
                    path.write_bytes(lines(self.rng, size))
            self.settle()
            for name in self.files:
                path = self.source / name
                olds.append(path.read_bytes())
                edit(path)
                self.assertFalse(path.read_bytes() == olds[-1], name)
                if not fresh:
                    self.age(path)
            self.sync()
            self.assert_mirrored()
            self.assert_promised()
            self.assert_archived(*(olds if archived else []))
            self.note()

    def test_shrinks(self):
        for fresh in (True, False):
            for part in (2, 3, 50):
                self.each(lambda p: os.truncate(p, self.line_end(p, p.stat().st_size * (part - 1) // part)),
                          fresh=fresh)

    def line_end(self, path, at):
        """The end of the last line before an offset; at least one line."""
        content = path.read_bytes()
        return max(content.rfind(b"\n", 0, at), content.index(b"\n")) + 1

    def test_shrinks_to_nothing_and_returns(self):
        for name in self.files:
            path = self.source / name
            old = path.read_bytes()
            os.truncate(path, 0)
            self.sync()
            self.assert_mirrored()
            self.assert_archived(old)
            path.write_bytes(lines(self.rng, 5000))
            self.sync()
            self.assert_mirrored()
            self.assert_archived(old)
            self.note()

    def test_rewritten_in_the_same_inode(self):
        def rewrite(factor):
            def edit(path):
                inode = path.stat().st_ino
                content = lines(self.rng, int(path.stat().st_size * factor))
                with open(path, "r+b") as out:
                    out.truncate(0)
                    out.write(content)
                self.assertEqual(path.stat().st_ino, inode)
            return edit

        for factor in (0.5, 1, 2):
            for fresh in (True, False):
                self.each(rewrite(factor), fresh=fresh)

    def test_one_byte_changed(self):
        def edit(path):
            content = bytearray(path.read_bytes())
            at = content.index(b"pad", self.rng.randrange(len(content) // 2))
            content[at] ^= 1
            path.write_bytes(content)

        self.each(edit)
        self.each(edit, fresh=False)

    def test_replaced_by_a_rename(self):
        """As editors save: another inode, with an older time than the file it replaces."""
        def edit(path):
            new = path.with_suffix(".new")
            new.write_bytes(lines(self.rng, path.stat().st_size))
            os.rename(new, path)
            os.utime(path, ns=(1, 10**18 + self.rng.randrange(10**15)))

        self.each(edit)

    def test_rewritten_within_one_tick(self):
        """Right after a run, with the same size and time to the nanosecond: the next run checks it again."""
        for name in self.files:
            path = self.source / name
            path.write_bytes(lines(self.rng, path.stat().st_size))
            st = path.stat()
            self.sync()
            mirrored = (self.mirror / name).stat()
            self.assertEqual(mirrored.st_mtime_ns, st.st_mtime_ns - 1)
            self.note()
            old = path.read_bytes()
            with open(path, "r+b") as out:
                out.write(lines(self.rng, st.st_size)[:200])
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
            self.assertEqual((path.stat().st_size, path.stat().st_mtime_ns), (st.st_size, st.st_mtime_ns))
            self.assertNotEqual(path.read_bytes(), old)
            self.sync()
            self.assert_mirrored()
            self.assert_archived(old)
            self.note()

    def test_settled_after_two_seconds(self):
        """Then the mirror has the spoke's exact time, and no run checks the file again."""
        path = self.source / "p/small.jsonl"
        path.write_bytes(lines(self.rng, 3000))
        time.sleep(2.1)
        self.sync()
        self.assertEqual((self.mirror / "p/small.jsonl").stat().st_mtime_ns, path.stat().st_mtime_ns)
        self.assertEqual(self.counts(), {})

    def test_grows_and_changes_at_once(self):
        def edit(path):
            content = bytearray(path.read_bytes())
            content[50] ^= 1
            path.write_bytes(bytes(content) + lines(self.rng, 2000))

        self.each(edit)

    def test_grows_in_every_way(self):
        def append(size):
            def edit(path):
                with open(path, "ab") as out:
                    out.write(lines(self.rng, size))
            return edit

        for size in (100, 200_000, LARGE_TAIL):
            self.each(append(size), archived=False)
        self.each(append(100), archived=False, fresh=False)

    def test_a_parent_and_its_fork_change_together(self):
        parent = self.source / "p/large.jsonl"
        header = b'{"type":"session","parentSession":"%s"}\n' % os.fsencode(parent)
        fork = self.source / "p/fork.jsonl"
        for turn in range(3):
            old = {p: p.read_bytes() for p in (parent, fork) if p.exists()}
            content = lines(self.rng, 100_000) + parent.read_bytes()[:self.line_end(parent, 300_000)]
            parent.write_bytes(content)
            fork.write_bytes(header + content + b'{"turn":%d}\n' % turn)
            self.sync()
            self.assert_mirrored()
            self.assert_archived(*old.values())
            self.note()

    # Edits on the hub.

    def edited_on_the_hub(self, edit, spoke=None, archived=True, same_time=False):
        """Edits the mirror's file, and perhaps the spoke's. Checks that the edit is archived."""
        edits = []
        for name in self.files:
            path = self.mirror / name
            st = path.stat()
            edit(path)
            if same_time:
                os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
                self.assertEqual(path.stat().st_size, st.st_size)
            edits.append(path.read_bytes())
            if spoke is not None:
                spoke(self.source / name)
        self.held.update(edits)
        self.sync()
        self.assert_mirrored()
        self.assert_archived(*(edits if archived else []))
        self.before = {}
        self.note()

    def append(self, path):
        with open(path, "ab") as out:
            out.write(lines(self.rng, 1500))

    def append_more(self, path):
        # Not as much as append(), since two changes within a tick of the clock differ in size alone.
        with open(path, "ab") as out:
            out.write(lines(self.rng, 3000))

    def overwrite(self, path):
        with open(path, "r+b") as out:
            out.seek(100)
            out.write(b"edited on the hub")

    def test_an_edit_on_the_hub(self):
        self.edited_on_the_hub(self.overwrite)

    def test_an_edit_on_the_hub_and_growth(self):
        self.edited_on_the_hub(self.overwrite, spoke=self.append_more)

    def test_an_edit_on_the_hub_that_keeps_size_and_time(self):
        """Nothing shows it until the spoke's file changes."""
        self.edited_on_the_hub(self.overwrite, spoke=self.append_more, same_time=True)
        self.edited_on_the_hub(self.overwrite, spoke=self.overwrite_otherwise, same_time=True)

    def overwrite_otherwise(self, path):
        with open(path, "r+b") as out:
            out.seek(120)
            out.write(os.urandom(10).hex().encode())

    def test_lines_added_on_the_hub(self):
        self.edited_on_the_hub(self.append)
        self.edited_on_the_hub(self.append, spoke=self.append_more)

    def test_replaced_on_the_hub(self):
        self.edited_on_the_hub(lambda p: p.write_bytes(b"something else\n"))
        self.edited_on_the_hub(lambda p: p.write_bytes(b"something else\n"), spoke=self.append_more)

    def test_truncated_on_the_hub(self):
        """The rest is the beginning of the spoke's file: it is completed, and nothing is lost."""
        self.edited_on_the_hub(lambda p: os.truncate(p, 700), archived=False)
        self.edited_on_the_hub(lambda p: os.truncate(p, 0), archived=False)

    def test_an_edit_on_the_hub_of_a_file_that_is_deleted(self):
        """The spoke deletes it: the edit is archived."""
        self.overwrite(self.mirror / "p/large.jsonl")
        edited = (self.mirror / "p/large.jsonl").read_bytes()
        self.held.add(edited)
        (self.source / "p/large.jsonl").unlink()
        self.sync("--delete")
        self.assert_mirrored()
        self.assert_archived(edited)

    def test_an_edit_on_the_hub_of_a_file_that_moves(self):
        """It is no longer a move: the new path gets the spoke's file, and the edit stays or is archived."""
        self.overwrite(self.mirror / "p/large.jsonl")
        edited = (self.mirror / "p/large.jsonl").read_bytes()
        self.held.add(edited)
        (self.source / "q").mkdir()
        os.rename(self.source / "p/large.jsonl", self.source / "q/large.jsonl")
        self.sync("--delete")
        self.assert_mirrored()
        self.assert_archived(edited)

    def test_a_file_that_the_hub_alone_has(self):
        """Somebody put a file into the mirror: it stays, and with --delete it is archived."""
        (self.mirror / "p/mine.jsonl").write_bytes(b"mine\n")
        (self.mirror / "p/mine.jsonl").chmod(0o600)
        self.assertEqual(self.counts(), {"kept": 1})
        self.assert_mirrored(besides=["p/mine.jsonl"])
        self.held.add(b"mine\n")
        self.sync("--delete")
        self.assert_mirrored()
        self.assert_archived(b"mine\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
