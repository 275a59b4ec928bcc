"""sync watch: changes are in the mirror as they happen, whatever happens."""
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import unittest

import harness
from harness import HubCase

LINE = b'{"type":"message","text":"%s"}\n'


class Watch:
    """`pi-brain sync watch --json`, and what it has printed."""

    def __init__(self, case, *options):
        self.process = subprocess.Popen([harness.HUB, "sync", "watch", "--json", "-c", case.config, *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=case.environment())
        self.events = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def seen(self, event, **fields):
        return [e for e in list(self.events) if e["event"] == event and all(e[k] == v for k, v in fields.items())]

    def wait_for(self, event, count=1, seconds=60, **fields):
        return harness.wait_for(lambda: len(self.seen(event, **fields)) >= count and self.seen(event, **fields), seconds,
                                what=f"{count} × {event} {fields}: {self.events[-5:]}")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


class LiveCase(HubCase):
    def setUp(self):
        super().setUp()
        self.write("--p--/a.jsonl", LINE % b"first")
        self.watches = []

    def tearDown(self):
        for watch in self.watches:
            watch.stop()
        super().tearDown()

    def watch(self, *options, live="live"):
        watch = Watch(self, *options)
        self.watches.append(watch)
        watch.wait_for(live)
        return watch

    def append(self, name, content):
        with open(self.source / name, "ab") as out:
            out.write(content)

    def arrives(self, name, seconds=60):
        """Waits until the mirror's file is the spoke's."""
        source, mirror = self.source / name, self.mirror / name
        harness.wait_for(lambda: mirror.exists() and mirror.read_bytes() == source.read_bytes(), seconds, what=name)

    def kill_agents(self):
        for pid in harness.agents_below(self.sshd.process.pid):
            os.kill(pid, signal.SIGKILL)


class Live(LiveCase):
    def test_lines_arrive(self):
        watch = self.watch()
        for number in range(20):
            self.append("--p--/a.jsonl", LINE % b"%d" % number)
            self.arrives("--p--/a.jsonl")
        changes = watch.wait_for("changed", count=20)
        end = len(LINE % b"first")
        for change in changes[-20:]:
            self.assertEqual((change["spoke"], change["path"], change["kind"], change["from"]), ("laptop", "--p--/a.jsonl", "grow", end))
            end = change["to"]
            self.assertLess(abs(int(change["mirroredNs"]) - int(change["writtenNs"])), 10 * 10**9)
        self.assertEqual(end, (self.source / "--p--/a.jsonl").stat().st_size)
        # One scan was enough.
        self.assertEqual(len(watch.seen("scanned")), 1)

    def test_new_files_and_directories_arrive(self):
        self.watch()
        self.write("--p--/b.jsonl", LINE % b"new", age=False)
        self.arrives("--p--/b.jsonl")
        for number in range(100):
            self.write(f"--d{number}--/x.jsonl", LINE % b"new", age=False)
        for number in range(100):
            self.arrives(f"--d{number}--/x.jsonl")
        # These are watched too.
        self.append("--d42--/x.jsonl", LINE % b"more")
        self.arrives("--d42--/x.jsonl")

    def test_a_new_session_waits_for_no_scan(self):
        """However long the last one took, and in whichever directory."""
        watch = self.watch()
        scans = len(watch.seen("scanned"))
        for name in ("--p--/new.jsonl", "--q--/deep/new.jsonl", "--q--/deep/other.jsonl"):
            self.write(name, LINE % b"one", age=False)
            self.arrives(name)
            for number in range(3):
                self.append(name, LINE % b"%d" % number)
                self.arrives(name)
            self.assertEqual(watch.seen("changed", path=name)[0]["kind"], "new")
        self.assertEqual(len(watch.seen("scanned")), scans)
        self.pi_brain("sync", "run")
        self.assert_mirrored()

    def read_by_the_agent(self):
        (agent,) = harness.agents_below(self.sshd.process.pid)
        return int(dict(line.split(": ") for line in pathlib.Path(f"/proc/{agent}/io").read_text().splitlines())["rchar"])

    def test_a_large_session(self):
        """What is told of it while it is fetched is out of date then. A line costs itself, also one that comes during a flush."""
        watch = self.watch()
        block = LINE % b"x" * 1000
        with open(self.source / "--p--/large.jsonl", "ab", buffering=0) as out:
            while out.tell() < 64 << 20:
                out.write(block)
        self.arrives("--p--/large.jsonl")
        self.append("--p--/large.jsonl", LINE % b"last")
        self.arrives("--p--/large.jsonl")
        # The agent may have told of it before.
        time.sleep(1)
        before = self.read_by_the_agent()
        for number in range(200):
            self.append("--p--/large.jsonl", LINE % b"%d" % number)
            time.sleep(0.02)
        self.arrives("--p--/large.jsonl")
        self.assertLess(self.read_by_the_agent() - before, 32 << 20)
        self.assertEqual(watch.seen("changed", kind="rewrite"), [])
        self.assertEqual(len(watch.seen("scanned")), 1)

    def test_a_line_of_any_length_to_a_large_session(self):
        """A line with an image does not fit in what the agent sends by itself. A time that changes first is no rewrite."""
        watch = self.watch()
        path = self.source / "--p--/large.jsonl"
        with open(path, "ab", buffering=0) as out:
            while out.tell() < 64 << 20:
                out.write(LINE % b"x" * 1000)
        self.arrives("--p--/large.jsonl")
        self.append("--p--/large.jsonl", LINE % b"last")
        self.arrives("--p--/large.jsonl")
        time.sleep(1)
        before = self.read_by_the_agent()
        for number in range(5):
            self.append("--p--/large.jsonl", LINE % (b"%d" % number * 1_000_000))
            self.arrives("--p--/large.jsonl")
            os.utime(path)
            time.sleep(0.05)
            self.append("--p--/large.jsonl", LINE % b"after it")
            self.arrives("--p--/large.jsonl")
        self.assertLess(self.read_by_the_agent() - before, 32 << 20)
        self.assertEqual({change["kind"] for change in watch.seen("changed", path="--p--/large.jsonl")}, {"new", "grow"})
        # The whole is proved in the end.
        harness.wait_for(lambda: (self.mirror / "--p--/large.jsonl").stat().st_mtime_ns == path.stat().st_mtime_ns, 100, what="its time")
        self.assertGreater(self.read_by_the_agent() - before, 64 << 20)
        self.assert_mirrored()

    def test_excluded_in_new_directories(self):
        """What the agent must not serve, it does not announce either."""
        self.sshd.authorize(f"{harness.AGENT} --root={self.source} --exclude=private/ --exclude=*.secret.jsonl --exclude=/q/top")
        watch = self.watch()
        for name in ("q/private/a.jsonl", "q/a.secret.jsonl", "q/top/a.jsonl", "q/r/top/a.jsonl", "q/a.jsonl"):
            self.write(name, LINE % b"one", age=False)
        self.arrives("q/a.jsonl")
        self.arrives("q/r/top/a.jsonl")
        time.sleep(1)
        self.assertEqual({change["path"] for change in watch.seen("changed")}, {"q/a.jsonl", "q/r/top/a.jsonl"})
        self.assertEqual(sorted(harness.files_below(self.mirror)), [b"--p--/a.jsonl", b"q/a.jsonl", b"q/r/top/a.jsonl"])

    def test_half_a_line_waits(self):
        """P4, also for a line that nobody ends."""
        self.watch()
        self.append("--p--/a.jsonl", LINE % b"whole" + b'{"half')
        harness.wait_for(lambda: b"whole" in (self.mirror / "--p--/a.jsonl").read_bytes(), what="the whole line")
        time.sleep(1)
        self.assertTrue((self.mirror / "--p--/a.jsonl").read_bytes().endswith(b"\n"))
        began = time.monotonic()
        self.arrives("--p--/a.jsonl")
        self.assertGreater(time.monotonic() - began, 6)

    def test_rewrites_truncation_and_renames(self):
        self.watch()
        path = self.source / "--p--/a.jsonl"
        for content in (LINE % b"another", b"", LINE % b"x" * 100, LINE % b"y" * 100):
            path.write_bytes(content)
            self.arrives("--p--/a.jsonl")
        beside = path.with_name("tmp")
        beside.write_bytes(LINE % b"saved by rename")
        beside.rename(path)
        self.arrives("--p--/a.jsonl")
        path.rename(path.with_name("moved.jsonl"))
        self.arrives("--p--/moved.jsonl")

    def test_it_settles(self):
        """When a file is at rest, both sides compare the whole, and the mirror gets the exact time."""
        self.watch()
        self.append("--p--/a.jsonl", LINE % b"last")
        source, mirror = self.source / "--p--/a.jsonl", self.mirror / "--p--/a.jsonl"
        harness.wait_for(lambda: mirror.stat().st_mtime_ns == source.stat().st_mtime_ns, 100, what="the exact time")
        self.assert_mirrored()

    def test_a_change_within_the_part_that_was_sent(self):
        """No append tells of it; the proof at rest finds it."""
        self.write("--p--/a.jsonl", LINE % b"x" * 50, age=False)
        watch = self.watch()
        self.append("--p--/a.jsonl", LINE % b"more")
        self.arrives("--p--/a.jsonl")
        path = self.source / "--p--/a.jsonl"
        with open(path, "r+b") as out:
            out.seek(10)
            out.write(b"Z")
            out.seek(0, 2)
            out.write(LINE % b"and more")
        self.arrives("--p--/a.jsonl", seconds=100)
        self.assertTrue(watch.seen("changed", kind="rewrite") or watch.seen("scanned"))

    def test_after_a_lost_connection_it_goes_on(self):
        watch = self.watch()
        self.kill_agents()
        watch.wait_for("lost")
        self.append("--p--/a.jsonl", LINE % b"meanwhile")
        self.arrives("--p--/a.jsonl", seconds=60)
        watch.wait_for("live", count=2, seconds=60)
        self.append("--p--/a.jsonl", LINE % b"after")
        self.arrives("--p--/a.jsonl")

    def test_others_get_the_mirror(self):
        """A run, a verification and a restore beside it wait for their turn."""
        self.watch()
        stop = threading.Event()

        def write():
            while not stop.wait(0.05):
                self.append("--p--/a.jsonl", LINE % b"again and again")
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                self.sync()
                done = self.pi_brain("sync", "verify", "--repair")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        finally:
            stop.set()
            writer.join()
        self.arrives("--p--/a.jsonl")

    def test_several_sessions_at_once(self):
        names = [f"--p--/{number}.jsonl" for number in range(30)]
        for name in names:
            self.write(name, LINE % b"begin", age=False)
        self.watch()
        rng = random.Random(1)
        for _ in range(1000):
            self.append(rng.choice(names), LINE % b"x" * rng.randrange(1, 5))
        for name in names:
            self.arrives(name)

    def test_many_appends_in_a_moment(self):
        """The spoke may merge events, and none of the lines is lost."""
        self.watch()
        for number in range(20_000):
            self.append("--p--/a.jsonl", LINE % b"%d" % number)
        self.arrives("--p--/a.jsonl", seconds=60)

    def test_excluded_files_cost_nothing(self):
        self.write_config([self.spoke(exclude=["*.tmp"])])
        watch = self.watch()
        self.write("--p--/x.tmp", b"left out", age=False)
        self.append("--p--/a.jsonl", LINE % b"more")
        self.arrives("--p--/a.jsonl")
        self.append("--p--/x.tmp", b"more")
        time.sleep(1)
        self.assertFalse((self.mirror / "--p--/x.tmp").exists())
        self.assertEqual(watch.seen("changed", path="--p--/x.tmp"), [])

    def test_what_cannot_be_watched(self):
        self.write_config([self.spoke(), self.spoke("files", sync_method="rsync"), self.spoke("off", enabled=False)])
        for arguments in (["-s", "files"], ["-s", "off"]):
            done = self.pi_brain("sync", "watch", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
        self.watch()


class StoppedHub(LiveCase):
    def test_no_agent_stays(self):
        """A hub that stands still keeps its connection, but asks for nothing."""
        watch = self.watch()
        agents = harness.agents_below(self.sshd.process.pid)
        self.assertEqual(len(agents), 1)
        watch.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            harness.wait_for(lambda: not harness.agents_below(self.sshd.process.pid), 110, "the end of the agent")
            self.assertGreater(time.monotonic() - began, 40, "a hub may be busy for a while")
        finally:
            watch.process.send_signal(signal.SIGCONT)
        watch.wait_for("lost")
        self.append("--p--/a.jsonl", LINE % b"after")
        self.arrives("--p--/a.jsonl", seconds=60)


class IdleWatch(LiveCase):
    def test_it_stays(self):
        """For longer than any limit for silence."""
        watch = self.watch()
        time.sleep(100)
        self.assertEqual(watch.seen("lost"), [])
        self.append("--p--/a.jsonl", LINE % b"after")
        self.arrives("--p--/a.jsonl")
        self.assertEqual(len(watch.seen("connecting")), 1)


class HostileCase(LiveCase):
    """A spoke that lies in what it tells: the mirror stays right, and another spoke is as live as ever."""

    AGENT = pathlib.Path(os.environ["PIBRAIN_TEST_HOSTILE_AGENT"])
    # Breaks the protocol, so the hub ends the conversation.
    BROKEN = {"above-the-root", "path-in-a-name", "two-files-in-one", "content-outside", "end-outside", "no-end", "file-in-a-file", "whole",
              "backwards", "refusal", "garbage"}
    # These it takes, and looks again.
    HARMLESS = {"staging", "of-nobody", "elsewhere", "bad-hash", "bad-end", "too-much", "too-little"}
    FLOODS = {"signs-without-end", "ends-at-once", "scans-without-end", "files-without-end"}
    CONTENT = b"0123456789abcde\n" * 2048

    def setUp(self):
        super().setUp()
        listed = subprocess.run([self.AGENT, "--list-watches"], capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual({case.removeprefix("watch-") for case in listed}, self.BROKEN | self.HARMLESS | self.FLOODS)
        self.other = self.dir / "other-sessions"
        self.other.mkdir()
        (self.other / "o.jsonl").write_bytes(LINE % b"first")

    def lie(self, case):
        """Watches the liar, and an honest spoke on this machine. The liar's mirror is as its listing says."""
        mirror = self.mirror / "p/a.jsonl"
        mirror.parent.mkdir(parents=True, exist_ok=True)
        mirror.write_bytes(self.CONTENT)
        os.utime(mirror, ns=(harness.LONG_AGO, harness.LONG_AGO))
        self.sshd.authorize(f"{self.AGENT} watch-{case}")
        self.write_config([self.spoke(), self.spoke("other", source=str(self.other))])
        watch = Watch(self)
        self.watches.append(watch)
        watch.wait_for("live", spoke="other")
        return watch

    def the_other_is_live(self):
        mirror = self.dir / "synced/other/o.jsonl"
        for _ in range(3):
            with open(self.other / "o.jsonl", "ab") as out:
                out.write(LINE % b"more")
            harness.wait_for(lambda: mirror.read_bytes() == (self.other / "o.jsonl").read_bytes(), 30, "the honest spoke")

    def the_mirror_is_right(self):
        self.assertEqual(harness.read_below(self.mirror, b"p/a.jsonl"), self.CONTENT)
        self.assertFalse((self.dir / "synced/a.jsonl").exists())


class Lies(HostileCase):
    def test_lies(self):
        for case in sorted(self.BROKEN | self.HARMLESS):
            with self.subTest(case):
                watch = self.lie(case)
                if case in self.BROKEN:
                    lost = watch.wait_for("lost", spoke="laptop")
                    self.assertEqual(lost[0]["failure"]["id"], "protocol-error", lost)
                else:
                    watch.wait_for("scanned", spoke="laptop")
                    time.sleep(0.3)
                    self.assertEqual(watch.seen("lost"), [])
                self.the_mirror_is_right()
                self.the_other_is_live()
                watch.stop()
                self.watches.remove(watch)


class Floods(HostileCase):
    def test_floods(self):
        for case in sorted(self.FLOODS):
            with self.subTest(case):
                watch = self.lie(case)
                time.sleep(3)
                self.the_other_is_live()
                status = pathlib.Path(f"/proc/{watch.process.pid}/status").read_text()
                memory = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
                times = pathlib.Path(f"/proc/{watch.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                used = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
                print(f"{case}: {memory} KiB, {used:.1f} s of the processor in some 3 s")
                self.assertLess(memory, 64 * 1024)
                self.assertLess(used, 2)
                self.the_mirror_is_right()
                watch.stop()
                self.watches.remove(watch)


if __name__ == "__main__":
    unittest.main()
