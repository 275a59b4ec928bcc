"""The daemon: one process that keeps all mirrors up to date, and what the commands do while it runs."""
import fcntl
import json
import os
import signal
import subprocess
import time
import unittest

import harness
from test_live import LINE, LiveCase, Watch


class DaemonCase(LiveCase):
    def setUp(self):
        super().setUp()
        self.log = self.dir / "daemon.log"
        self.daemons = []

    def tearDown(self):
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        super().tearDown()

    def start_daemon(self):
        process = subprocess.Popen([harness.HUB, "daemon", "run", "-c", self.config, "--log", self.log], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, env=self.environment())
        self.daemons.append(process)
        return process

    def daemon(self, state="live", spokes=("laptop",)):
        """Starts one in the foreground."""
        process = self.start_daemon()
        for spoke in spokes:
            self.wait_for_state(spoke, state)
        return process

    def command(self, *arguments, code=0):
        done = self.pi_brain("daemon", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def status(self, spoke="laptop"):
        done = self.pi_brain("daemon", "status", "--json")
        if done.returncode != 0:
            return {}
        return next((one for one in json.loads(done.stdout)["spokes"] if one["name"] == spoke), {})

    def wait_for_state(self, spoke, state, seconds=60):
        return harness.wait_for(lambda: self.status(spoke).get("state") == state, seconds,
                                what=f"{spoke} {state}: {self.status(spoke)} {self.log.read_text() if self.log.exists() else ''}")

    def logins(self):
        return self.sshd.log.read_text().count("Accepted publickey")


class Daemon(DaemonCase):
    def test_it_keeps_the_mirror_up_to_date(self):
        daemon = self.daemon()
        for number in range(20):
            self.append("--p--/a.jsonl", LINE % b"%d" % number)
            self.arrives("--p--/a.jsonl")
        status = harness.wait_for(lambda: self.status()["lastChange"] and self.status(), what="a change in the status")
        self.assertGreaterEqual(status["lagSecondsP50"], 0)
        self.assertLessEqual(status["lagSecondsP50"], status["lagSecondsP99"])
        self.assertIsNone(status["failure"])
        self.assertIn("laptop", self.command("status"))
        change = status["lastChange"]
        harness.wait_for(lambda: self.status()["durableUpTo"] > change, what="the flush of it")
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)
        self.assertFalse((self.dir / "data/daemon.sock").exists())
        self.assertIn("laptop: live", self.log.read_text())
        # One line of the history for all of them, besides the scans.
        runs = json.loads(self.pi_brain("sync", "history", "--json").stdout)["runs"]
        hours = [run for run in runs if run["live"]]
        self.assertIn(len(hours), (1, 2))  # the hour may have changed meanwhile
        self.assertGreater(sum(hour["counts"]["grown"] for hour in hours), 0)
        hour = hours[0]
        self.assertGreater(hour["wireDown"], 0)
        failure = json.loads(self.pi_brain("daemon", "status", "--json").stdout)["failure"]
        self.assertEqual(failure["id"], "daemon-stopped")
        self.assert_promised_by_verify()

    def assert_promised_by_verify(self):
        done = self.pi_brain("sync", "verify")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_runs_use_its_connection(self):
        self.daemon()
        before = self.logins()
        self.write("--p--/b.jsonl", LINE % b"new", age=False)
        self.arrives("--p--/b.jsonl")
        report = self.sync_one()
        self.assertEqual((report["outcome"], report["counts"]["files"]), ("ok", 2))
        # A dry run shows what a run would do, and does not.
        (self.source / "--p--/b.jsonl").unlink()
        report = self.sync_one("--delete", "-n")
        self.assertEqual([(change["kind"], change["path"]) for change in report["changes"]], [("delete", "--p--/b.jsonl")])
        self.assertTrue((self.mirror / "--p--/b.jsonl").exists())
        report = self.sync_one("--delete")
        self.assertEqual(report["counts"]["deleted"], 1)
        self.assertFalse((self.mirror / "--p--/b.jsonl").exists())
        text = self.pi_brain("sync", "run").stdout
        self.assertRegex(text, "✓ laptop: nothing new; 1 file, ")
        self.assertEqual(self.logins(), before)
        # One limit cannot be shared between processes.
        self.assertEqual(self.sync_one("--bwlimit", "100000")["outcome"], "ok")
        self.assertEqual(self.logins(), before + 1)
        self.append("--p--/a.jsonl", LINE % b"still live")
        self.arrives("--p--/a.jsonl")

    def test_a_dry_run_takes_nothing_from_the_watch(self):
        """What the dry run's scan saw is mirrored as soon as the watch would have done it."""
        self.daemon()
        for number in range(5):
            self.write(f"notes{number}.txt", b"only a scan finds it", age=False)
            self.sync_one("-n")
        for number in range(5):
            self.arrives(f"notes{number}.txt")

    def test_the_status_knows_it(self):
        self.daemon()
        self.assertRegex(self.pi_brain("sync", "status").stdout, r"✓ laptop +agent .* live\n")
        self.assertRegex(self.pi_brain("sync", "status", "laptop").stdout, r"Daemon: live since ")
        self.assertEqual(json.loads(self.pi_brain("sync", "status", "--json").stdout)["spokes"][0]["live"], "live")

    def test_the_doctor_and_a_timer(self):
        self.daemon()
        doctor = json.loads(self.pi_brain("sync", "doctor", "--json").stdout)
        self.assertEqual([check["state"] for check in doctor["hub"] if check["step"] == "daemon"], ["ok"])
        units = self.home / ".config/systemd/user"
        units.mkdir(parents=True)
        (units / "pi-brain-sync.timer").write_text("")
        doctor = json.loads(self.pi_brain("sync", "doctor", "--json").stdout)
        (check,) = [check for check in doctor["hub"] if check["step"] == "daemon"]
        self.assertEqual(check["failure"]["id"], "timer-not-needed")

    def test_changes_of_spokes(self):
        config = json.loads(self.config.read_text())
        (spoke,) = config["spokes"]
        # 'spoke' edits no file that is written like JSON.
        self.config.write_text("\n".join(["hub:", *(f"  {name}: {json.dumps(value)}" for name, value in config["hub"].items()),
                                          "spokes:", f"  - name: {spoke.pop('name')}",
                                          *(f"    {name}: {json.dumps(value)}" for name, value in spoke.items()), ""]))
        self.daemon()
        before = self.logins()
        done = self.pi_brain("spoke", "disable", "laptop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.status(), {})
        done = self.pi_brain("spoke", "enable", "laptop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.wait_for_state("laptop", "live")
        self.assertGreater(self.logins(), before)

    def test_a_run_that_fails(self):
        self.daemon()
        self.mirror.rename(self.dir / "elsewhere")
        self.mirror.write_text("in the way")
        report = self.sync_one(code=1)
        self.assertEqual(report["failure"]["id"], "mirror-unusable")
        self.mirror.unlink()
        (self.dir / "elsewhere").rename(self.mirror)
        self.assertEqual(self.sync_one()["outcome"], "ok")

    def test_others_watch(self):
        self.daemon()
        before = self.logins()
        watches = [Watch(self), Watch(self, "-s", "laptop")]
        self.watches += watches
        for watch in watches:
            watch.wait_for("live")
        self.append("--p--/a.jsonl", LINE % b"seen by all")
        for watch in watches:
            (change,) = watch.wait_for("changed")
            self.assertEqual((change["path"], change["kind"]), ("--p--/a.jsonl", "grow"))
        self.assertEqual(self.logins(), before)
        # A reader that hangs delays nobody.
        os.kill(watches[0].process.pid, signal.SIGSTOP)
        for number in range(300):
            self.append("--p--/a.jsonl", LINE % b"%d" % number)
            time.sleep(0.002)
        self.arrives("--p--/a.jsonl")
        os.kill(watches[0].process.pid, signal.SIGCONT)
        end = (self.source / "--p--/a.jsonl").stat().st_size
        for watch in watches:
            watch.wait_for("changed", to=end)

    def test_a_watch_ends_with_the_daemon(self):
        daemon = self.daemon()
        watch = Watch(self)
        self.watches.append(watch)
        watch.wait_for("live")
        daemon.terminate()
        (ended,) = watch.wait_for("ended")
        self.assertEqual((ended["failure"]["id"], watch.process.wait(20)), ("daemon-failed", 1))

    def test_flush(self):
        self.daemon()
        for number in range(50):
            self.append(f"--p--/{number}.jsonl", LINE % b"%d" % number)
        self.append("--p--/half.jsonl", b'{"half a line')
        done = self.pi_brain("sync", "flush")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_mirrored()

    def test_after_a_lost_connection(self):
        self.daemon()
        self.kill_agents()
        self.append("--p--/a.jsonl", LINE % b"meanwhile")
        self.arrives("--p--/a.jsonl")
        self.wait_for_state("laptop", "live")

    def test_a_spoke_that_is_away(self):
        self.write_config([self.spoke(), self.spoke("away", path=str(self.dir / "away"))])
        away = json.loads(self.config.read_text())
        away["spokes"][1]["port"] = 1
        self.config.write_text(json.dumps(away))
        self.daemon()
        status = harness.wait_for(lambda: self.status("away").get("failure") and self.status("away"), what="a failed attempt")
        self.assertEqual(status["state"], "offline")
        self.assertEqual(status["failure"]["id"], "connection-refused")
        reports = {report["name"]: report for report in self.sync(code=1)["spokes"]}
        self.assertEqual((reports["laptop"]["outcome"], reports["away"]["outcome"]), ("ok", "failed"))

    def test_one_at_a_time(self):
        first = self.daemon()
        done = self.pi_brain("daemon", "run", "--log", self.log)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"process {first.pid}", done.stderr)
        self.assertIn(f"process {first.pid}", self.command("start"))
        # A killed one leaves nothing that another one minds.
        first.kill()
        first.wait()
        self.daemon()
        self.append("--p--/a.jsonl", LINE % b"by the second")
        self.arrives("--p--/a.jsonl")

    def test_start_and_stop(self):
        self.assertIn("No daemon runs.", self.command("stop"))
        pid = int(self.command("start", "--log", self.log).split("process ")[1].split(";")[0])
        try:
            self.wait_for_state("laptop", "live")
            self.assertEqual(os.getsid(pid), pid)
            self.append("--p--/a.jsonl", LINE % b"in the background")
            self.arrives("--p--/a.jsonl")
            self.assertIn(str(pid), self.command("stop"))
            self.assertFalse(os.path.exists(f"/proc/{pid}/exe"))
            pid = int(self.command("start", "--log", self.log).split("process ")[1].split(";")[0])
            again = int(self.command("restart", "--log", self.log).rsplit("process ")[-1].split(";")[0])
            self.assertNotEqual(pid, again)
            pid = again
        finally:
            os.kill(pid, signal.SIGKILL)

    def test_a_start_that_fails(self):
        self.config.write_text("spokes: 7\n")
        done = self.pi_brain("daemon", "start", "--log", self.log)
        self.assertEqual(done.returncode, 2)
        (self.dir / "data").rename(self.dir / "data-before") if (self.dir / "data").exists() else None
        self.write_config([self.spoke()])
        (self.dir / "data").write_text("in the way")
        done = self.pi_brain("daemon", "start", "--log", self.log)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.dir / "data"), done.stderr)

    def test_while_it_is_stopped(self):
        """A run does not hang on it."""
        daemon = self.daemon()
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            done = self.pi_brain("sync", "run")
            self.assertIn(done.returncode, (0, 75), done.stdout + done.stderr)
            self.assertIn(f"kill -KILL {daemon.pid}", done.stderr)
            done = self.pi_brain("daemon", "status", "--json")
            self.assertEqual((done.returncode, json.loads(done.stdout)["failure"]["id"]), (1, "daemon-failed"))
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        self.append("--p--/a.jsonl", LINE % b"on it goes")
        self.arrives("--p--/a.jsonl")


class BySchedule(DaemonCase):
    def test_rsync(self):
        # A user's key, for any command, here rsync's.
        self.sshd.authorized_keys.write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())
        self.write_config([self.spoke(sync_method="rsync", schedule="0 0 1 1 *")])
        self.daemon(state="scheduled")
        self.arrives("--p--/a.jsonl")
        self.assertEqual(self.status()["why"], "0 0 1 1 *")
        # It is not due again, and a run is done by the daemon.
        self.append("--p--/a.jsonl", LINE % b"more")
        self.assertEqual(self.sync_one()["counts"]["grown"], 1)
        self.assert_mirrored()


class ChangedConfig(DaemonCase):
    def test_it_is_taken_up(self):
        daemon = self.daemon()
        other = self.dir / "other-sessions"
        other.mkdir()
        (other / "o.jsonl").write_bytes(LINE % b"other")
        added = self.spoke("other", source=str(other), path=str(self.dir / "other"))
        self.write_config([self.spoke(), added])
        self.wait_for_state("other", "live")
        self.assertTrue((self.dir / "other/o.jsonl").exists())
        # As editors do.
        self.write_config([self.spoke(enabled=False), added])
        beside = self.config.with_name("beside")
        beside.write_text(self.config.read_text())
        beside.rename(self.config)
        harness.wait_for(lambda: self.status() == {}, what="the end of the disabled spoke")
        harness.wait_for(lambda: not harness.agents_below(self.sshd.process.pid), what="the end of its agent")
        self.write_config([self.spoke(), added])
        self.wait_for_state("laptop", "live")
        # Through a symlink, by a change of what it leads to.
        kept = self.dir / "elsewhere"
        kept.mkdir()
        self.config.rename(kept / "kept.yaml")
        self.config.symlink_to(kept / "kept.yaml")
        time.sleep(1)
        self.write_config([self.spoke(), {**added, "enabled": False}])
        self.assertTrue(self.config.is_symlink())
        harness.wait_for(lambda: self.status("other") == {}, what="the end of the other spoke")
        # By a signal.
        daemon.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        self.wait_for_state("laptop", "live")
        self.assertIsNone(daemon.poll())

    def test_a_run_that_waits_is_answered(self):
        """Its spoke is taken out of the config, while another process has the mirror."""
        self.daemon()
        mirror = os.open(self.mirror, os.O_RDONLY)
        try:
            harness.wait_for(lambda: self.locks(mirror), what="the mirror")
            run = self.start_run("--wait=5min", "--json")
            time.sleep(1)
            self.assertIsNone(run.poll())
            self.write_config([self.spoke(enabled=False)])
            report = json.loads(run.communicate(timeout=60)[0])
        finally:
            os.close(mirror)
        self.assertEqual((run.returncode, report["spokes"][0]["failure"]["id"]), (1, "daemon-stopped"))

    @staticmethod
    def locks(fd):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def test_a_mistake_changes_nothing(self):
        self.daemon()
        good = self.config.read_text()
        self.config.write_text("spokes: 7\n")
        harness.wait_for(lambda: "stays in use" in self.log.read_text(), what="the mistake in the log")
        self.append("--p--/a.jsonl", LINE % b"still")
        self.arrives("--p--/a.jsonl")
        self.config.write_text(good)
        harness.wait_for(lambda: json.loads(self.pi_brain("daemon", "status", "--json").stdout)["configFailure"] is None,
                         what="the config in use")


if __name__ == "__main__":
    unittest.main(verbosity=2)
