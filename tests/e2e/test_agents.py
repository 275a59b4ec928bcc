"""deploy/build-agents.sh: the same bytes from two places, and the aarch64 agent at work."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
ARCHITECTURES = ("aarch64", "x86_64")


class Agents(unittest.TestCase):
    def build(self, source):
        """Architecture -> the agent's content."""
        done = subprocess.run([source / "deploy/build-agents.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "CCACHE_DISABLE": "1"})
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        return {name: (source / f"build/release/lib/pi-brain/pi-brain-agent-{name}").read_bytes() for name in ARCHITECTURES}

    def test_two_builds_are_the_same(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-agents-"))
        self.addCleanup(shutil.rmtree, directory)
        copy = directory / "a longer way/to it"
        shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("build", ".git"))
        one, other = self.build(PROJECT), self.build(copy)
        self.assertTrue(one == other)
        for name, machine in (("x86_64", 62), ("aarch64", 183)):  # e_machine (elf(5))
            self.assertEqual(one[name][:4], b"\x7fELF")
            self.assertEqual(int.from_bytes(one[name][18:20], "little"), machine)
            self.assertNotIn(str(PROJECT).encode(), one[name])

    def test_aarch64_agent(self):
        """The suites that tests/aarch64.sh names, under qemu."""
        done = subprocess.run([PROJECT / "tests/aarch64.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-5000:])
        self.assertEqual(done.stdout.count("\nOK\n"), 5, done.stdout[-2000:])


if __name__ == "__main__":
    unittest.main()
