"""What is left out of a mirror: by the hub's config, and by the command that the spoke forces."""
import os
import subprocess
import unittest

import harness


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
