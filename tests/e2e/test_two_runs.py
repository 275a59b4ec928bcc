"""Two runs for one spoke at once: the second leaves it to the first, however that ends."""
import os
import signal
import time
import unittest

import harness
from faults import MIB, FaultCase, brief, contents, stop


class TwoRuns(FaultCase):
    def setUp(self):
        super().setUp()
        self.make()
        self.change()
        self.write("p/slow.jsonl", self.rng.randbytes(3 * MIB) + b"\n")

    def start_slow_run(self):
        run = self.start_run("--bwlimit", "400", "--delete", "--max-delete", "1000")
        harness.wait_for(lambda: (self.mirror / ".pi-brain-staging").exists(), what="data")
        return run

    def is_left_to_the_other(self):
        """Both wait some seconds, for a watch that has the mirror for a moment."""
        quiet = self.start_run("-q")
        report = self.sync_one("--delete", "--max-delete", "1000", code=75)
        self.assertEqual(report["outcome"], "locked")
        self.assertIn("another run", report["error"])
        self.assertEqual((quiet.communicate(timeout=60)[0], quiet.returncode), ("", 75), "cron has nothing to mail")
        self.assertEqual(report["changes"], [])

    def test_the_first_is_unharmed(self):
        first = self.start_slow_run()
        for _ in range(2):
            self.is_left_to_the_other()
        out = first.communicate(timeout=60)[0]
        self.assertEqual(first.returncode, 0, out)
        self.assert_promised()
        self.assert_mirrored()

    def test_while_the_first_is_stopped(self):
        first = self.start_slow_run()
        stop(first)
        try:
            before = brief(contents(self.mirror))
            self.is_left_to_the_other()
            self.assertEqual(brief(contents(self.mirror)), before)
            self.assert_promised()
        finally:
            os.kill(first.pid, signal.SIGCONT)
        out = first.communicate(timeout=60)[0]
        self.assertEqual(first.returncode, 0, out)
        self.assert_promised()
        self.assert_mirrored()

    def test_when_the_first_is_killed(self):
        """Its lock ends with it, even if it was stopped and left a process on the spoke."""
        for stopped in (False, True):
            with self.subTest(stopped=stopped):
                self.write(f"p/slow-{stopped}.jsonl", self.rng.randbytes(3 * MIB) + b"\n")
                first = self.start_slow_run()
                if stopped:
                    stop(first)
                self.is_left_to_the_other()
                first.kill()
                first.communicate()
                self.assert_promised()
                self.settle()

    def test_many_at_once(self):
        """Each run either syncs or leaves it to another, and in the end the mirror is right."""
        runs = [self.start_run("--delete", "--max-delete", "1000") for _ in range(6)]
        codes = []
        for run in runs:
            out = run.communicate(timeout=120)[0]
            self.assertIn(run.returncode, (0, 75), out)
            codes.append(run.returncode)
        self.assertIn(0, codes)
        self.assert_promised()
        self.assert_mirrored()

    def test_who_waits(self):
        """Until the other is at its end; or for so long, and not longer."""
        first = self.start_slow_run()
        began = time.monotonic()
        report = self.sync_one("--wait=1s", code=75)
        self.assertEqual((report["outcome"], report["failure"]["id"]), ("locked", "mirror-in-use"))
        self.assertGreater(time.monotonic() - began, 1)
        self.assertIsNone(first.poll())
        second = self.sync_one("--wait")
        self.assertEqual(first.wait(timeout=1), 0)
        self.assertEqual(second["outcome"], "ok")
        self.assertEqual(second["changes"], [])
        first.communicate()
        self.assert_mirrored()
        # With nobody to wait for, and beside names.
        self.assertEqual(self.sync_one("--wait=5min", "laptop")["outcome"], "ok")
        self.assertEqual(self.sync_one("--wait", "laptop")["outcome"], "ok")

    def test_who_waits_for_one_that_is_killed(self):
        first = self.start_slow_run()
        second = self.start_run("--wait=60s", "--delete", "--max-delete", "1000")
        time.sleep(0.5)
        self.assertIsNone(second.poll())
        first.kill()
        first.communicate()
        out = second.communicate(timeout=60)[0]
        self.assertEqual(second.returncode, 0, out)
        self.assert_mirrored()

    def test_invalid_spans(self):
        for span in ("soon", "10", "5y", "-1s"):
            done = self.pi_brain("sync", "run", f"--wait={span}")
            self.assertEqual(done.returncode, 2, span)
            self.assertIn("--wait", done.stderr)

    def test_two_spokes_of_one_mirror(self):
        """A mistake in the config is found before it mixes two spokes' files."""
        other = self.dir / "other-sessions"
        other.mkdir()
        (other / "o.jsonl").write_bytes(b'{"other":1}\n')
        before = contents(self.mirror)
        self.write_config([self.spoke(), self.spoke("other", source=str(other), path=str(self.mirror))])
        done = self.pi_brain("sync", "run", "--delete")
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("other", done.stderr)
        self.assertEqual(contents(self.mirror), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
