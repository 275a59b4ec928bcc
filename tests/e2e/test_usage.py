"""A wrong or incomplete command line: the message names the word, and what could be there instead."""
import json
import re
import subprocess
import unittest

import harness
from harness import HubCase

HUB = harness.BIN / "pi-brain"


class Usage(HubCase):
    def says(self, *arguments, code=2, failure="usage"):
        """What it prints; with --json before the options, the failure's id."""
        done = subprocess.run([HUB, *arguments], env=self.environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        if not code:
            return done.stdout
        options = next((i for i, word in enumerate(arguments) if str(word).startswith("-")), len(arguments))
        document = subprocess.run([HUB, *arguments[:options], "--json", *arguments[options:]], env=self.environment(), capture_output=True, text=True,
                                  timeout=60)
        self.assertEqual(json.loads(document.stdout)["failure"]["id"], failure, document.stdout)
        return done.stderr

    def quotes(self, *arguments, **expected):
        """The words that the message has in quotes: those of the command line, what was meant, and a command to run."""
        return re.findall("'([^']*)'", self.says(*arguments, **expected))

    def test_a_word_that_is_not_a_command(self):
        for line, meant in (("run", "sync run"), ("status", "sync status"), ("doctor", "sync doctor"), ("add", "spoke add"),
                            ("sync rnu", "sync run"), ("sync stauts", "sync status"), ("stats", "sync status"),
                            ("spok list", "spoke list"), ("sync archive lst", "sync archive list"), ("healht", "health"),
                            ("spoke rm", "spoke remove"), ("spoke delete x", "spoke remove x"), ("spoke rotate", "spoke rotate-key"),
                            ("sync timer", "sync install-timer"), ("spoke ls", "spoke list")):
            with self.subTest(line):
                self.assertIn(f"pi-brain {meant}", self.quotes(*line.split()))
        self.assertRegex(self.says("sync", "nothing-like-it"), "^pi-brain: [^\n]*'\\.\n$")
        self.assertEqual(self.quotes("sync", "nothing-like-it"), ["sync nothing-like-it", "pi-brain sync --help"])
        self.assertNotIn("\x1b", self.says("\x1b[2J"))
        # A command of another program of this name.
        self.assertEqual(self.quotes("query"), ["query", "pi-brain sync --help"])

    def test_a_word_that_is_not_expected(self):
        for line, quoted in (("sync install-timer laptop", ["pi-brain sync install-timer", "laptop", "pi-brain sync install-timer --help"]),
                             ("sync run --dryrun", ["pi-brain sync run", "--dryrun", "pi-brain sync run --help"]),
                             ("sync run -x", ["pi-brain sync run", "-x", "pi-brain sync run --help"]),
                             ("sync uninstall-timer more", ["pi-brain sync uninstall-timer", "more", "pi-brain sync uninstall-timer --help"])):
            with self.subTest(line):
                self.assertEqual(self.quotes(*line.split()), quoted)

    def test_missing_and_wrong_values(self):
        for line, named in (("sync", "'pi-brain sync' "), ("spoke add", "NAME "), ("spoke add x", "TARGET "), ("sync run --jobs", "--jobs [^0-9]*$"),
                            ("sync run --jobs x", "--jobs .* 1 .* 256\\b.*'x'"), ("sync run --jobs 257", "--jobs .* 1 .* 256\\b.*'257'"),
                            ("sync run --bwlimit 10M", "--bwlimit .* 0 .* 100000000\\b.*'10M'"),
                            ("sync history -n 0", "--limit .* 1 .* 10000000\\b.*'0'"), ("sync run -v -q", "--verbose .*--quiet "),
                            ("sync run -c", "--config ")):
            with self.subTest(line):
                self.assertRegex(self.says(*line.split()), f"^pi-brain: {named}")
        self.assertRegex(self.says("sync", "run", "-c", ""), "^pi-brain: --config ")
        # The next option is not taken for a path.
        self.assertRegex(self.says("sync", "run", "-c", "--json"), "^pi-brain: --config needs a path before --json")
        self.assertRegex(self.says("sync", "run", "-c", "a", "-c", "b"), "^pi-brain: --config is given twice")
        self.assertIn("Use --dry-run.", self.says("sync", "run", "--dryrun"))

    def test_the_config_before_the_command(self):
        config = self.dir / "elsewhere.yaml"
        config.write_text("spokes:\n  - {name: laptop, sync_method: syncthing, path: /nowhere}\n")
        for line in (["-c", config, "sync", "list", "--names"], ["sync", f"--config={config}", "list", "--names"],
                     ["-c", "/nowhere", "sync", "list", "--names", "-c", config]):
            done = self.pi_brain(*line, config=False)
            self.assertEqual((done.returncode, done.stdout), (0, "laptop\n"), line)

    def test_a_spoke_that_is_not_known(self):
        config = self.dir / "spokes.yaml"
        config.write_text("spokes:\n  - {name: laptop, sync_method: syncthing, path: /nowhere}\n")
        self.assertIn("laptop", self.quotes("sync", "run", "lptop", "-c", config, failure="spoke-unknown"))
        self.assertNotIn("laptop", self.quotes("sync", "run", "server", "-c", config, failure="spoke-unknown"))
        self.assertIn("--wait=10min", self.says("sync", "run", "--wait", "10min", "-c", config, failure="spoke-unknown"))

    def test_help_and_version(self):
        whole = self.says(code=0)
        self.assertEqual(whole, self.says("--help", code=0))
        self.assertEqual(whole, self.says("help", code=0))
        self.assertIn("pi-brain spoke add laptop user@laptop", whole)
        self.assertEqual(self.says("help", "sync", "run", code=0), self.says("sync", "run", "--help", code=0))
        self.assertIn("nope", self.quotes("help", "nope"))
        self.assertEqual(len({self.says(*line, code=0) for line in (["version"], ["-V"], ["--version"])}), 1)

    def test_names_of_spokes_without_an_option(self):
        self.write_config([self.spoke("a"), self.spoke("b"), self.spoke("c")])
        for command in (["sync", "run"], ["sync", "doctor"], ["health"]):
            with self.subTest(command):
                done = subprocess.run([HUB, *command, "-c", self.config, "a", "--spoke", "c", "--json"], env=self.environment(),
                                      capture_output=True, text=True, timeout=60)
                named = {name for name in "abc" if f'"name": "{name}"' in done.stdout}
                self.assertEqual(named, {"a", "c"}, done.stdout + done.stderr)
        self.assertIn("d", self.quotes("sync", "run", "-c", self.config, "a", "d", failure="spoke-unknown"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
