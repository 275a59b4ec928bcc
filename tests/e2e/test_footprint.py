"""The agent's size on disk, and its memory, which does not grow with the tree."""
import os
import subprocess
import unittest

import tiers
from harness import AGENT, HubCase

MIB = 1 << 20


class Footprint(HubCase):
    def setUp(self):
        super().setUp()
        # The forced command is a parent that writes the agent's peak memory to a file.
        self.peak_file = self.dir / "peak"
        wrapper = self.dir / "measure.py"
        wrapper.write_text(
            "import resource, subprocess, sys\n"
            "code = subprocess.call(sys.argv[2:])\n"
            "open(sys.argv[1], 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))\n"
            "sys.exit(code)\n")
        self.sshd.authorize(f"python3 {wrapper} {self.peak_file} {AGENT} --root={self.source}")

    def peak(self):
        """Peak resident memory of the last run's agent, in bytes."""
        for _ in range(200):
            if self.peak_file.exists() and self.peak_file.read_text():
                break
            subprocess.run(["sleep", "0.05"], check=True)
        peak = int(self.peak_file.read_text()) * 1024
        self.peak_file.unlink()
        return peak

    def test_size_and_linking(self):
        self.assertLessEqual(AGENT.stat().st_size, 4 * MIB)
        self.assertIn("not a dynamic executable",
                      subprocess.run(["ldd", AGENT], capture_output=True, text=True).stderr)
        sections = subprocess.run(["readelf", "-S", AGENT], capture_output=True, text=True).stdout
        self.assertNotIn(".symtab", sections)

    def test_fifty_thousand_files(self):
        for directory in range(200):
            below = self.source / f"--home-dev-work-project-{directory:03d}--"
            below.mkdir()
            for number in range(250):
                name = f"2026-01-01T00-00-00-{number:03d}Z_00000000-0000-4000-8000-{directory:06d}{number:06d}"
                with open(below / f"{name}.jsonl", "w") as out:
                    out.write("{}\n")
                os.utime(below / f"{name}.jsonl", ns=(10**18, 10**18))
        self.assertEqual(self.counts(), {"new": 50_000})
        self.assertLessEqual(self.peak(), 24 * MIB)
        self.assertEqual(self.counts(), {})
        self.assertLessEqual(self.peak(), 16 * MIB)

    def test_two_gigabytes_in_one_file(self):
        """Many times its memory limit, in the short tier as well."""
        mebibytes = tiers.rounds(2048, 512)
        path = self.source / "huge.jsonl"
        block = os.urandom(MIB)
        with open(path, "wb") as out:
            for number in range(mebibytes):
                out.write(number.to_bytes(8, "big") + block[8:])
        self.age(path)
        self.assertEqual(self.counts(), {"new": 1})
        self.assertLessEqual(self.peak(), 24 * MIB)
        with open(path, "ab") as out:
            out.write(b"grown\n")
        self.age(path)
        self.assertEqual(self.counts(), {"grown": 1})
        self.assertLessEqual(self.peak(), 24 * MIB)
        with open(path, "r+b") as out:
            out.seek(mebibytes // 2 * MIB)
            out.write(b"changed in the middle")
        self.age(path)
        report = self.sync_one()
        self.assertEqual(report["counts"]["rewritten"], 1)
        self.assertLess(report["bytesLiteral"], 4 * MIB)
        self.assertLessEqual(self.peak(), 24 * MIB)
        self.assertEqual(subprocess.run(["cmp", path, self.mirror / "huge.jsonl"]).returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
