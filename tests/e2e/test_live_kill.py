"""Kills and stops of the daemon, the agent and sshd at any instant, while sessions grow: a file of the mirror is
always whole lines from the beginning of the spoke's, and what was written arrives soon after."""
import contextlib
import json
import signal
import threading
import time
import unittest

import harness
import tiers
from test_daemon import DaemonCase

ROUNDS = tiers.rounds(300, 16)
# A new attempt comes after a minute at most, and a connection that says nothing is given up within 25 s.
SOON = 100  # seconds
STOPPED = tiers.rounds(120, 10)  # seconds, of each once


class Writers(threading.Thread):
    """Sessions that grow all the while, some lines in two pieces, and new ones now and then."""

    def __init__(self, source, rng):
        super().__init__()
        self.source, self.rng = source, rng
        self.names = [f"--p{number % 3}--/{number}.jsonl" for number in range(12)]
        self.end = threading.Event()

    def write(self, name, text):
        path = self.source / name
        path.parent.mkdir(exist_ok=True)
        with open(path, "ab", buffering=0) as out:
            out.write(text)

    def line(self, name):
        text = json.dumps({"type": "message", "at": time.monotonic_ns(), "text": "x" * self.rng.choice((10, 300, 3000))})
        line = text.encode() + b"\n"
        cut = self.rng.choice((0, 0, 0, len(line) // 2))
        if cut:
            self.write(name, line[:cut])
        self.write(name, line[cut:])

    def run(self):
        for number in range(1 << 30):
            if self.end.wait(0.005):
                return
            if number % 500 == 499:
                self.names.append(f"--new{number}--/first.jsonl")
            self.line(self.rng.choice(self.names[-40:]))


class LiveKill(DaemonCase):
    def setUp(self):
        super().setUp()
        self.rng = tiers.seeded(self.id())
        self.writers = Writers(self.source, tiers.seeded("writers"))
        self.marks = 0

    def tearDown(self):
        self.writers.end.set()
        self.writers.join()
        super().tearDown()

    def agents(self):
        return harness.agents_below(self.sshd.process.pid)

    def assert_prefixes(self):
        for path in harness.files_below(self.mirror):
            if path.startswith(b".pi-brain-staging"):
                continue
            mirrored = harness.read_below(self.mirror, path)
            whole = harness.read_below(self.source, path)
            self.assertTrue(whole.startswith(mirrored), path)
            self.assertTrue(mirrored.endswith(b"\n") or not mirrored, path)

    def a_line_arrives(self):
        """Returns the seconds that a line takes which is written now."""
        self.marks += 1
        name = f"--marks--/{self.marks % 5}.jsonl"
        self.writers.write(name, b'{"mark":%d}\n' % self.marks)
        began = time.monotonic()
        self.arrives(name, seconds=SOON)
        return time.monotonic() - began

    def hit(self, daemon, what):
        """Returns the daemon that runs afterwards."""
        if what == "daemon":
            daemon.kill()
            daemon.wait()
            return self.start_daemon()
        for pid in self.agents():
            with contextlib.suppress(OSError):  # it ended meanwhile
                harness.kill(harness.parent_of(pid) if what == "sshd" else pid)
        return daemon

    def stop_for(self, pids, seconds):
        for pid in pids:
            harness.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            harness.kill(pid, signal.SIGCONT)

    def test_anything_at_any_time(self):
        daemon = self.daemon()
        self.writers.start()
        print(f"again with {tiers.again()}", flush=True)
        took = {}
        long = {ROUNDS // 3: "daemon", 2 * ROUNDS // 3: "agent"}
        for number in range(ROUNDS):
            time.sleep(self.rng.random() * 1.5)
            what = self.rng.choice(("daemon", "agent", "sshd", "stopped daemon", "stopped agent"))
            if number in long:
                what = f"{long[number]} stopped for long"
                self.stop_for([daemon.pid] if long[number] == "daemon" else self.agents(), STOPPED)
            elif what.startswith("stopped"):
                self.stop_for([daemon.pid] if what.endswith("daemon") else self.agents(), self.rng.random())
            else:
                daemon = self.hit(daemon, what)
            self.assert_prefixes()
            took.setdefault(what, []).append(self.a_line_arrives())
        for what, seconds in sorted(took.items()):
            print(f"{what}: {len(seconds)} times, a line afterwards within {max(seconds):.1f} s, half within {sorted(seconds)[len(seconds) // 2]:.1f} s")
        self.writers.end.set()
        self.writers.join()
        for path in sorted(self.source.rglob("*.jsonl")):
            self.arrives(str(path.relative_to(self.source)), seconds=SOON)
        verified = self.pi_brain("sync", "verify", "--json")
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        # Of all the agents, only the daemon's is left, and then none.
        harness.wait_for(lambda: len(self.agents()) == 1, 100, what="the end of the other agents")
        daemon.terminate()
        daemon.wait()
        harness.wait_for(lambda: not self.agents(), 10, what="the end of the agent")


if __name__ == "__main__":
    unittest.main()
