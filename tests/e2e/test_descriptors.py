"""A hub that may open few files, with several spokes: it reports what it cannot do, and does the rest."""
import json
import resource
import subprocess
import unittest

import harness
from faults import FaultCase, contents, lines
from harness import sessions


class Descriptors(FaultCase):
    SPOKES = 4

    def setUp(self):
        super().setUp()
        self.make(6)
        self.others = {}
        for number in range(1, self.SPOKES):
            source = self.dir / f"sessions-{number}"
            sessions.make(source, 6, median=3000, seed=number)
            self.others[f"s{number}"] = source
        # Some spokes behind ssh, with the first one's key, and some on this machine.
        self.write_config([self.spoke()] + [self.spoke(name, source=str(source))
                                            for name, source in self.others.items()])

    def limited(self, limit, *arguments):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        return subprocess.run([harness.HUB, "sync", "run", "-c", self.config, "--json", "--delete", *arguments],
                              capture_output=True, text=True, env=self.environment(), timeout=60, preexec_fn=few)

    def test_few_descriptors(self):
        outcomes, ids = [], set()
        for limit in (6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 128):
            with self.subTest(limit):
                self.change()
                for source in self.others.values():
                    sessions.grow(source, 2, seed=limit)
                done = self.limited(limit, "--max-delete", "1000", "--jobs", "4" if limit % 16 else "1")
                self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
                self.assertNotIn(".cc:", done.stderr)
                reports = json.loads(done.stdout)["spokes"]
                self.assertEqual(len(reports), self.SPOKES)
                for report in reports:
                    if report["outcome"] != "ok":
                        self.assert_sentence(report["error"])
                        ids.add(report["failure"]["id"])
                        self.assertRegex(report["error"], "Too many open files|ulimit -n", report["name"])
                outcomes.append((limit, sum(r["outcome"] == "ok" for r in reports)))
                self.assert_promised()
                self.settle_all()
        print("limit, spokes synced:", outcomes)
        self.assertIn("too-many-open-files", ids)
        # One spoke at a time needs few.
        self.assertEqual(dict(outcomes)[64], self.SPOKES)
        self.assertEqual(dict(outcomes)[128], self.SPOKES)

    def settle_all(self):
        self.sync("--delete", "--max-delete", "1000")
        for name, source in self.others.items():
            self.assert_mirrored(source=source, mirror=self.dir / "synced" / name)
        self.assert_mirrored()
        self.note()

    def test_many_directories(self):
        """More directories than may be open, some of them deep, in every order."""
        for number in range(60):
            self.write(f"d{number}/e{number}/f/{number}.jsonl", lines(self.rng, 700))
        done = self.limited(40, "--jobs", "1", "-s", "laptop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_mirrored()
        for number in range(0, 60, 2):
            (self.source / f"d{number}/e{number}/f/{number}.jsonl").rename(
                self.source / f"d{number + 1}/e{number + 1}/{number}.jsonl")
        done = self.limited(40, "--jobs", "1", "-s", "laptop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_mirrored()
        self.assertEqual(len(contents(self.mirror)), len(contents(self.source)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
