"""kill -9 of the hub, the agent or sshd at any instant, while the spoke's files change too: each file is the old
or the new one, and the next run succeeds."""
import os
import pathlib
import signal
import subprocess
import threading
import time
import unittest

import harness
import tiers
from faults import LARGE_TAIL, STAGING, FaultCase, another_filesystem, contents

ROUNDS = int(os.environ.get("PIBRAIN_KILL_ROUNDS", tiers.rounds(100, 10)))


BUSY = b"p/busy.log"


def different_lines(rng, size):
    """Text of about `size` bytes that takes a while on the wire."""
    return b"".join(b'{"said":"%s"}\n' % rng.randbytes(500).hex().encode() for _ in range(size // 1000 + 1))


class Busy(threading.Thread):
    """Changes a file on the spoke during a run: it grows by whole lines, or is replaced by a longer text while the
    agent is stopped."""

    def __init__(self, path, anew, delay, agents):
        super().__init__()
        self.path, self.anew, self.delay, self.agents = path, anew, delay, agents
        self.end = threading.Event()
        self.versions = [path.read_bytes()]  # its content at any time is a prefix of one of them
        self.error = None

    def run(self):
        try:
            if self.anew is not None:
                self.write_anew()
            number = 0
            while not self.end.wait(0.004):
                line = b'{"line":%d,"of":"%s"}\n' % (number, b"x" * (number % 300))
                self.versions[-1] += line
                with open(self.path, "ab") as out:
                    out.write(line)
                number += 1
        except Exception as e:  # reported by the test's thread
            self.error = e

    def write_anew(self):
        if self.end.wait(self.delay):
            return
        stopped = self.agents()
        for agent in stopped:
            harness.kill(agent, signal.SIGSTOP)
        self.versions.append(self.anew)
        self.path.write_bytes(self.anew)
        for agent in stopped:
            harness.kill(agent, signal.SIGCONT)

    def stop(self):
        self.end.set()
        self.join()
        if self.error is not None:
            raise self.error


class Kill(FaultCase):
    def setUp(self):
        super().setUp()
        self.duration = None  # of a run, in seconds; measured on the way
        self.seen = dict.fromkeys(["in time", "staged", "cut short", "half done"], 0)
        self.busy = None
        self.write(os.fsdecode(BUSY), different_lines(self.rng, 3000))
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

    def start_busy(self):
        path = self.source / os.fsdecode(BUSY)
        if path.stat().st_size > 200_000:
            path.write_bytes(different_lines(self.rng, 3000))
        anew = different_lines(self.rng, path.stat().st_size + 10_000) if self.turn % 2 else None
        self.busy = Busy(path, anew, self.duration * self.rng.random(),
                         lambda: harness.agents_below(self.sshd.process.pid))
        self.busy.start()

    def may_be(self, path, content, new):
        if path == BUSY and self.busy is not None and any(v.startswith(content) for v in self.busy.versions):
            return True
        return super().may_be(path, content, new)

    def was_held(self, path, content):
        return super().was_held(path, content) or (path.endswith(BUSY) and self.may_be(BUSY, content, None))

    def kill_rounds(self, find, staged=False):
        """Kills at instants spread evenly over a run. `find` returns the pid to kill, or None as long as
        there is none. `staged`: some kills leave incomplete files."""
        print(f"{self._testMethodName}: again with {tiers.again()}", flush=True)
        order = list(range(ROUNDS))
        # At a random instant within each slot, different in each run.
        within = tiers.seeded(self.id())
        within.shuffle(order)
        for number, slot in enumerate(order * max(2, 100 // ROUNDS)):
            # On a machine that was busy when the run was timed, many come too late; and few rounds may by chance leave
            # nothing half done: then there are more of them.
            if number >= ROUNDS and self.enough(staged):
                break
            self.change()
            self.start_busy()
            source = contents(self.source)
            self.seen["in time"] += self.killed_run(find, (slot + within.random()) / ROUNDS)
            self.look(self.assert_promised(source), source)
            # In between the next run meets what an interrupted one left, and more changes.
            if number % 2 or number >= ROUNDS - 1:
                self.settle()
            else:
                self.note()
        print(f"{self._testMethodName}: {number} rounds: {self.seen}, runs of {self.duration:.2f} s")
        # Otherwise the instants were not within the runs.
        self.assertTrue(self.enough(staged), self.seen)

    def enough(self, staged):
        return (self.seen["in time"] > ROUNDS * 0.6 and self.seen["half done"] > ROUNDS * 0.1
                and (self.seen["staged"] > 0 or not staged))

    def killed_run(self, find, share):
        """Kills after a share of a run's usual time, or once there is a process to kill. Returns whether the
        run was still going."""
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
        self.busy.stop()
        self.assertIn(run.returncode, (0, 1, -9), output)
        if run.returncode == 1:
            self.assertIn("✗ laptop", output)
            self.assert_sentence(output.splitlines()[-1])
        self.assert_no_agents()
        return on and run.returncode != 0

    def look(self, now, source):
        """Counts the files that a kill left behind."""
        staging = self.mirror / os.fsdecode(STAGING)
        staged = [p.read_bytes() for p in staging.iterdir()] if staging.exists() else []
        self.seen["staged"] += any(staged)
        cut = [p for p, c in now.items() if p != BUSY and c not in (source.get(p), self.before.get(p))]
        self.seen["cut short"] += bool(cut)
        self.seen["half done"] += now != self.before and any(now.get(p) != c for p, c in source.items() if p != BUSY)

    def test_the_hub(self):
        self.kill_rounds(lambda run: run.pid, staged=True)

    def test_the_hub_with_an_archive_elsewhere(self):
        """On another filesystem, to which old versions must be copied."""
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.write_config([self.spoke()])
            self.kill_rounds(lambda run: run.pid, staged=True)

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

    def test_the_hub_during_a_large_tail(self):
        """No part of it is in the mirror's file before the agent has confirmed it, so readers see no half line;
        and no mixture if the file is replaced in the meantime."""
        name = b"p/tail.jsonl"
        path, mirrored = self.source / os.fsdecode(name), self.mirror / os.fsdecode(name)
        size = 3 * LARGE_TAIL
        half = 0
        rounds = max(6, ROUNDS // 10)
        for number in range(rounds):
            path.write_bytes(different_lines(self.rng, 300_000))
            self.settle()
            old = self.before[name]
            with open(path, "ab") as out:
                out.write(different_lines(self.rng, size))
            versions = [path.read_bytes()]
            # The same length: only the content differs.
            anew = old + different_lines(self.rng, size)[:len(versions[0]) - len(old)] if number % 2 else None
            self.age(path)
            run = self.start_run("--bwlimit", "5000")
            share = 0.4 + 0.5 * (number + self.rng.random()) / rounds

            def came():
                """How much of the tail is in the mirror, in any file."""
                staging = self.mirror / os.fsdecode(STAGING)
                sizes = [p.stat().st_size for p in staging.iterdir()] if staging.exists() else []
                return max(sizes + [mirrored.stat().st_size - len(old)])

            def far_enough(share):
                return lambda: run.poll() is not None or came() > size * share

            if anew is not None:
                harness.wait_for(far_enough(0.38), what="the tail's first part")
                self.write_anew(path, anew)
                versions.append(anew)
            # With a file that changed the agent may have nothing more to say.
            end = time.monotonic() + (30 if anew is None else 1)
            while not far_enough(share)() and time.monotonic() < end:
                time.sleep(0.002)
            on = run.poll() is None
            part = came()
            run.kill()
            run.communicate()
            self.assert_no_agents()
            half += on and 0 < part < size
            got = mirrored.read_bytes()
            what = f"round {number}: {len(got)} bytes, {len(old)} before"
            self.assertTrue(got == old or got in versions, what)
            for version in versions:
                self.held.add(version)
            self.assert_nothing_lost()
            self.settle()
        print(f"{self._testMethodName}: {rounds} rounds, killed with a part of the tail there: {half}")
        self.assertGreater(half, rounds * 0.4)

    def write_anew(self, path, content):
        """Does it while the agent is stopped."""
        agents = harness.agents_below(self.sshd.process.pid)
        for agent in agents:
            harness.kill(agent, signal.SIGSTOP)
        path.write_bytes(content)
        for agent in agents:
            harness.kill(agent, signal.SIGCONT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
