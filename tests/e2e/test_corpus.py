"""The same with the session trees and the two real sessions that lie beside the project."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from harness import HubCase

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared"


class Corpus(HubCase):
    def corpus(self, *args):
        subprocess.run([sys.executable, SHARED / "make_corpus.py", self.source, *args], check=True,
                       stdout=subprocess.DEVNULL)

    def test_a_corpus_through_its_life(self):
        self.corpus("--files", "400", "--bytes-median", "8000", "--forks", "0.2")
        self.assertEqual(self.counts(), {"new": 400})
        self.assert_mirrored()
        self.assertEqual(self.counts(), {})
        self.corpus("--grow", "30", "--seed", "2")
        self.corpus("--rewrite", "10", "--seed", "3")
        self.corpus("--remove", "5", "--seed", "4")
        counts = self.counts("--delete")
        self.assertEqual(counts["deleted"], 5)
        self.assertGreaterEqual(counts["grown"] + counts["rewritten"], 35)
        self.assert_mirrored()

    def test_the_real_sessions(self):
        for path in sorted((SHARED / "data").glob("*.jsonl")):
            copy = self.source / "--home-user-project--" / path.name
            copy.parent.mkdir(exist_ok=True)
            # First half of it, then the rest, as it grew.
            lines = path.read_bytes().splitlines(keepends=True)
            copy.write_bytes(b"".join(lines[:len(lines) // 2]))
            self.age(copy)
        self.assertEqual(self.counts(), {"new": 2})
        for path in sorted((SHARED / "data").glob("*.jsonl")):
            copy = self.source / "--home-user-project--" / path.name
            shutil.copy(path, copy)
            os.chmod(copy, 0o600)
            self.age(copy)
        self.assertEqual(self.counts(), {"grown": 2})
        self.assert_mirrored()


if __name__ == "__main__":
    unittest.main(verbosity=2)
