"""Clocks that are wrong, jump or stand still, on either side: changes are noticed, and nothing is lost."""
import calendar
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness
import tiers
from faults import FaultCase, contents, lines

YEAR = 365 * 86400


class ClockCase(FaultCase):
    def setUp(self):
        super().setUp()
        self.fake = ""
        self.clock = self.dir / "clock"

    def environment(self):
        """Sets the hub's clock by self.fake: '-1y', or '2030-01-01 00:00:00' (it stands still)."""
        env = super().environment()
        if self.fake:
            env.update(LD_PRELOAD=str(harness.libfaketime()), FAKETIME=self.fake, DONT_FAKE_MONOTONIC="1",
                       FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_NO_CACHE="1")
        if self.fake == "file":  # the file's current content
            del env["FAKETIME"]
            env["FAKETIME_TIMESTAMP_FILE"] = str(self.clock)
        return env

    def set_clock(self, to):
        """Replaces it atomically."""
        new = self.dir / "clock.new"
        new.write_text(to + "\n")
        new.rename(self.clock)


class Clock(ClockCase):
    def everything_changes(self, *arguments):
        self.change()
        report = self.sync_one("--delete", "--max-delete", "1000", *arguments)
        self.assert_mirrored()
        self.assert_promised()
        self.note()
        return report

    def each_method(self):
        """The methods agent and rsync, each with a mirror of its own."""
        yield "agent"
        # rsync needs a key that may run rsync.
        self.sshd.authorized_keys.write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())
        for path in (self.mirror, self.archive, self.dir / "data", self.source):
            shutil.rmtree(path, ignore_errors=True)
        self.source.mkdir()
        self.before, self.in_archive = {}, {}
        self.write_config([self.spoke(sync_method="rsync")])
        yield "rsync"
        self.sshd.authorize_agent(self.source)

    def test_the_hubs_clock_jumps(self):
        """It jumps back and forth by seconds and by decades, with changes of all kinds in between. No run expires
        what an earlier one archived, whatever its age by the clock."""
        for method in self.each_method():
            self.make(6)
            jumps = ("-3600", "+3600", "-10y", "+3", "-3", "-60d", "+10y", "", "-1", "-10y", "+10y")
            for self.fake in tiers.sweep(f"jumps by {method}", jumps, 4):
                with self.subTest(self.fake, method=method):
                    self.begin_anew()
                    report = self.everything_changes()
                    if method == "agent":
                        self.assertEqual(self.apart() > 60, "the clock of" in " ".join(report["warnings"]),
                                         report["warnings"])
                    # A second look at fresh files, then nothing.
                    self.sync()
                    self.assertEqual(self.counts(), {})
                    self.archived_contents()
            self.fake = ""

    def apart(self):
        """How many seconds the hub's clock is wrong."""
        number, unit = self.fake.rstrip("yd") or "0", self.fake[-1:]
        return abs(float(number)) * {"y": YEAR, "d": 86400}.get(unit, 1)

    def test_the_hubs_clock_jumps_during_a_run(self):
        """No wait depends on it, and the history that it wrote is readable afterwards."""
        self.make(4)
        self.fake = "file"
        self.set_clock("+0")
        self.write("p/incompressible.jsonl", self.rng.randbytes(2_000_000))
        log = self.dir / "log"
        run = self.start_run("--json", "--bwlimit", "300", "--log", str(log))
        began = time.monotonic()
        harness.wait_for(lambda: (self.mirror / ".pi-brain-staging").exists(), what="data")
        for to in ("-1h", "+1h", "-10y", "-3", "+0", "+10y"):
            self.assertIsNone(run.poll())
            self.set_clock(to)
            time.sleep(0.5)
        out, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, out)
        took = time.monotonic() - began
        self.assertLess(took, 30)
        self.assertAlmostEqual(json.loads(out)["spokes"][0]["seconds"], took, delta=2)
        self.fake = ""
        self.assert_mirrored()
        # The hub saw the jumps: its end time shows them.
        self.assertIn(f"{time.gmtime().tm_year + 10}-", log.read_text())
        self.assertEqual(self.pi_brain("sync", "status").returncode, 0)
        self.sync()
        self.assertEqual(self.counts(), {})

    def test_keep_alives_while_the_clock_is_set_back(self):
        """They are not sent, so they cannot be unanswered."""
        self.make(2)
        self.sshd.configure_client(extra=["ServerAliveInterval 1", "ServerAliveCountMax 1"])
        self.sshd.authorize(f"sleep 7; exec {harness.AGENT} --root={self.source}")
        self.fake = "file"
        self.set_clock("+0")
        run = self.start_run("--json")
        harness.wait_for(lambda: harness.descendants(self.sshd.process.pid), what="the login")
        time.sleep(2)
        for to in ("-1h", "-10y"):
            self.set_clock(to)
            time.sleep(2)
        out, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, out)
        self.fake = ""
        self.sshd.configure_client()
        self.sshd.authorize_agent(self.source)

    def test_the_hubs_clock_stands_still(self):
        """Runs at one instant archive two versions of one file, and a third."""
        self.fake = "2030-01-01 00:00:00"
        path = self.write("p/a.jsonl", b"")
        other = self.write("p/b.jsonl", lines(self.rng, 1000))
        versions = []
        for _ in range(4):
            versions.append(lines(self.rng, 30_000))
            path.write_bytes(versions[-1])
            self.age(path)
            self.sync()
            self.assert_mirrored()
        path.unlink()
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        found = {p: harness.read_below(self.archive, p) for p in harness.files_below(self.archive)}
        places = {os.path.dirname(p) for p in found}
        self.assertEqual(len(places), len(versions))
        for place in places:
            self.assertRegex(place, rb"^laptop/20300101T000000\.00\dZ~(replaced|deleted)(~\d)?/p$")
        self.assertCountEqual(found.values(), versions)
        self.assertTrue(other.exists())

    def test_a_wrong_clock_does_not_empty_the_archive(self):
        """Not if it is ahead, nor if it is right again after it was behind or ahead when files were archived. Each
        time with two versions of one file, and a deleted one."""
        for method in self.each_method():
            clocks = (("", "+2y"), ("-60d", ""), ("-2y", ""), ("-2y", "+2y"), ("+2y", ""), ("-60d", "-20d"), ("", "-2y"))
            for archiving, later in tiers.sweep(f"clocks by {method}", clocks, 2):
                with self.subTest(archiving=archiving, later=later, method=method):
                    self.fake = ""
                    self.begin_anew()
                    path, gone = self.write("a.jsonl", lines(self.rng, 1000)), self.write("gone.jsonl", lines(self.rng, 900))
                    others = [self.write(f"{n}.jsonl", lines(self.rng, 100)) for n in range(4)]
                    self.settle()
                    self.fake = archiving
                    path.write_bytes(lines(self.rng, 1100))
                    self.age(path)
                    gone.unlink()
                    self.sync("--delete")
                    self.assertEqual(len(self.archived_contents()), 2)
                    self.note()
                    for self.fake in (later, "", later):
                        for changed in (False, True):
                            if changed:  # now, since with rsync the newest file is the spoke's clock
                                others[0].write_bytes(lines(self.rng, 200))
                            self.sync("--delete")
                            self.archived_contents()
                            self.held.update(contents(self.mirror).values())

    def test_names_of_maximum_length(self):
        """Versions of one instant get a number, which must not make a name too long, or two names equal."""
        self.fake = "2030-01-01 00:00:00"
        names = ["x" * 248 + end + ".jsonl" for end in "ab"]
        versions = []
        for _ in range(3):
            for name in names:
                versions.append(lines(self.rng, 3000))
                self.write(name, versions[-1])
            self.sync()
            self.assert_mirrored()
        found = [harness.read_below(self.archive, p) for p in harness.files_below(self.archive)]
        self.assertCountEqual(found, versions[:-2])

    def test_history_after_the_clock_was_ahead(self):
        """The run shown as the last one is the last one."""
        self.make(3)
        self.fake = "+2y"
        self.sync()
        self.fake = ""
        self.sshd.authorize("exit 3")
        self.sync(code=1)
        self.assertIn("✗ laptop", self.pi_brain("sync", "status").stdout)
        self.sshd.authorize_agent(self.source)
        self.sync()
        self.assertIn("✓ laptop", self.pi_brain("sync", "status").stdout)

    def test_times_far_from_now(self):
        """A file from 1970, from before, or from 2200, which then grows."""
        for seconds in (0, 1, -1, -YEAR, int(time.time()) + YEAR, int(time.time()) + 5, 2**31 - 1, 2**31, 7 * 10**9):
            with self.subTest(seconds):
                path = self.write(f"p/{seconds}.jsonl", lines(self.rng, 20_000))
                for turn in range(3):
                    with open(path, "ab") as out:
                        out.write(lines(self.rng, 1000))
                    os.utime(path, ns=(seconds * 10**9 + turn, seconds * 10**9 + turn))
                    self.sync()
                    self.assert_mirrored()
                self.assertEqual(self.counts(), {})

    def test_the_spokes_clock_steps(self):
        """Files grow, are rewritten and appear with older or much newer times."""
        self.make(6)
        for step in (-YEAR, YEAR, -3600, -1, 0, 10 * YEAR, -20 * YEAR):
            with self.subTest(step):
                self.change()
                now = time.time_ns() + step * 10**9
                for number, path in enumerate(p for p in self.source.rglob("*") if p.is_file()):
                    if path.stat().st_mtime_ns > self.clock_before:
                        os.utime(path, ns=(now + number, now + number))
                self.clock_before = now if step < 0 else self.clock_before
                self.sync_one("--delete", "--max-delete", "1000")
                self.assert_mirrored()
                self.assert_promised()
                self.note()

    clock_before = harness.LONG_AGO

    def test_growth_without_a_change_of_time(self):
        """A file grows, and its old time is restored: the size shows it."""
        self.make(6)
        for path in sorted(self.source.rglob("*.jsonl"))[:4]:
            st = path.stat()
            with open(path, "ab") as out:
                out.write(lines(self.rng, 700))
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.assertEqual(self.counts(), {"grown": 4})
        self.assert_mirrored()

    def test_growth_with_an_older_time(self):
        self.make(6)
        for path in sorted(self.source.rglob("*.jsonl"))[:4]:
            with open(path, "ab") as out:
                out.write(lines(self.rng, 700))
            os.utime(path, ns=(10**18, 10**18))
        self.assertEqual(self.counts(), {"grown": 4})
        self.assert_mirrored()

    def test_equal_times(self):
        """A copy without times (git clone, cp) gave every file the same time."""
        self.make(6)
        for path in self.source.rglob("*.jsonl"):
            os.utime(path, ns=(10**18, 10**18))
        self.sync()
        self.assert_mirrored()
        self.assertEqual(self.counts(), {})
        self.everything_changes()

    def test_a_source_restored_from_a_backup(self):
        """Yesterday's state returns with its times: the mirror follows, and today's state is archived."""
        self.make(6)
        backup = self.dir / "backup"
        subprocess.run(["cp", "-a", self.source, backup], check=True)
        self.change()
        self.settle()
        shutil.rmtree(self.source)
        subprocess.run(["cp", "-a", backup, self.source], check=True)
        self.sync("--delete", "--max-delete", "1000")
        self.assert_mirrored()
        self.assert_promised()


class ByRsync(ClockCase):
    """The spoke's clock is not known; the hub has the mirror's times alone."""

    DAY = 86400

    def setUp(self):
        super().setUp()
        self.sshd.authorized_keys.write_text("restrict " + self.sshd.key.with_suffix(".pub").read_text())
        self.write_config([self.spoke(sync_method="rsync")])
        self.path = self.write("p/a.jsonl", b"")

    def rewritten(self):
        """Archives a version of it. Returns the run's name, and the time in it."""
        before = set(self.runs())
        self.path.write_bytes(lines(self.rng, 3000))
        os.utime(self.path)
        self.sync()
        (run,) = set(self.runs()) - before
        return run, calendar.timegm(time.strptime(run[:15], "%Y%m%dT%H%M%S"))

    def runs(self):
        return sorted(os.listdir(self.archive / "laptop")) if (self.archive / "laptop").exists() else []

    def forget_ages(self):
        shutil.rmtree(self.dir / "data/archive-ages")

    def first(self):
        self.path.write_bytes(lines(self.rng, 4000))
        os.utime(self.path)
        self.sync()

    def test_a_clock_that_is_behind_ages_nothing(self):
        """A run is named by the time of the newest file, not by the clock that is behind."""
        self.first()
        for self.fake in ("-60d", "-20y", ""):
            self.assertAlmostEqual(self.rewritten()[1], time.time(), delta=self.DAY, msg=self.fake)
            self.forget_ages()
        self.assertEqual(len(self.runs()), 3)

    def test_a_clock_that_was_ahead_is_not_followed_for_ever(self):
        """But no run's name is earlier than an existing one."""
        self.first()
        self.fake = "+40d"
        ahead = self.rewritten()[1]
        self.assertAlmostEqual(ahead, time.time() + 40 * self.DAY, delta=self.DAY)
        self.fake = ""
        self.assertAlmostEqual(self.rewritten()[1], ahead, delta=1)
        shutil.rmtree(self.archive)
        self.assertAlmostEqual(self.rewritten()[1], time.time(), delta=self.DAY)

    def test_files_from_the_future_do_not_set_the_time_of_a_run(self):
        """Their times name no run, and expire none when the hub's clock is ahead too."""
        self.first()
        future = self.write("p/future.jsonl", b"x\n")
        os.utime(future, ns=((2**63 - 1), (2**63 - 1)))
        near = self.write("p/near.jsonl", b"x\n")
        os.utime(near, (time.time() + 400 * self.DAY,) * 2)
        self.sync()
        run, when = self.rewritten()
        self.assertAlmostEqual(when, time.time(), delta=self.DAY)
        for self.fake in ("+2y", "+2y", "+399d", ""):
            self.sync()
            self.assertIn(run, self.runs(), self.fake)

    def test_nothing_expires_by_clocks_that_jump(self):
        """Whatever the clocks of hub and spoke say, what was archived just now is not old."""
        self.first()
        seen = []
        for self.fake in ("-10y", "+10y", "", "-3y", "+3y", "+31d", "-31d", ""):
            seen.append(self.rewritten()[0])
            # The spoke's clock is just as wrong, by its newest file.
            self.write("p/b.jsonl", self.fake.encode())
            if self.fake:
                ahead = int(self.fake[:-1]) * (YEAR if self.fake.endswith("y") else self.DAY)
                os.utime(self.source / "p/b.jsonl", (time.time() + ahead,) * 2)
            self.sync()
            self.sync()
            self.assertLessEqual(set(seen), set(self.runs()), self.fake)

    def test_an_old_name_is_not_enough(self):
        """A hub archived it while its clock was behind, which nothing showed."""
        self.first()
        run, _ = self.rewritten()
        old = "20010203T040506.789Z"
        (self.archive / "laptop" / run).rename(self.archive / "laptop" / old)
        ages = self.dir / "data/archive-ages/laptop"
        ages.write_text(ages.read_text().replace(run, old))
        self.sync()
        self.assertEqual(self.runs(), [old])
        # Once it has been counted for long enough, it expires.
        ages.write_text(ages.read_text().replace(f"{old} 0", f"{old} {31 * self.DAY * 10**9}"))
        self.first()
        self.assertNotIn(old, self.runs())


if __name__ == "__main__":
    unittest.main(verbosity=2)
