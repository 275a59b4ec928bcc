"""--bwlimit and bw_limit limit the bytes on the wire, which a relay counts."""
import json
import os
import unittest

import harness
from harness import HubCase


class BandwidthLimit(HubCase):
    def setUp(self):
        super().setUp()
        self.trace = self.dir / "trace"
        self.enterContext(harness.relay(self.sshd, "--trace", self.trace))

    def check(self, rate):
        """Checks that the average is within 10%, and never more than a second ahead of the rate."""
        passed = [(e["t"], e.get("up", 0) + e.get("down", 0))
                  for e in map(json.loads, self.trace.read_text().splitlines())]
        total, end = sum(n for _, n in passed), passed[-1][0]
        self.assertGreaterEqual(end, 10)
        self.assertLess(abs(total / end - rate), rate / 10)
        for start in range(int(end)):
            begun = [(t, n) for t, n in passed if t >= start]
            sofar = 0
            for t, n in begun:
                sofar += n
                self.assertLess(sofar, rate * (t - start + 1), f"{start}…{t} s")

    def test_the_flag(self):
        (self.source / "a.jsonl").write_bytes(os.urandom(11 << 20))
        self.age(self.source / "a.jsonl")
        self.sync("--bwlimit", "1000")
        self.check(1000 * 1024)
        self.assert_mirrored()

    def test_the_config_and_many_small_files(self):
        self.write_config([self.spoke(rsync_options={"bw_limit": 100})])
        for number in range(400):
            # In base 16, which zstd halves.
            self.write(f"p/{number}.jsonl", os.urandom(3000).hex().encode() + b"\n")
        self.sync()
        self.check(100 * 1024)
        self.assert_mirrored()

    def test_signatures_from_the_hub(self):
        path = self.source / "a.jsonl"
        path.write_bytes(os.urandom(96 << 20))
        self.age(path)
        self.sync()
        with open(path, "r+b") as out:
            out.write(b"changed")
        self.age(path)
        self.trace.write_text("")
        self.sync("--bwlimit", "20")
        self.check(20 * 1024)
        self.assert_mirrored()


if __name__ == "__main__":
    unittest.main(verbosity=2)
