"""What is left out of a mirror: by the hub's config, and by the command that the spoke forces."""
import json
import os
import subprocess
import unittest

import harness


class ByTheHub(harness.HubCase):
    PATTERNS = ["*.tmp", "node_modules/", "/old"]

    def setUp(self):
        super().setUp()
        for name in ("a.jsonl", "a.tmp", "x/b.jsonl", "x/b.tmp", "x/node_modules/c.jsonl", "node_modules/deep/d.jsonl",
                     "old/e.jsonl", "x/old/f.jsonl", "y/node_modules"):
            self.write(name, name.encode() + b"\n")
        self.exclude(self.PATTERNS)

    synced = {"a.jsonl", "x/b.jsonl", "x/old/f.jsonl", "y/node_modules"}

    def exclude(self, patterns, **fields):
        self.write_config([self.spoke(exclude=patterns, **fields)])

    def mirrored(self):
        return {os.fsdecode(path) for path in harness.files_below(self.mirror)}

    def is_quiet(self, **counts):
        """Nothing is left to do, and all that the spoke sends is that it has nothing new."""
        report = self.sync_one()
        self.assertEqual({k: v for k, v in report["counts"].items() if v and k != "files"}, counts)
        self.assertLess(report["wireDown"], 8000)

    def test_what_is_synced(self):
        self.assertEqual(self.counts(), {"new": 4})
        self.assertEqual(self.mirrored(), self.synced)
        self.is_quiet()
        verified = json.loads(self.pi_brain("sync", "verify", "--json").stdout)["spokes"][0]
        self.assertEqual((verified["files"], verified["differences"], verified["extra"]), (4, [], 0))
        self.assertIn("up to date", self.pi_brain("sync", "doctor").stdout)

    def test_many_cost_nothing(self):
        for number in range(3000):
            self.write(f"node_modules/m{number}/{number}.jsonl", b"{}\n")
            self.write(f"x/{number}.tmp", b"{}\n")
        self.assertEqual(self.counts(), {"new": 4})
        self.is_quiet()
        # Beside a change, too.
        self.write("a.jsonl", b"a.jsonl\nmore\n")
        report = self.sync_one()
        self.assertEqual(report["counts"]["grown"], 1)
        self.assertLess(report["wireDown"], 8000)
        self.is_quiet()

    def test_changes_beside_what_is_left_out(self):
        self.sync()
        self.write("x/b.jsonl", b"x/b.jsonl\nmore\n")
        self.write("x/new.jsonl", b"new\n")
        self.write("x/new.tmp", b"left out\n")
        self.assertEqual(self.counts(), {"new": 1, "grown": 1})
        self.is_quiet()
        self.assertEqual(self.mirrored(), self.synced | {"x/new.jsonl"})
        (self.source / "x/b.jsonl").unlink()
        self.assertEqual(self.counts(), {"kept": 1})
        self.is_quiet(kept=1)
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        self.is_quiet()

    def test_changes_of_what_is_left_out(self):
        self.sync()
        for change in (lambda: self.write("x/b.tmp", b"other\n"), lambda: self.write("node_modules/deep/d2.jsonl", b"d2\n"),
                       lambda: (self.source / "x/node_modules/c.jsonl").unlink(), lambda: (self.source / "a.tmp").unlink(),
                       lambda: os.rename(self.source / "old", self.source / "old.tmp"),
                       lambda: os.rename(self.source / "old.tmp", self.source / "old")):
            change()
            self.assertEqual(self.counts("--delete"), {})
            self.is_quiet()
            self.assertEqual(self.mirrored(), self.synced)
        # Out of it, and into it.
        os.rename(self.source / "x/b.tmp", self.source / "x/c.jsonl")
        self.assertEqual(self.counts(), {"new": 1})
        os.rename(self.source / "x/c.jsonl", self.source / "x/c.tmp")
        self.assertEqual(self.counts(), {"kept": 1})
        self.is_quiet(kept=1)

    def test_what_was_mirrored_before_stays(self):
        self.exclude([])
        self.assertEqual(self.counts(), {"new": 9})
        self.exclude(self.PATTERNS)
        for _ in range(2):
            self.is_quiet(kept=5)
        self.assertIn("nothing new, 5 kept", self.pi_brain("sync", "run").stdout)
        before = self.snapshot()
        self.write("x/b.tmp", b"x/b.tmp\nit goes on there\n")
        (self.source / "a.tmp").unlink()
        # One of the same size and time: it has not moved.
        twin = self.write("twin.jsonl", (self.source / "old/e.jsonl").read_bytes(), age=False)
        stat = (self.source / "old/e.jsonl").stat()
        os.utime(twin, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        (self.source / "a.jsonl").unlink()
        self.assertEqual(self.counts("--delete", "--max-delete", "100"), {"new": 1, "deleted": 1, "kept": 5})
        after = self.snapshot()
        self.assertEqual({path: after.get(path) for path in before if path != b"a.jsonl"},
                         {path: content for path, content in before.items() if path != b"a.jsonl"})
        self.assertEqual(set(after) - set(before), {b"twin.jsonl"})
        self.assertEqual(set(self.archived()), {b"a.jsonl"})

    def test_all_else_that_is_gone_counts_for_the_half_alone(self):
        """Whether too much would be deleted is asked of what may be."""
        for number in range(40):
            self.write(f"old/{number}.jsonl", b"{}\n")
        self.exclude([])
        self.sync()
        self.exclude(self.PATTERNS)
        (self.source / "a.jsonl").unlink()
        self.assertEqual(self.counts("--delete"), {"deleted": 1, "kept": 45})

    def test_taken_in_again(self):
        self.sync()
        self.write("x/b.jsonl", b"x/b.jsonl\nmore\n")
        self.sync()
        self.exclude(["*.tmp"])
        self.assertEqual(self.counts(), {"new": 3})
        self.is_quiet()
        self.exclude([])
        self.assertEqual(self.counts(), {"new": 2})
        self.is_quiet()
        self.assert_mirrored()

    def test_without_a_history(self):
        """What is remembered of it saves a listing, no more."""
        self.sync()
        for path in (self.dir / "data").glob("sync.db*"):
            path.unlink()
        self.write("x/b.tmp", b"other\n")
        self.assertEqual(self.counts(), {})
        self.is_quiet()
        self.assertEqual(self.mirrored(), self.synced)

    def test_kept_modes_and_dry_runs(self):
        self.exclude(self.PATTERNS, keep_modes=True)
        self.assertEqual(self.counts("--dry-run"), {"new": 4})
        self.assertFalse(self.mirror.exists())
        self.sync()
        self.is_quiet()
        os.chmod(self.source / "x/b.tmp", 0o644)
        self.assertEqual(self.counts("--dry-run"), {})
        self.assertEqual(self.counts(), {})
        self.is_quiet()

    def test_who_leaves_out_all(self):
        self.exclude(["*"])
        self.assertEqual(self.counts("--delete"), {})
        self.is_quiet()
        self.assertEqual(self.mirrored(), set())


class ByTheSpoke(harness.HubCase):
    def setUp(self):
        super().setUp()
        for name in ("a.jsonl", "a.tmp", "private/b.jsonl", "x/private/c.jsonl", "x/d.jsonl"):
            self.write(name, name.encode() + b"\n")
        (self.source / "private/link").symlink_to("b.jsonl")
        os.mkfifo(self.source / "pipe.tmp")
        self.force("--exclude=bytes:%2A.tmp", "--exclude=private/")

    def force(self, *options):
        self.sshd.authorize(f"{harness.quote(harness.AGENT)} --root={harness.quote(self.source)} {' '.join(options)}")

    def test_nothing_of_it_is_told(self):
        report = self.sync_one()
        self.assertEqual((report["counts"]["new"], report["counts"]["files"], report["warnings"]), (2, 2, []))
        self.assert_mirrored_but()
        # Nor what cannot be read there.
        os.chmod(self.source / "private", 0)
        self.assertEqual(self.counts("--delete"), {})

    def assert_mirrored_but(self):
        self.assertEqual({os.fsdecode(path) for path in harness.files_below(self.mirror)}, {"a.jsonl", "x/d.jsonl"})

    def test_no_pattern_is_passed_over(self):
        """An agent that does not know what to leave out serves nothing."""
        for option in ("--exclude=", "--exclude=!a", "--exclude=bytes:%5Ba", "--exclude=bytes:%zz", "--exclude=a//b"):
            done = subprocess.run([harness.AGENT, f"--root={self.source}", option], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True)
            self.assertEqual(done.returncode, 2, option)
            self.assertIn("--exclude=", done.stderr)
            self.assertEqual(done.stdout, "")

    def test_the_line(self):
        """What is in it needs no quotes in any shell, and comes to what was meant."""
        key = harness.keygen(self.dir / "key").with_suffix(".pub")
        patterns = ["*.tmp", "a b", "[a-c]?", "~x", "$HOME", "bytes:x", "plain/", "/at/one", "ü", "it's", 'say "x"', "\\*"]
        options = [f"--exclude={pattern}" if not pattern.startswith("bytes:") else "--exclude=bytes:bytes%3Ax" for pattern in patterns]
        line = subprocess.run([harness.AGENT, f"--root={self.source}", *options, "--authorized-keys-line", key], capture_output=True,
                              text=True, check=True).stdout
        command = line.partition('command="')[2].partition('"')[0]
        self.assertRegex(command, r"^[A-Za-z0-9_./,@%+:=~ -]+$")
        again = subprocess.run([harness.AGENT, *command.split()[1:], "--authorized-keys-line", key], capture_output=True, text=True,
                               check=True).stdout
        self.assertEqual(again, line)
        self.assertEqual(command.count("--exclude="), len(patterns))


if __name__ == "__main__":
    unittest.main()
