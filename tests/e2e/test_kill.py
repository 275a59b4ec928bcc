"""kill -9 of the hub, the agent or sshd at any instant: files are old or new, and the next run ends right."""
import os
import pathlib
import subprocess
import time
import unittest

import harness
from faults import STAGING, FaultCase, another_filesystem, contents

ROUNDS = int(os.environ.get("PIBRAIN_KILL_ROUNDS", "100"))


class Kill(FaultCase):
    def setUp(self):
        super().setUp()
        self.duration = None  # of a run, in seconds; measured as it goes
        self.seen = dict.fromkeys(["in time", "staged", "cut short", "half done"], 0)
        self.make()
        for _ in range(3):
            self.change()
            self.settle()

    def sync_one(self, *arguments, code=0):
        start = time.monotonic()
        report = super().sync_one(*arguments, code=code)
        took = time.monotonic() - start
        self.duration = took if self.duration is None else 0.7 * self.duration + 0.3 * took
        return report

    def kill_rounds(self, find):
        """Kills at instants spread evenly over a run. `find`: the pid to kill, or None as long as
        there is none."""
        order = list(range(ROUNDS))
        self.rng.shuffle(order)
        for number, slot in enumerate(order):
            self.change()
            source = contents(self.source)
            self.seen["in time"] += self.killed_run(find, (slot + 0.5) / ROUNDS)
            self.look(self.assert_promised(source), source)
            # In between the next run meets what an interrupted one left, and more changes.
            if number % 2 or number == ROUNDS - 1:
                self.settle()
            else:
                self.note()
        print(f"{self._testMethodName}: {ROUNDS} rounds: {self.seen}, runs of {self.duration:.2f} s")
        # Otherwise the instants were not what they are meant to be.
        self.assertGreater(self.seen["in time"], ROUNDS * 0.6, self.seen)
        self.assertGreater(self.seen["half done"], ROUNDS * 0.1, self.seen)

    def killed_run(self, find, share):
        """Kills after a share of a run's usual time, or when there is somebody to kill; whether the
        run was still on."""
        start = time.monotonic()
        arguments = ["--delete", "--max-delete", "1000"] if self.turn % 2 else []
        run = subprocess.Popen([harness.HUB, "sync", "run", "-c", self.config, *arguments],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment())
        victim = None
        while run.poll() is None and victim is None:
            victim = find(run)
        appeared = time.monotonic() - start
        time.sleep(max(0, (self.duration - appeared) * share))
        on = run.poll() is None
        if victim is not None:
            harness.kill(victim)
        output = run.communicate(timeout=60)[0].decode()
        self.assertIn(run.returncode, (0, 1, -9), output)
        if run.returncode == 1:
            self.assertIn("✗ laptop", output)
            self.assert_sentence(output.splitlines()[-1])
        self.assert_no_agents()
        return on and run.returncode != 0

    def look(self, now, source):
        """Counts what a kill left behind."""
        staging = self.mirror / os.fsdecode(STAGING)
        self.seen["staged"] += staging.exists() and any(staging.iterdir())
        self.seen["cut short"] += any(c not in (source.get(p), self.before.get(p)) for p, c in now.items())
        self.seen["half done"] += now != self.before and any(now.get(p) != c for p, c in source.items())

    def test_the_hub(self):
        self.kill_rounds(lambda run: run.pid)

    def test_the_hub_with_an_archive_elsewhere(self):
        """On another filesystem, where old versions have to be copied."""
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.write_config([self.spoke()])
            self.kill_rounds(lambda run: run.pid)

    def test_the_agent(self):
        self.kill_rounds(lambda run: next(iter(harness.agents_below(self.sshd.process.pid)), None))

    def test_sshd(self):
        """The process that serves the connection."""
        def serving(run):
            # Every other time not before it has logged somebody in, which newer ones take longer for than
            # for the rest; they are two processes then, and the lower one serves.
            ready = self.turn % 2 or harness.agents_below(self.sshd.process.pid)
            there = [pid for pid in harness.descendants(self.sshd.process.pid) if ready and harness.name_of(pid).startswith("sshd")]
            return there[-1] if there else None
        self.kill_rounds(serving)


if __name__ == "__main__":
    unittest.main(verbosity=2)
