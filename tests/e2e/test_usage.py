"""A wrong or incomplete command line: the message names the word, and what could be there instead."""
import subprocess
import unittest

import harness
from harness import HubCase

HUB = harness.BIN / "pi-brain"


class Usage(HubCase):
    def says(self, *arguments, code=2):
        done = subprocess.run([HUB, *arguments], env=self.environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done.stderr if code else done.stdout

    def test_a_word_that_is_not_a_command(self):
        for line, meant in (("run", "sync run"), ("status", "sync status"), ("doctor", "sync doctor"), ("add", "spoke add"),
                            ("sync rnu", "sync run"), ("sync stauts", "sync status"), ("stats", "sync status"),
                            ("spok list", "spoke"), ("sync archive lst", "sync archive list"), ("healht", "health")):
            with self.subTest(line):
                self.assertIn(f"Did you mean 'pi-brain {meant}'?", self.says(*line.split()))
        said = self.says("sync", "nothing-like-it")
        self.assertEqual(said, "pi-brain: there is no command 'sync nothing-like-it'. See the commands and options: 'pi-brain sync --help'.\n")
        self.assertNotIn("\x1b", self.says("\x1b[2J"))
        self.assertIn("another program", self.says("query"))

    def test_a_word_that_is_not_expected(self):
        self.assertIn("Did you mean '--spoke laptop'?", self.says("sync", "list", "laptop"))
        self.assertIn("has no option '--dryrun'. Did you mean '--dry-run'?", self.says("sync", "run", "--dryrun"))
        self.assertIn("has no option '-x'.", self.says("sync", "run", "-x"))
        self.assertIn("'pi-brain sync uninstall-timer' takes no 'more'.", self.says("sync", "uninstall-timer", "more"))

    def test_missing_and_wrong_values(self):
        for line, words in (("sync", "'pi-brain sync' needs a command."), ("spoke add", "NAME is missing."),
                            ("spoke add x", "TARGET is missing."), ("sync run --jobs", "--jobs needs a value."),
                            ("sync run --jobs x", "--jobs must be a number from 1 to 256, not 'x'."),
                            ("sync run --jobs 257", "--jobs must be a number from 1 to 256, not '257'."),
                            ("sync run --bwlimit 10M", "--bwlimit must be a number from 0 to 100000000, not '10M'."),
                            ("sync history -n 0", "--limit must be a number from 1 to 10000000, not '0'."),
                            ("sync run -v -q", "--verbose and --quiet cannot be used together."),
                            ("sync run -c", "--config needs a value.")):
            with self.subTest(line):
                said = self.says(*line.split())
                self.assertTrue(said.startswith(f"pi-brain: {words}"), said)
        self.assertIn("--config is empty, but must be a path", self.says("sync", "run", "-c", ""))

    def test_help_and_version(self):
        whole = self.says(code=0)
        self.assertEqual(whole, self.says("--help", code=0))
        self.assertEqual(whole, self.says("help", code=0))
        self.assertIn("pi-brain spoke add laptop user@laptop", whole)
        self.assertEqual(self.says("help", "sync", "run", code=0), self.says("sync", "run", "--help", code=0))
        self.assertIn("there is no command 'nope'", self.says("help", "nope"))
        self.assertEqual(len({self.says(*line, code=0) for line in (["version"], ["-V"], ["--version"])}), 1)

    def test_names_of_spokes_without_an_option(self):
        self.write_config([self.spoke("a"), self.spoke("b"), self.spoke("c")])
        for command in (["sync", "run"], ["sync", "doctor"], ["health"]):
            with self.subTest(command):
                done = subprocess.run([HUB, *command, "-c", self.config, "a", "--spoke", "c", "--json"], env=self.environment(),
                                      capture_output=True, text=True, timeout=60)
                named = {name for name in "abc" if f'"name": "{name}"' in done.stdout}
                self.assertEqual(named, {"a", "c"}, done.stdout + done.stderr)
        self.assertIn("there is no spoke 'd'", self.says("sync", "run", "-c", self.config, "a", "d"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
