"""deploy/build-agents.sh: the same bytes from two directories, and tests of the aarch64 agent. The full tier has the
tests that need another architecture's compiler and libraries; the short one builds this machine's agent a second time."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tiers

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
ARCHITECTURES = ("aarch64", "x86_64")


class Agents(unittest.TestCase):
    def build(self, source):
        """Maps each architecture to the agent's content."""
        done = subprocess.run([source / "deploy/build-agents.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "CCACHE_DISABLE": "1"})
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        return {name: (source / f"build/release/lib/pi-brain/pi-brain-agent-{name}").read_bytes() for name in ARCHITECTURES}

    def copy(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-agents-"))
        self.addCleanup(shutil.rmtree, directory)
        copy = directory / "a longer way/to it"
        shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("build", ".git"))
        return copy

    def test_a_build_in_another_directory_is_the_same(self):
        """This machine's agent, configured alone; in the short tier, some of the parts that it is linked from."""
        release = PROJECT / "build/release"
        inputs = subprocess.run(["ninja", "-C", release, "-t", "inputs", "bin/pi-brain-agent"], stdout=subprocess.PIPE, text=True, check=True).stdout
        parts = re.findall(r"^(?:common|spoke-agent|proto)/lib\S+\.a$", inputs, re.M)
        self.assertGreater(len(parts), 8)
        chosen = [*tiers.sweep("parts", parts, 2), *(["bin/pi-brain-agent"] if tiers.FULL else ())]
        cache = (PROJECT / "build/release/CMakeCache.txt").read_text()
        quick = re.findall(r"^PIBRAIN_QUICK_BUILD:\w+=(\w+)$", cache, re.M) or ["OFF"]
        copy = self.copy()
        for command in (["cmake", "-S", copy, "-B", copy / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DPIBRAIN_AGENT_ONLY=ON",
                         "-DPIBRAIN_STATIC_AGENT=ON", "-DPIBRAIN_STATIC_LIBRARIES=ON", f"-DPIBRAIN_QUICK_BUILD={quick[0]}"],
                        ["ninja", "-C", copy / "build", "-j", "2", *chosen]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        for part in chosen:
            one, other = ((place / part).read_bytes() for place in (release, copy / "build"))
            self.assertTrue(one == other, f"{part} differs; as it does if one was built by ccache with a base_dir, which shortens the names of files")
        for part in (*parts, "bin/pi-brain-agent"):
            self.assertNotIn(str(PROJECT).encode(), (release / part).read_bytes(), part)

    @unittest.skipUnless(tiers.FULL, "in the full tier: it needs a compiler for aarch64")
    def test_two_builds_are_the_same(self):
        one, other = self.build(PROJECT), self.build(self.copy())
        self.assertTrue(one == other)
        for name, machine in (("x86_64", 62), ("aarch64", 183)):  # e_machine (elf(5))
            self.assertEqual(one[name][:4], b"\x7fELF")
            self.assertEqual(int.from_bytes(one[name][18:20], "little"), machine)
            self.assertNotIn(str(PROJECT).encode(), one[name])

    @unittest.skipUnless(tiers.FULL, "in the full tier: it needs qemu")
    def test_aarch64_agent(self):
        """Runs the suites of tests/aarch64.sh, under qemu."""
        done = subprocess.run([PROJECT / "tests/aarch64.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-5000:])
        self.assertEqual(done.stdout.count("\nOK\n"), 5, done.stdout[-2000:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
