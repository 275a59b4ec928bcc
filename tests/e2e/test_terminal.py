"""Output for people: on a terminal, in cron's log, in the history, and for a monitor."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import termios
import time
import unittest

from harness import HUB, HubCase

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnATerminal(HubCase):
    def setUp(self):
        super().setUp()
        for i in range(40):
            self.write(f"p/s{i}.jsonl", os.urandom(20_000))
        self.write_config([self.spoke(), self.spoke("nowhere", source=str(self.dir / "missing"))])

    def watch(self, *arguments, columns=100, interrupt_at=None, code=1, **variables):
        """Runs on a terminal of that width. Returns all output. Presses Ctrl-C once it shows `interrupt_at`."""
        env = {**self.environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8", **variables}
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(HUB, [str(HUB), "sync", "run", "-c", str(self.config), *arguments], env)
        interrupted = interrupt_at is None
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        seen = b""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
            if not interrupted and re.search(interrupt_at, seen.decode(errors="replace")):
                os.write(fd, b"\x03")
                interrupted = True
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), code)
        return seen.decode()

    def test_one_line_per_spoke_is_redrawn(self):
        seen = self.watch("--bwlimit", "400")
        lines = [line for line in re.split(r"[\r\n]+", seen) if "files" in line and "%" in line]
        self.assertGreater(len(lines), 3, seen)
        self.assertIn("█", seen)
        shares = [int(m.group(1)) for line in lines for m in [re.search(r"(\d+)%", line)]]
        self.assertEqual(shares, sorted(shares))
        self.assertLess(shares[0], shares[-1])
        self.assertRegex(seen, r"\d+/40 files  [\d.]+ KB/781 KB  \d:\d\d left  [\d.]+ [KM]B/s")
        for line in lines:
            self.assertLess(len(ESCAPE.sub("", line)), 100)
        self.assertIn("\x1b[32m✓\x1b[0m laptop: 40 new", seen)
        self.assertIn("\x1b[31m✗\x1b[0m nowhere", seen)
        self.assertIn("2 spokes: 1 synced, 1 failed", seen)
        # At the end, no line of progress is left.
        self.assertNotIn("%", seen[seen.rindex("\x1b[J"):])

    def test_narrow_and_plain(self):
        seen = self.watch("--bwlimit", "800", columns=44, NO_COLOR="1", LC_ALL="C")
        self.assertNotRegex(seen, r"\x1b\[[0-9;]*m")
        self.assertIn("+ laptop: 40 new", seen)
        self.assertIn("x nowhere", seen)
        self.assertIn("#", seen)
        self.assertFalse(set(seen) & set("✓✗█░…"))
        for line in re.split(r"[\r\n]+", seen):
            if "%" in line:
                self.assertLess(len(ESCAPE.sub("", line)), 44)

    def test_an_interrupt_clears_the_lines(self):
        seen = self.watch("--bwlimit", "100", interrupt_at=r"1?\d%.* left", code=-signal.SIGINT)
        last = seen[seen.rindex("\x1b[J"):]
        self.assertEqual(last, "\x1b[JInterrupted. Files already synced are complete; the next run continues from here.\r\n")

    def test_a_bar_for_rsync(self):
        (self.sshd.authorized_keys).write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())
        self.write_config([self.spoke(sync_method="rsync"),
                           self.spoke("nowhere", sync_method="rsync", source=str(self.dir / "missing"))])
        seen = self.watch("--bwlimit", "400")
        # 40 files in a directory inside a directory: rsync examines 42 entries.
        shares = [(int(m[1]), int(m[2])) for m in re.finditer(r"(\d+)%  (\d+)/42 files  [\d.]+ KB", seen)]
        self.assertGreater(len(set(shares)), 2, seen)
        self.assertEqual(shares, sorted(shares))
        self.assertRegex(seen, r"\d+/42 files  [\d.]+ KB  \d:\d\d left  [\d.]+ [KM]B/s")
        self.assertIn("laptop: 40 new", seen)

    def test_a_dumb_terminal_gets_lines(self):
        seen = self.watch(TERM="dumb")
        self.assertNotIn("\x1b", seen)
        self.assertIn("✓ laptop: 40 new", seen)

    def test_quiet(self):
        seen = self.watch("-q")
        self.assertNotIn("laptop", seen)
        self.assertNotIn("\x1b[J", seen)
        self.assertIn("nowhere: ", seen)


class InALog(HubCase):
    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n' * 100)

    def run_lines(self, *arguments, code=0):
        done = self.pi_brain("sync", "run", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        return done.stdout.splitlines()

    def test_one_line_per_spoke(self):
        (line,) = self.run_lines()
        self.assertRegex(line, r"^  ✓ laptop: 1 new; 1 file, [\d.]+ KB on the wire, \d+\.\d s$")
        self.write("p/a.jsonl", b'{"line":1}\n' * 1000)
        self.write("p/b.jsonl", b'{"line":1}\n')
        (line,) = self.run_lines()
        self.assertIn("1 new, 1 grew (+9.7 KB); 2 files", line)

    def test_verbose_and_dry_run_list_the_files(self):
        self.assertIn("    new      p/a.jsonl (1.1 KB)", self.run_lines("-n"))
        self.assertIn("  laptop:", self.run_lines("-n"))
        self.assertIn("    new      p/a.jsonl (1.1 KB)", self.run_lines("-v"))
        self.assertEqual(self.pi_brain("sync", "run", "-q", "-v").returncode, 2)

    def test_quiet_is_silent_unless_something_fails(self):
        self.assertEqual(self.run_lines("--quiet"), [])
        self.write_config([self.spoke(source=str(self.dir / "missing"))])
        (line,) = self.run_lines("--quiet", code=1)
        self.assertIn("✗ laptop:", line)

    def test_a_log_that_rotates(self):
        log = self.dir / "logs/sync.log"
        self.assertEqual(self.run_lines("--quiet", "--log", str(log)), [])
        (line,) = log.read_text().splitlines()
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  ✓ laptop: 1 new")
        self.assertEqual(log.stat().st_mode & 0o777, 0o600)
        for turn in range(5):
            with open(log, "a") as out:
                out.write(f"turn {turn}\n" * 200_000)
            self.run_lines("--log", str(log))
            self.assertEqual(len(log.read_text().splitlines()), 1)
        self.assertEqual(sorted(p.name for p in log.parent.iterdir()),
                         ["sync.log", "sync.log.1", "sync.log.2", "sync.log.3"])
        self.assertIn("turn 4", (log.parent / "sync.log.1").read_text())
        # In the home directory by "~", which no shell expands in a crontab.
        self.run_lines("--log", "~/x.log")
        self.assertTrue((self.home / "x.log").exists())

    def test_a_log_that_cannot_be_written(self):
        done = self.pi_brain("sync", "run", "--log", str(self.config / "x"))
        self.assertEqual(done.returncode, 2)
        self.assertFalse(self.mirror.exists())

    def test_history(self):
        self.run_lines()
        self.write("p/a.jsonl", b'{"line":1}\n' * 1000)
        self.run_lines()
        self.write_config([self.spoke(source=str(self.dir / "missing")), self.spoke("other", source=str(self.source))])
        self.run_lines("--spoke", "laptop", code=1)
        self.run_lines("--spoke", "other")
        self.run_lines("--dry-run", code=1)
        text = self.pi_brain("sync", "history").stdout.splitlines()
        self.assertEqual([line.split()[2] for line in text], ["other:", "laptop:", "laptop:", "laptop:"])
        self.assertIn("✗ laptop:", text[1])
        self.assertIn("1 grew (+9.7 KB)", text[2])
        runs = json.loads(self.pi_brain("sync", "history", "--json").stdout)["runs"]
        self.assertEqual([(r["spoke"], r["ok"]) for r in runs],
                         [("other", True), ("laptop", False), ("laptop", True), ("laptop", True)])
        self.assertEqual(runs[3]["counts"]["new"], 1)
        self.assertEqual(runs[2]["bytesGrown"], 9900)
        self.assertEqual(runs[1]["failure"]["id"], "root-missing")
        self.assertIn(str(self.dir / "missing"), runs[1]["error"])
        self.assertIsNone(runs[0]["error"])
        self.assertIsNone(runs[0]["failure"])
        self.assertRegex(runs[0]["started"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(len(self.pi_brain("sync", "history", "-n", "1").stdout.splitlines()), 1)
        self.assertEqual(len(self.pi_brain("sync", "history", "--spoke", "other").stdout.splitlines()), 1)
        self.assertEqual(self.pi_brain("sync", "history", "--spoke", "nobody").returncode, 2)

    def test_a_history_of_an_older_version(self):
        self.run_lines()
        with sqlite3.connect(self.dir / "data/sync.db") as db:
            db.execute("ALTER TABLE runs DROP COLUMN bytes_grown")
            db.execute("ALTER TABLE runs DROP COLUMN failure")
            db.execute("PRAGMA user_version = 2")
        self.write("p/b.jsonl", b"x\n")
        self.assertEqual(len(self.run_lines()), 1)
        self.assertEqual(len(self.pi_brain("sync", "history").stdout.splitlines()), 2)

    def test_a_history_whose_failures_have_no_ids(self):
        """Up to version 7, a failure was one line of text, which is still shown."""
        self.write_config([self.spoke(source=str(self.dir / "missing"))])
        self.run_lines(code=1)
        with sqlite3.connect(self.dir / "data/sync.db") as db:
            db.execute("UPDATE runs SET error = 'the dog ate it. Get another dog.'")
            db.execute("ALTER TABLE runs DROP COLUMN failure")
            db.execute("PRAGMA user_version = 7")
        status = json.loads(self.pi_brain("sync", "status", "--json").stdout)["spokes"][0]
        self.assertEqual(status["lastFailure"]["id"], "unclassified")
        self.run_lines(code=1)
        new, old = json.loads(self.pi_brain("sync", "history", "--json").stdout)["runs"]
        self.assertEqual((new["failure"]["id"], old["failure"]["id"]), ("root-missing", "unclassified"))
        self.assertEqual(old["error"], "the dog ate it. Get another dog.")
        self.assertIn("laptop: the dog ate it. Get another dog.", self.pi_brain("sync", "history").stdout)

    def test_status(self):
        status = json.loads(self.pi_brain("sync", "status", "--json").stdout)["spokes"][0]
        self.assertEqual((status["lagSeconds"], status["lastRun"], status["schedule"]), (-1, None, None))
        self.write_config([self.spoke(schedule="@hourly")])
        self.run_lines()
        text = self.pi_brain("sync", "status", "--long").stdout
        for words in ("✓ laptop (agent): ok", "Schedule: @hourly", "Mirror: 1.1 KB in 1 file", "Last sync: just now"):
            self.assertIn(words, text)
        status = json.loads(self.pi_brain("sync", "status", "--json").stdout)["spokes"][0]
        self.assertEqual((status["mirrorBytes"], status["mirrorFiles"], status["schedule"]), (1100, 1, "@hourly"))
        self.assertLess(status["lagSeconds"], 60)
        self.write_config([self.spoke(source=str(self.dir / "missing"))])
        self.run_lines(code=1)
        text = self.pi_brain("sync", "status", "--long").stdout
        self.assertIn("✗ laptop (agent): failed", text)
        self.assertRegex(text, "Last error: just now: .*missing")

    def test_prometheus(self):
        off = {"sync_method": "syncthing", "path": str(self.dir / "phone")}
        self.write_config([self.spoke(), self.spoke('quo"te', source=str(self.dir / "missing")),
                           self.spoke("off", enabled=False), {"name": "phone", **off}])
        self.run_lines(code=1)
        text = self.pi_brain("sync", "status", "--prometheus").stdout
        samples = {}
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) pi_brain_sync_[a-z_]+ .+$")
                continue
            match = re.fullmatch(r'(pi_brain_sync_[a-z_]+)\{spoke="((?:[^"\\]|\\.)*)"\} (\S+)', line)
            self.assertTrue(match, line)
            samples[match[1].removeprefix("pi_brain_sync_"), match[2]] = float(match[3])
        self.assertAlmostEqual(samples["last_success_timestamp_seconds", "laptop"], time.time(), delta=60)
        self.assertEqual(samples["last_run_success", "laptop"], 1)
        self.assertEqual(samples["last_run_success", 'quo\\"te'], 0)
        self.assertEqual(samples["last_success_timestamp_seconds", 'quo\\"te'], 0)
        self.assertEqual(samples["failed_runs", 'quo\\"te'], 1)
        self.assertEqual(samples["mirror_bytes", "laptop"], 1100)
        self.assertEqual(samples["last_run_files", "laptop"], 1)
        self.assertGreater(samples["last_run_wire_bytes", "laptop"], 1000)
        self.assertGreater(samples["last_run_duration_seconds", "laptop"], 0)
        # A spoke that no run syncs is never late.
        for name in ("off", "phone"):
            self.assertNotIn(("last_success_timestamp_seconds", name), samples)
            self.assertEqual(samples["mirror_files", name], 0)
        self.assertEqual(self.pi_brain("sync", "status", "--prometheus", "--json").returncode, 2)


if __name__ == "__main__":
    unittest.main()
