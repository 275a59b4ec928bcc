"""System calls that fail, on the hub and on the agent: the failure is reported, the mirror keeps its promises, nothing
is lost, and the next run repairs it. strace makes the calls fail, one after the other."""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
import tiers
from faults import LARGE_TAIL, STAGING, FaultCase, another_filesystem, contents, lines
from harness import quote, sessions

# The loader and `ssh -G` use these too, so only calls with a path of the test count.
BY_PATH = ("openat", "newfstatat", "pread64", "write", "read")
# When a call fails: the first, the second, …; "+": and all that follow.
POSITIONS = ("1", "2+", "6")
# One call of each kind must be used, and each call that is used is made to fail.
ALIKE = ({"renameat", "renameat2"}, {"fsync", "syncfs"})
# Calls that a run can do without, even if they always fail: a hard link, in place of which it copies, and the removal
# of empty directories.
DISPENSABLE = ("linkat", "unlinkat")
# Calls without an alternative, even for one failure. Others may have one: a file that cannot be patched is fetched
# whole.
FATAL = ("syncfs", "fsync", "fdatasync", "getdents64")
WHY = {"EIO": "Input/output error", "ENOSPC": "No space left on device", "EMFILE": "Too many open files"}


class SystemCalls(FaultCase):
    def setUp(self):
        super().setUp()
        self.prepare()

    def prepare(self):
        """A mirror, and a spoke with changes of every kind; saved, so that tests can start from there again and
        again."""
        self.make(8)
        self.write("thing/inside.jsonl", lines(self.rng, 1000))
        self.settle()
        self.change()
        with open(self.source / "p/large.jsonl", "ab") as out:
            out.write(lines(self.rng, LARGE_TAIL))
        shutil.rmtree(self.source / "thing")
        self.age(*(p for p in self.source.rglob("*") if p.is_file()))
        gone = next(path for path in sorted(self.before)
                    if path.startswith(b"--") and (self.source / os.fsdecode(path)).exists())
        (self.source / os.fsdecode(gone)).unlink()
        self.gone = {gone, b"thing/inside.jsonl"}
        self.saved = self.dir / "saved"
        self.saved.mkdir()
        for path in (self.mirror, self.source, self.dir / "data"):
            subprocess.run(["cp", "-a", path, self.saved / path.name], check=True)

    def restore(self):
        for path in (self.mirror, self.source, self.dir / "data"):
            shutil.rmtree(path)
            subprocess.run(["cp", "-a", self.saved / path.name, path], check=True)
        self.note_archive()

    def strace(self, *options):
        return ["strace", "-f", "-qq", "-o", str(self.dir / "trace"), *map(str, options)]

    def run_traced(self, *options):
        command = [*self.strace(*options), harness.HUB, "sync", "run", "--json", "--delete", "-c", self.config]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=60)

    def trace(self):
        return (self.dir / "trace").read_text(errors="replace")

    def paths_and_counts(self, calls, *below):
        """Learns from an undisturbed run which paths it touches, and how often it makes each call on them."""
        counts, paths = collections.Counter(), set()
        everywhere = collections.Counter()
        self.first = {}  # the number that strace gives to the first of these calls
        for text in self.trace().splitlines():
            found = [p for p in re.findall(r'<([^<>]*)>', text) if p.startswith(tuple(map(str, below)))]
            call = re.match(r"(\d+) +(\w+)\(", text)
            if not call or call[2] not in calls:
                continue
            everywhere[call[1], call[2]] += 1
            if found:
                self.first.setdefault(call[2], everywhere[call[1], call[2]])
                counts[call[2]] += 1
                paths.update(p.removesuffix("(deleted)") for p in found)
        return sorted(paths), counts

    def injections(self, calls, counts, error):
        for call in calls:
            if any(call in kind and any(counts[other] for other in kind) for kind in ALIKE) and counts[call] == 0:
                continue
            self.assertGreater(counts[call], 0, f"no {call} to disturb")
            for when in POSITIONS:
                if int(when.rstrip("+")) <= counts[call]:
                    if call == "fsync":
                        # A file of the hub's own may come before.
                        when = str(int(when.rstrip("+")) + self.first.get(call, 1) - 1) + "+" * when.endswith("+")
                    yield call, f"inject={call}:error={error}:when={when}"

    def judge(self, what, done):
        """Checks what must hold, whatever failed. Returns the spoke's report."""
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        # The hub ends an ssh that it no longer needs.
        self.assertNotRegex(self.trace(), "killed by SIG(?!KILL)")
        self.assertNotIn(".cc:", done.stderr)
        report = json.loads(done.stdout)["spokes"][0]
        self.assert_promised()
        if done.returncode == 0:
            if "unlinkat" in what:
                # A staged file that cannot be removed is removed by the next run.
                shutil.rmtree(self.mirror / os.fsdecode(STAGING), ignore_errors=True)
            self.assert_mirrored()
        else:
            self.assert_sentence(report["error"])
        return report

    def each(self, injections, run, check):
        before = dict(self.before)
        outcomes = collections.Counter()
        for call, injection in tiers.sweep(self._testMethodName, list(injections), 7):
            with self.subTest(injection):
                self.restore()
                self.before = dict(before)
                done = run(injection, call)
                self.assertIn("(INJECTED)", self.trace())
                report = self.judge(injection, done)
                if call in FATAL or (injection.endswith("+") and call not in DISPENSABLE):
                    self.assertEqual(done.returncode, 1, "nobody heard of it: " + done.stdout)
                check(call, injection, done.returncode, report)
                outcomes[done.returncode] += 1
                self.unbroken_agent()
                self.settle()
        self.before = before
        print(self.id().rsplit(".", 1)[1], dict(outcomes))

    def unbroken_agent(self):
        self.sshd.authorize_agent(self.source)

    # The hub.

    HUB_CALLS = ("openat2", "openat", "newfstatat", "getdents64", "pread64", "pwrite64", "utimensat",
                 "syncfs", "mkdirat", "linkat", "renameat2", "renameat", "unlinkat")

    def hub(self, calls, error):
        by_path = self.by_path(calls)

        def run(injection, call):
            return self.run_traced("-e", "trace=" + call, "-e", injection, *(by_path if call in BY_PATH else ()))

        def check(call, injection, code, report):
            if code == 1:
                # A walk of the mirror reports only the directory.
                self.assertRegex(report["error"], WHY[error] + "|'/[^']*' in the mirror cannot be |part of the mirror cannot be read: '/", injection)
                self.assertNotIn("bug", report["error"], injection)

        self.each(self.injections(calls, self.counts_there, error), run, check)

    def by_path(self, calls):
        """strace's options for each path of mirror and archive. Records how often each call is made on them."""
        self.restore()
        self.run_traced("-y", "-e", "trace=" + ",".join(calls))
        paths, self.counts_there = self.paths_and_counts(calls, self.mirror, self.archive)
        return [word for path in paths
                if path.startswith((str(self.mirror), str(self.archive))) for word in ("-P", path)]

    def test_io_errors_on_the_hub(self):
        self.hub(self.HUB_CALLS, "EIO")

    def test_io_errors_with_an_archive_elsewhere(self):
        """On another filesystem, to which old versions must be copied."""
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.write_config([self.spoke()])
            self.hub(("pwrite64", "fsync", "syncfs", "linkat", "unlinkat", "renameat", "renameat2"), "EIO")
            self.hub(("pwrite64", "fsync"), "ENOSPC")

    def test_an_append_that_can_neither_finish_nor_be_undone(self):
        """A tail that is short enough to be appended in place."""
        large = self.mirror / "p/large.jsonl"
        before = large.stat().st_size
        self.restore()
        os.truncate(self.source / "p/large.jsonl", before + 100_000)
        self.age(self.source / "p/large.jsonl")
        done = self.run_traced("-P", large, "-e", "trace=pwrite64,ftruncate",
                               "-e", "inject=pwrite64:error=EIO:when=1", "-e", "inject=ftruncate:error=EIO")
        for call in ("pwrite64", "ftruncate"):
            self.assertRegex(self.trace(), rf"{call}\(.*\(INJECTED\)")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.judge("an append", done)
        self.assertEqual(large.stat().st_size, before)
        self.settle()

    def test_a_filesystem_without_rename_noreplace(self):
        """NFS, and some of FUSE, have no RENAME_NOREPLACE."""
        self.age(self.source / "p/large.jsonl")
        self.settle()
        self.write("p/new.jsonl", lines(self.rng, 1000))
        (self.source / "moved").mkdir()
        (self.source / "p/large.jsonl").rename(self.source / "moved/large.jsonl")
        done = self.run_traced("-e", "trace=renameat2", "-e", "inject=renameat2:error=EINVAL")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(self.trace().count("(INJECTED)"), 1)
        report = self.judge("EINVAL", done)
        for kind in ("new", "moved"):
            self.assertGreater(report["counts"][kind], 0, kind)

    def test_a_new_host_key_that_cannot_be_saved(self):
        """It is accepted, as by OpenSSH, and the warning says where it could not be added, and why."""
        self.sshd.client_setting("StrictHostKeyChecking accept-new")
        known = self.sshd.known_hosts
        known.write_text("")
        try:
            done = self.run_traced("-P", known, "-e", "trace=write", "-e", "inject=write:error=ENOSPC")
            self.assertIn("(INJECTED)", self.trace())
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            (warning,) = json.loads(done.stdout)["spokes"][0]["warnings"]
            self.assertIn(f" {known}: No space left on device", warning)
            self.assertEqual(known.read_text(), "")
            self.assertIn("and has been added to", str(self.settle()["warnings"]))
            self.assertEqual(known.read_text().count("\n"), 1)
        finally:
            self.sshd.trust()
            self.sshd.configure_client()

    # Killed at the start of a call: between any two steps.

    KILL_CALLS = ("pwrite64", "utimensat", "mkdirat", "linkat", "renameat2", "renameat", "unlinkat", "syncfs")

    def killed(self, calls):
        counts = collections.Counter({call: 6 for call in calls})
        self.first = {}
        paths = {call: self.by_path((call,)) if call in BY_PATH else () for call in calls}
        before = dict(self.before)
        killed = collections.Counter()
        for call, injection in self.injections(calls, counts, "EIO"):
            if injection.endswith("+"):
                continue
            with self.subTest(injection):
                self.restore()
                self.before = dict(before)
                done = self.run_traced("-e", "trace=" + call, "-e", injection.replace("error=EIO", "signal=KILL"),
                                       *paths[call])
                self.assertIn(done.returncode, (0, -9), done.stdout + done.stderr)
                killed[call] += done.returncode == -9
                self.assert_promised()
                self.settle()
        self.before = before
        print(f"{self._testMethodName}: killed {killed.total()} times")
        for call in calls:
            kind = next((kind for kind in ALIKE if call in kind), {call})
            self.assertGreater(sum(killed[other] for other in kind), 0, call)

    def test_killed_at_each_step(self):
        self.killed(self.KILL_CALLS)

    def test_killed_at_each_step_with_an_archive_elsewhere(self):
        with another_filesystem(self.dir) as elsewhere:
            self.archive = pathlib.Path(elsewhere) / "archive"
            self.write_config([self.spoke()])
            self.killed(("pwrite64", "fsync", "linkat", "unlinkat", "renameat", "renameat2", "mkdirat"))

    def test_no_space_on_the_hub(self):
        self.hub(("openat", "pwrite64", "mkdirat", "linkat", "renameat2", "renameat"), "ENOSPC")

    def test_no_descriptors_on_the_hub(self):
        self.hub(("openat2", "openat"), "EMFILE")

    def test_verify_reports_what_it_could_not_compare(self):
        self.settle()
        for call, path, what in (("pread64", "p/large.jsonl", "'p/large.jsonl'"), ("getdents64", "p", "'p'")):
            with self.subTest(call):
                command = self.strace("-e", f"inject={call}:error=EIO", "-P", self.source / path)
                self.sshd.authorize(" ".join(map(quote, [*command, harness.AGENT, f"--root={self.source}"])))
                for options in ((), ("--repair",)):
                    done = self.pi_brain("sync", "verify", *options)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    self.assertIn(f"{what} on the spoke was not compared", done.stdout)
                    self.assertIn("1 not compared", done.stdout)
                document = json.loads(self.pi_brain("sync", "verify", "--json").stdout)
                self.assertEqual((document["ok"], document["spokes"][0]["unread"]), (False, 1))

    # The agent.

    AGENT_CALLS = ("openat2", "getdents64", "newfstatat", "pread64")

    def agent(self, calls, error):
        def run(injection, *_, options=("-P", self.source, *[
                w for p in self.source.rglob("*") for w in ("-P", p)])):
            command = self.strace("-e", injection, *options)
            self.sshd.authorize(" ".join(map(quote, [*command, harness.AGENT, f"--root={self.source}"])))
            return self.pi_brain("sync", "run", "--json", "--delete", timeout=60)

        self.restore()
        run("trace=" + ",".join(self.AGENT_CALLS), options=["-y"])
        _, counts = self.paths_and_counts(self.AGENT_CALLS, self.source)

        def check(call, injection, code, report):
            if code == 0:
                return
            self.assertRegex(report["error"], "could not be read|reading it failed|may not read|does not exist")
            if "could not be read" in report["error"]:
                # A file that was not listed is not gone.
                self.assertEqual(self.gone - contents(self.mirror).keys(), set(), injection)

        self.each(self.injections(calls, counts, error), run, check)

    def test_io_errors_on_the_agent(self):
        self.agent(self.AGENT_CALLS, "EIO")

    def test_no_descriptors_on_the_agent(self):
        self.agent(("openat2",), "EMFILE")

    def test_no_memory_on_the_agent(self):
        self.agent(("getdents64",), "ENOMEM")


if __name__ == "__main__":
    unittest.main(verbosity=2)
