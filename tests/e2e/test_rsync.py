"""sync_method: rsync, with the system's rsync over a real sshd; and the spokes that a run chooses."""
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import sqlite3
import stat
import subprocess
import time
import unittest

import harness
import mounts
import tiers
from faults import another_filesystem
from harness import HubCase, quote

CUT_OFF = "interrupted"  # in the warning after such a run
STAGING = ".pi-brain-staging"


class RsyncCase(HubCase):
    def setUp(self):
        super().setUp()
        # A user's key, for any command, here rsync's.
        self.sshd.authorized_keys.write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())
        self.path = os.environ["PATH"]
        self.configure()

    def environment(self):
        return {**super().environment(), "PATH": self.path}

    def configure(self, **fields):
        self.write_config([self.spoke(sync_method="rsync", **fields)])

    def fails(self, failure, *words, arguments=()):
        """Checks that a run fails with this id, and that its message has these names, numbers and commands."""
        report = self.sync_one(*arguments, code=1)
        self.assert_failure(report, failure, *words)
        return report

    def assert_failure(self, report, failure, *words):
        self.assertEqual(report["failure"]["id"], failure, report["error"])
        for word in words:
            self.assertIn(word, report["error"])

    def assert_cut_off(self, report):
        """Checks that the run noticed that the last one was interrupted."""
        (warning,) = report["warnings"]
        self.assertIn(CUT_OFF, warning)

    def assert_mirrored(self, besides=()):
        theirs, ours = (harness.files_below(d) for d in (self.source, self.mirror))
        self.assertEqual(set(theirs), set(ours) - {os.fsencode(b) for b in besides})
        for path, their in theirs.items():
            self.assertEqual(harness.read_below(self.source, path), harness.read_below(self.mirror, path), path)
            self.assertEqual(their.st_mtime_ns, ours[path].st_mtime_ns, path)
            self.assertEqual(stat.S_IMODE(ours[path].st_mode), 0o600, path)
        self.assert_private_directories(self.mirror)


class ByRsync(RsyncCase):
    def test_changes_of_all_kinds(self):
        for name in ("grows", "is-rewritten", "shrinks", "stays", "goes"):
            self.write(f"--p--/{name}.jsonl", b'{"line":1}\n' * 500)
        self.write("--p--/new\nline \x1b[31m.txt", b"x")
        self.assertEqual(self.counts(), {"new": 6})
        self.assert_mirrored()
        self.assertEqual(self.counts(), {})
        self.write("--p--/grows.jsonl", b'{"line":1}\n' * 500 + b'{"line":2}\n')
        self.write("--p--/is-rewritten.jsonl", b'{"other":1}\n' + b'{"line":1}\n' * 500)
        self.write("--p--/shrinks.jsonl", b'{"line":1}\n')
        (self.source / "--p--/goes.jsonl").unlink()
        self.assertEqual(self.counts("--dry-run"), {"grown": 2, "rewritten": 1}, "by size alone")
        spoke = self.sync_one()
        self.assertEqual({k: v for k, v in spoke["counts"].items() if v and k != "files"},
                         {"grown": 1, "rewritten": 2})
        self.assertEqual(spoke["bytesGrown"], 11)
        self.assert_mirrored(besides=["--p--/goes.jsonl"])
        self.assertEqual(set(self.archived()), {b"--p--/is-rewritten.jsonl", b"--p--/shrinks.jsonl"},
                         "what a longer version begins with is not lost")
        self.assertEqual(self.archived()[b"--p--/shrinks.jsonl"], b'{"line":1}\n' * 500)
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        self.assert_mirrored()
        self.assertIn(b"--p--/goes.jsonl", self.archived())
        self.assertEqual(self.reasons(), [("--p--/is-rewritten.jsonl", "replaced"), ("--p--/shrinks.jsonl", "replaced"),
                                          ("--p--/goes.jsonl", "deleted")])
        (self.mirror / "--p--/stays.jsonl").write_bytes(b"edited on the hub")
        self.assertEqual(self.counts(), {"rewritten": 1})
        self.assertEqual(self.reasons()[3:], [("--p--/stays.jsonl", "edited")])

    def test_nothing_is_deleted_by_mistake(self):
        for i in range(30):
            self.write(f"s{i}.jsonl", b"x\n")
        self.sync()
        for i in range(20):
            (self.source / f"s{i}.jsonl").unlink()
        before = self.snapshot()
        for mode in (["--dry-run"], []):
            report = self.fails("deletion-refused", " 30 ", arguments=["--delete", *mode])
            self.assertEqual([fix["command"] for fix in report["failure"]["fixes"]],
                             [f"pi-brain sync run --spoke laptop --delete --max-delete 20 -c {self.config}"])
            self.assertEqual(self.snapshot(), before)
        self.assertEqual(self.counts("--delete", "--max-delete", "20"), {"deleted": 20})
        for path in self.source.iterdir():
            path.unlink()
        self.fails("deletion-refused", "'pi-brain spoke remove laptop", arguments=["--delete"])
        self.assertEqual(len(self.snapshot()), 10)

    def test_symlinks_and_special_files_are_skipped(self):
        self.write("real.jsonl", b"x\n")
        (self.source / "link.jsonl").symlink_to("/etc/passwd")
        os.mkfifo(self.source / "pipe")
        spoke = self.sync_one()
        (warning,) = spoke["warnings"]
        self.assertRegex(warning, ": 2$")
        self.assertEqual(set(self.snapshot()), {b"real.jsonl"})

    def test_the_guard_holds_during_changes(self):
        """The source is emptied between the transfer and the scan for deletions."""
        for i in range(30):
            self.write(f"s{i}.jsonl", b"x\n")
        self.sync()
        before = self.snapshot()
        public = (self.sshd.dir / "client_key.pub").read_text()
        count = self.dir / "count"
        script = self.dir / "script"
        script.write_text(f'#!/bin/sh\necho x >> {count}\n[ $(wc -l < {count}) != 2 ] || rm -f {self.source}/*\n'
                          'exec $SSH_ORIGINAL_COMMAND\n')
        script.chmod(0o755)
        self.sshd.authorized_keys.write_text(f'restrict,command="{script}" {public}')
        self.fails("deletion-refused", "'pi-brain spoke remove laptop", arguments=["--delete"])
        self.assertEqual(self.snapshot(), before)

    def test_a_directory_in_place_of_a_file(self):
        self.write("foo", b"version 1\n")
        self.write("grows", b"1\n")
        self.sync()
        (self.source / "foo").unlink()
        self.write("foo/bar.jsonl", b"new\n")
        self.write("grows", b"1\n2\n")
        self.sync()
        self.assert_mirrored()
        self.assertEqual(self.archived(), {b"foo": b"version 1\n"})
        (self.source / "foo/bar.jsonl").unlink()
        (self.source / "foo").rmdir()
        self.write("foo", b"version 2\n")
        self.fails("files-failed", " foo ", str(self.mirror), "sync_method: agent")
        self.assertIn(b"foo/bar.jsonl", self.snapshot())

    def test_an_unreadable_directory_stops_only_deletion(self):
        self.write("a.jsonl", b"x\n")
        self.sync()
        (self.source / "a.jsonl").unlink()
        self.write("b.jsonl", b"x\n")
        self.write("secret/c.jsonl", b"x\n")
        (self.source / "secret").chmod(0)
        self.as_nobody()
        self.fails("spoke-unreadable", "secret", arguments=["--delete"])
        self.assertEqual(set(self.snapshot()), {b"a.jsonl", b"b.jsonl"})

    def as_nobody(self):
        """Has rsync on the spoke run as a user other than root, who cannot read everything."""
        if os.geteuid() == 0:
            public = (self.sshd.dir / "client_key.pub").read_text()
            for directory in (self.class_dir, self.dir, self.source):
                directory.chmod(0o755)
            self.sshd.authorized_keys.write_text(
                'restrict,command="setpriv --reuid=65534 --clear-groups -- $SSH_ORIGINAL_COMMAND" ' + public)

    def test_a_rewrite_of_the_same_size_in_the_same_second(self):
        path = self.write("a.jsonl", b"old\n")
        os.utime(path, ns=(10**18, 10**18))
        self.sync()
        path.write_bytes(b"new\n")
        os.utime(path, ns=(10**18 + 5 * 10**8,) * 2)
        self.assertEqual(self.counts(), {"rewritten": 1})
        self.assert_mirrored()

    def test_no_setuid_bits(self):
        self.write("tool", b"x\n").chmod(0o4755)
        self.configure(keep_modes=True)
        self.sync()
        self.assertEqual(stat.S_IMODE((self.mirror / "tool").stat().st_mode), 0o755)

    def test_very_many_errors(self):
        for i in range(9000):
            path = self.source / "d" / f"{'long-name-' * 10}{i}"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            path.chmod(0)
        self.write("z.jsonl", b"x\n")
        self.as_nobody()
        self.fails("spoke-unreadable")
        self.assertEqual(set(self.snapshot()), {b"z.jsonl"})

    def test_the_rsync_of_a_killed_hub_keeps_the_lock(self):
        self.write("slow.jsonl", os.urandom(400_000))
        run = self.start_run("--bwlimit", "100")
        staging = self.mirror / ".pi-brain-staging"
        harness.wait_for(lambda: list(staging.glob("slow.jsonl.*")), what="rsync at work")
        run.kill()
        run.communicate()
        self.assertEqual(self.pi_brain("sync", "run").returncode, 75)
        harness.wait_for(lambda: self.pi_brain("sync", "run").returncode == 0, what="rsync's end")
        self.assert_mirrored()

    def test_rrsync(self):
        self.write("a.jsonl", b"x\n")
        public = (self.sshd.dir / "client_key.pub").read_text()
        self.sshd.authorized_keys.write_text(f'restrict,command="rrsync -ro {self.source}" {public}')
        self.configure(source="spoke:.")
        self.assertEqual(self.counts(), {"new": 1})
        self.assert_mirrored()
        self.configure(source=f"spoke:{self.source}/nowhere")
        self.fails("rsync-refused", "source: spoke:.")

    def test_options(self):
        self.write("a.jsonl", b"x\n")
        self.write("b.tmp", b"x\n")
        self.write("big.jsonl", os.urandom(300_000))
        self.configure(rsync_options={"extra_args": ["--exclude", "*.tmp", "--exclude=big*"], "bw_limit": 5000})
        self.sync()
        self.assertEqual(set(self.snapshot()), {b"a.jsonl"})
        self.configure(keep_modes=True, rsync_options={"bw_limit": 100})
        (self.source / "a.jsonl").chmod(0o640)
        began = time.monotonic()
        self.sync()
        self.assertGreater(time.monotonic() - began, 1, "300 KB at 100 KB/s")
        self.assertEqual(stat.S_IMODE((self.mirror / "a.jsonl").stat().st_mode), 0o640)
        # The limit of the command line replaces the config's.
        self.write("more.jsonl", os.urandom(300_000))
        began = time.monotonic()
        self.sync("--bwlimit", "100000")
        self.assertLess(time.monotonic() - began, 2)

    def test_options_that_rsync_rejects(self):
        self.configure(rsync_options={"extra_args": ["--filter=no such rule"]})
        self.fails("rsync-arguments", "no such rule", "rsync_options.extra_args")
        self.configure(rsync_options={"extra_args": ["--exclude-from=/no/such/file"]})
        self.fails("rsync-failed", "/no/such/file", "rsync_options.extra_args")

    def test_arguments_that_run_commands_are_refused(self):
        for argument in ("-e sh", "-ave", "--rsh=sh", "--rsync-p=x", "-M--x", "--daemon", "--remove-source-files", "--delete",
                         "-q", "-a", "--append", "/etc/"):
            self.configure(rsync_options={"extra_args": ["-v", argument]})
            done = self.pi_brain("sync", "run")
            self.assertEqual(done.returncode, 2, argument)
            self.assertIn("rsync_options.extra_args", done.stderr)
            self.assertIn(argument, done.stderr)
            self.assertFalse(self.mirror.exists())

    def test_history_lock_and_status(self):
        self.write("a.jsonl", b"x\n" * 10)
        self.sync()
        self.assertIn("just now", self.pi_brain("sync", "status").stdout)
        self.write("slow.jsonl", os.urandom(400_000))
        run = self.start_run("--bwlimit", "100")
        harness.wait_for(lambda: list(self.mirror.rglob("*slow*")), what="rsync at work")
        self.assertEqual(self.sync_one(code=75)["failure"]["id"], "mirror-in-use")
        self.assertEqual(run.wait(), 0, run.communicate())
        self.assert_mirrored()

    def test_the_hub_gives_up_on_a_hanging_proxy(self):
        self.write("a.jsonl", b"x\n")
        self.sshd.configure_client(extra=["ProxyCommand sh -c 'sleep 1234; :'"])
        self.configure(rsync_options={"timeout_seconds": 2})
        began = time.monotonic()
        self.fails("connection-silent", "rsync_options.timeout_seconds")
        self.assertLess(time.monotonic() - began, 10)
        left = subprocess.run(["pgrep", "-f", "^sleep 1234$"], capture_output=True, text=True).stdout.split()
        self.assertEqual(left, [])

    def test_the_hub_gives_up_on_a_silent_host_as_soon_as_with_the_agent(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(1)
            self.sshd.configure_client(port=silent.getsockname()[1], extra=["ConnectTimeout 2"])
            began = time.monotonic()
            self.fails("login-timeout", "no SSH greeting", " 2 s (ConnectTimeout)")
        self.assertLess(time.monotonic() - began, 10)

    def test_an_interrupted_run_ends_its_rsync(self):
        self.write("slow.jsonl", os.urandom(4_000_000))
        run = self.start_run("--bwlimit", "100")
        harness.wait_for(lambda: list(self.mirror.rglob("*slow*")), what="rsync at work")
        children = harness.descendants(run.pid)
        self.assertTrue(children)
        run.terminate()
        run.communicate()
        harness.wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), what="its end")

    def test_the_doctor_of_a_spoke_that_was_emptied(self):
        self.write("--p--/a.jsonl", b"x\n")
        self.sync()
        (self.source / "--p--/a.jsonl").unlink()
        document = json.loads(self.pi_brain("sync", "doctor", "--json").stdout)
        found = {check["step"]: check for check in document["spokes"][0]["checks"]}["sessions"]
        self.assertEqual((found["state"], found["failure"]["id"]), ("warning", "root-empty"))

    def test_verify(self):
        for name in ("alike", "rotten", "grows"):
            self.write(f"--p--/{name}.jsonl", b'{"line":1}\n' * 500)
        self.sync()
        rotten = self.mirror / "--p--/rotten.jsonl"
        times = rotten.stat()
        rotten.write_bytes(b'{"lie":"1"}' + b'{"line":1}\n' * 499)
        os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.utime(self.source / "--p--/alike.jsonl")
        self.write("--p--/grows.jsonl", b'{"line":1}\n' * 501)
        self.write("--p--/new.jsonl", b"x\n")
        (self.mirror / "ours.jsonl").write_bytes(b"y\n")
        before = self.snapshot()
        done = self.pi_brain("sync", "verify", "--json")
        self.assertEqual(done.returncode, 1, done.stdout)
        (spoke,) = json.loads(done.stdout)["spokes"]
        self.assertEqual([(one["path"], one["kind"], one["size"], one["mirrorSize"]) for one in spoke["differences"]],
                         [("--p--/grows.jsonl", "changed", 5511, 5500), ("--p--/new.jsonl", "missing", 2, 0),
                          ("--p--/rotten.jsonl", "content", 5500, 5500)])
        self.assertEqual((spoke["files"], spoke["bytes"], spoke["extra"]), (3, 16511, 1))
        self.assertEqual(self.snapshot(), before)
        text = self.pi_brain("sync", "verify").stdout
        self.assertIn("--p--/rotten.jsonl: ", text)
        self.assertIn("sync verify --spoke laptop --repair", text)
        (spoke,) = json.loads(self.pi_brain("sync", "verify", "--repair", "--json").stdout)["spokes"]
        self.assertEqual((len(spoke["differences"]), spoke["repaired"]), (3, True))
        self.assert_mirrored(besides=["ours.jsonl"])
        self.assertEqual(self.archived()[b"--p--/rotten.jsonl"], b'{"lie":"1"}' + b'{"line":1}\n' * 499)
        self.assertEqual(self.reasons(), [("--p--/rotten.jsonl", "repaired")])
        (spoke,) = json.loads(self.pi_brain("sync", "verify", "--json").stdout)["spokes"]
        self.assertEqual((spoke["files"], spoke["bytes"], spoke["differences"], spoke["extra"]), (4, 16513, [], 1))
        self.write_config([self.spoke(sync_method="rsync", source="tester@127.0.0.1:/nowhere")])
        done = self.pi_brain("sync", "verify")
        self.assertEqual(done.returncode, 1, done.stdout)

    def test_a_mirror_of_the_agent_continues_with_rsync(self):
        self.write("a.jsonl", b"x\n")
        self.sshd.authorize_agent(self.source)
        self.write_config([self.spoke()])
        self.sync()
        self.sshd.authorized_keys.write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())
        self.configure()
        self.assertEqual(self.counts(), {})
        self.sshd.authorize_agent(self.source)
        self.write_config([self.spoke()])
        self.assertEqual(self.counts(), {})

    def test_a_local_source(self):
        self.write("a.jsonl", b"x\n")
        self.configure(source=str(self.source))
        self.assertEqual(self.counts(), {"new": 1})
        self.assert_mirrored()

    def test_spokes_with_and_without_rsync_on_the_hub(self):
        self.write("a.jsonl", b"x\n")
        self.write_config([self.spoke(sync_method="rsync"), self.spoke("other", source=str(self.source))])
        programs = self.dir / "bin"
        programs.mkdir()
        for name in ("ssh",):
            (programs / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
        done = self.pi_brain("sync", "run", "--json", env={**self.environment(), "PATH": str(programs)})
        self.assertEqual(done.returncode, 1, done.stdout)
        laptop, other = json.loads(done.stdout)["spokes"]
        self.assert_failure(laptop, "rsync-missing", " on this machine", "sudo apt install rsync")
        self.assertEqual((other["outcome"], other["counts"]["new"]), ("ok", 1))

    def fails_with(self, failure, *words, **fields):
        self.configure(**fields)
        self.fails(failure, *words)

    def test_failures_are_reported(self):
        self.write("a.jsonl", b"x\n")
        self.fails_with("root-missing", "/nowhere/at/all", source="spoke:/nowhere/at/all")
        self.sshd.configure_client(port=1)
        self.fails_with("connection-refused", "127.0.0.1 port 1")
        self.sshd.configure_client(known_hosts=self.dir / "empty")
        self.fails_with("host-key-unknown", "ssh-keyscan")
        self.sshd.configure_client()
        self.sshd.authorized_keys.write_text("")
        self.fails_with("permission-denied", "authorized_keys")
        public = (self.sshd.dir / "client_key.pub").read_text()
        self.sshd.authorized_keys.write_text(f'restrict,command="echo noise; rsync --server --sender -logDtpre.iLsfxCIvu . /" {public}')
        self.fails_with("shell-noisy", "~/.bashrc", " spoke true'")
        self.sshd.authorized_keys.write_text(f'restrict,command="no-such-rsync" {public}')
        self.fails_with("rsync-missing", " on spoke", "sudo apt install rsync")
        self.sshd.authorized_keys.write_text(f'restrict,command="sleep 60" {public}')
        began = time.monotonic()
        self.fails_with("connection-silent", " 1 s ", "timeout_seconds", rsync_options={"timeout_seconds": 1})
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(self.snapshot(), {})

    def at_each_rsync(self, *lines):
        """Has the hub run this sh script instead of rsync. $N counts the calls, without --help; $RSYNC is the real rsync."""
        real = shutil.which("rsync")
        programs = self.dir / "programs"
        programs.mkdir(exist_ok=True)
        count = self.dir / "count"
        script = programs / "rsync"
        script.write_text("\n".join([
            "#!/bin/sh", f"RSYNC={quote(real)}", f"COUNT={quote(count)}",
            '[ "$1" = --help ] || echo x >> "$COUNT"', '[ ! -e "$COUNT" ] || N=$(wc -l < "$COUNT")',
            *lines, 'exec "$RSYNC" "$@"']) + "\n")
        script.chmod(0o755)
        count.unlink(missing_ok=True)
        self.path = f"{programs}:{os.environ['PATH']}"
        return count

    # Power cuts, kills and disks.

    def damage(self, name):
        """Changes the bytes of a file in the mirror, and keeps size and time, as after a power cut."""
        path = self.mirror / name
        st = path.stat()
        path.write_bytes(b"\0" * st.st_size)
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))

    def test_contents_are_compared_after_an_interrupted_run(self):
        for name in ("a", "d/b", "c"):
            self.write(f"{name}.jsonl", b"line\n" * 100)
        self.sync()
        self.damage("d/b.jsonl")
        self.assertEqual(self.counts(), {}, "nobody looks")
        for mark in ("", "lost-writes"):
            (self.mirror / STAGING).mkdir()
            if mark:
                (self.mirror / STAGING / mark).touch()
            spoke = self.sync_one()
            self.assert_cut_off(spoke)
            self.assertEqual(spoke["counts"]["rewritten"], 1)
            self.assert_mirrored()
            self.damage("d/b.jsonl")
        (self.mirror / STAGING).mkdir()
        self.assertEqual(self.counts(), {"rewritten": 1})
        spoke = self.sync_one()
        self.assertEqual((spoke["warnings"], spoke["counts"]["rewritten"]), ([], 0))

    def test_a_failed_run_was_not_interrupted(self):
        self.write("a.jsonl", b"x\n")
        self.write("secret.jsonl", b"x\n").chmod(0)
        self.as_nobody()
        self.sync_one(code=1)
        self.assertFalse((self.mirror / STAGING).exists())
        self.assertNotIn(CUT_OFF, str(self.sync_one(code=1)["warnings"]))

    def test_a_killed_run_is_completed(self):
        """Files that rsync had replaced by then are archived, except those that merely grew."""
        for name in ("a", "b", "z"):
            self.write(f"d/{name}.jsonl", b"old\n" * 100)
        self.sync()
        self.write("d/a.jsonl", b"new\n" * 90)
        self.write("d/b.jsonl", b"old\n" * 101)
        self.write("d/z.jsonl", os.urandom(400_000))
        run = self.start_run("--bwlimit", "100")
        staging = self.mirror / STAGING
        harness.wait_for(lambda: list(staging.glob("z.jsonl.*")), what="rsync at its last file")
        children = harness.descendants(run.pid)
        for pid in (run.pid, *children):
            harness.kill(pid)
        run.communicate()
        self.assertTrue(staging.exists())
        harness.wait_for(lambda: not any(harness.name_of(pid) for pid in children), what="their end")
        spoke = self.sync_one()
        self.assert_cut_off(spoke)
        self.assert_mirrored()
        self.assertEqual(self.archived(), {b"d/a.jsonl": b"old\n" * 100, b"d/z.jsonl": b"old\n" * 100})
        self.assertFalse(staging.exists())

    def test_an_older_rsync(self):
        """It does not have --fsync."""
        self.at_each_rsync('case "$1" in --help) "$RSYNC" --help | grep -v fsync; exit;; esac',
                           'for a; do case $a in --fsync) echo "rsync: --fsync: unknown option" >&2; exit 1;; esac; done')
        self.write("a.jsonl", b"x\n")
        self.assertEqual(self.counts(), {"new": 1})
        self.assert_mirrored()

    def test_without_the_archive_nothing_is_replaced(self):
        """Files that cannot be archived stay where they are."""
        self.write("a.jsonl", b"old\n" * 100)
        self.sync()
        self.write("a.jsonl", b"new\n" * 90)
        self.archive.write_text("in the way")
        for _ in range(2):
            report = self.sync_one(code=1)
            self.assertIn(str(self.archive), report["error"])
            self.assertEqual(report["failure"]["id"], "hub-file-error", "it is not the spoke's doing")
        self.archive.unlink()
        self.sync()
        self.assert_mirrored()
        self.assertEqual(self.archived(), {b"a.jsonl": b"old\n" * 100})

    def test_old_modes_become_private(self):
        path = self.write("d/a.jsonl", b"x\n")
        (self.mirror / "d").mkdir(parents=True)
        shutil.copy2(path, self.mirror / "d/a.jsonl")
        for there, mode in ((self.mirror, 0o755), (self.mirror / "d", 0o755), (self.mirror / "d/a.jsonl", 0o644)):
            there.chmod(mode)
        self.assertEqual(self.counts(), {})
        self.assert_mirrored()

    # Files that cannot be read or written.

    def run_limited(self, *arguments, prefix=(), code=0, **options):
        done = subprocess.run([*prefix, harness.HUB, "sync", "run", "--json", "-v", "-c", self.config, *arguments],
                              capture_output=True, text=True, env=self.environment(), **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)["spokes"][0]

    def test_files_that_are_too_large(self):
        """ulimit -f: they are named, and the others are fetched."""
        for name in ("a", "b/core*", "d/core[1]"):
            self.write(name + ".big", b"x" * 3_000_000)
        for name in ("a", "b/b", "d/d", "z"):
            self.write(name + ".jsonl", b"line\n")
        for expected in ({"new": 4, "failed": 3}, {"failed": 3}):
            spoke = self.run_limited(
                code=1, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)))
            self.assert_failure(spoke, "files-failed", "3 files ",
                                "a.big: File too large (27); b/core*.big: File too large (27); d/core[1].big: File too large (27).")
            self.assertEqual({k: v for k, v in spoke["counts"].items() if v and k != "files"}, expected)
        theirs, ours = (set(harness.files_below(d)) for d in (self.source, self.mirror))
        self.assertEqual(theirs - ours, {b"a.big", b"b/core*.big", b"d/core[1].big"})
        self.assertFalse((self.mirror / STAGING).exists())
        self.assertEqual(self.counts(), {"new": 3})
        self.assert_mirrored()

    def test_a_disk_that_is_too_small_for_many(self):
        self.use_small_disk()
        for number in range(6):
            self.write(f"a{number}.bin", os.urandom(9_000_000))
        self.write("b.bin", os.urandom(3_000_000))
        for name in ("a", "z/z"):
            self.write(name + ".jsonl", b"line\n")
        for expected in ({"new": 3, "failed": 6}, {"failed": 6}):
            spoke = self.fails("disk-full", "6 files ", "a0.bin: No space left on device (28); ")
            self.assertEqual({k: v for k, v in spoke["counts"].items() if v and k != "files"}, expected)
        # New files come before those that failed.
        self.write("later.jsonl", b"line\n")
        for number in range(1, 6):
            (self.source / f"a{number}.bin").unlink()
        self.write("a0.bin", b"small")
        self.assertEqual(self.counts(), {"new": 2})
        self.assert_mirrored()

    def use_small_disk(self):
        mounts.use_private_mounts()
        disk = mounts.Tmpfs(self.dir / "disk", 8_000_000)
        self.addCleanup(disk.unmount)
        self.mirror = disk.path / "mirror"
        self.configure(path=str(self.mirror))

    def test_holes_stay_holes(self):
        path = self.write("sparse", b"x")
        os.truncate(path, 50_000_000)
        self.sync()
        self.assert_mirrored()
        self.assertLess((self.mirror / "sparse").stat().st_blocks * 512, 1_000_000)
        path.write_bytes(b"y")
        self.sync()
        self.assertEqual(len(self.archived()[b"sparse"]), 50_000_000)
        self.assertLess(sum(p.stat().st_blocks for p in self.archive.rglob("sparse")) * 512, 1_000_000)

    def test_directories_of_the_mirror_that_cannot_be_read(self):
        """lost+found, and one that the spoke does not have: they stop nothing, and stay."""
        for name in ("a", "b"):
            self.write(f"{name}.jsonl", b"x\n")
        self.sync()
        (self.source / "a.jsonl").unlink()
        for name in ("lost+found", "pri[v]ate *"):
            (self.mirror / name).mkdir()
            (self.mirror / name / "x").write_text("x")
            (self.mirror / name).chmod(0)
        as_owner = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        for arguments in (["--delete", "--dry-run"], ["--delete"]):
            spoke = self.run_limited(*arguments, prefix=as_owner)
            self.assertEqual(spoke["counts"]["deleted"], 1)
            self.assertEqual(len(spoke["warnings"]), 1, spoke["warnings"])
            self.assertIn("pri[v]ate *' ", spoke["warnings"][0])
        for name in ("lost+found", "pri[v]ate *"):
            (self.mirror / name).chmod(0o700)
            self.assertTrue((self.mirror / name / "x").exists(), name)

    def test_lost_and_found_of_the_spoke(self):
        self.write("a.jsonl", b"x\n")
        self.write("lost+found/x", b"x\n")
        (self.source / "lost+found").chmod(0)
        self.as_nobody()
        self.assertEqual(self.counts("--delete"), {"new": 1})

    # Deletion.

    @staticmethod
    def either():
        """A run that deletes, or a dry run; and which of its calls of rsync look for deletions."""
        return tiers.sweep("kinds of run", ((["--delete"], (2, 3, 4)), (["--delete", "--dry-run"], (1, 2, 3))), 1)

    def test_a_deletion_needs_two_scans(self):
        """A file that one scan by rsync misses is not deleted."""
        for i in range(5):
            self.write(f"{i}.jsonl", b"x\n")
        self.sync()
        before = self.snapshot()
        hidden = self.dir / "hidden"
        for arguments, looks in self.either():
            for missing in looks[:2]:
                count = self.at_each_rsync(
                    f'if [ "$N" = {missing} ]; then mv {self.source}/1.jsonl {hidden}; "$RSYNC" "$@"; '
                    f'r=$?; mv {hidden} {self.source}/1.jsonl; exit $r; fi')
                self.assertEqual(self.counts(*arguments), {}, (arguments, missing))
                self.assertEqual(self.snapshot(), before)
                self.assertLessEqual(len(count.read_text().split()), looks[2])
            # Both scans miss it, but a scan for its name finds it.
            self.at_each_rsync(
                f'case $N in {looks[0]}|{looks[1]}) mv {self.source}/1.jsonl {hidden}; touch -r {self.mirror} {self.source}; '
                f'"$RSYNC" "$@"; r=$?; mv {hidden} {self.source}/1.jsonl; touch -r {self.mirror} {self.source}; exit $r;; esac')
            self.assertEqual(self.counts(*arguments), {}, arguments)
            self.assertEqual(self.snapshot(), before)
        (self.source / "1.jsonl").unlink()
        count = self.at_each_rsync()
        self.assertEqual(self.counts("--delete", "--dry-run"), {"deleted": 1})
        self.assertEqual(len(count.read_text().split()), 3)
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        self.assert_mirrored()

    def test_nothing_is_deleted_while_files_vanish(self):
        """rsync's exit code 24, in any of its scans: no failure, and nothing is deleted in this run."""
        for i in range(5):
            self.write(f"{i}.jsonl", b"x\n")
        self.sync()
        (self.source / "1.jsonl").unlink()
        before = self.snapshot()
        for arguments, looks in self.either():
            for vanished in looks:
                self.at_each_rsync(f'if [ "$N" = {vanished} ]; then "$RSYNC" "$@"; exit 24; fi')
                self.assertEqual(self.counts(*arguments), {}, (arguments, vanished))
                self.assertEqual(self.snapshot(), before)
        self.at_each_rsync()
        self.assertEqual(self.counts("--delete"), {"deleted": 1})

    def test_nothing_is_deleted_while_directories_change(self):
        """A missing file may have been moved to a directory that was scanned before."""
        for name in ("a/1", "b/2", "3"):
            self.write(f"{name}.jsonl", b"x\n")
        self.sync()
        (self.source / "a/1.jsonl").unlink()
        before = self.snapshot()
        for where in ("", "b", "c"):
            (self.source / where).mkdir(exist_ok=True)
            self.at_each_rsync(f'if [ "$N" = 2 ]; then touch {self.source}/{where}/new; rm {self.source}/{where}/new; fi')
            spoke = self.sync_one("--delete")
            self.assertEqual(spoke["counts"]["deleted"], 0)
            self.assertIn(" renamed ", spoke["warnings"][0])
            self.assertEqual(self.snapshot(), before)
        self.at_each_rsync()
        self.write("b/2.jsonl", b"x\ny\n")
        self.assertEqual(self.counts("--delete"), {"deleted": 1, "grown": 1}, "what grows does not matter")

    def test_the_second_scan_has_the_guards_too(self):
        for i in range(30):
            self.write(f"{i}.jsonl", b"x\n")
        self.sync()
        (self.source / "1.jsonl").unlink()
        before = self.snapshot()
        for what, words in (('exit 23', " could not be read"),
                            (f'mv {self.source} {self.source}.away; mkdir {self.source}; "$RSYNC" "$@"; r=$?; '
                             f'rmdir {self.source}; mv {self.source}.away {self.source}; exit $r', "'pi-brain spoke remove laptop")):
            self.at_each_rsync(f'if [ "$N" = 3 ]; then {what}; fi')
            self.fails("deletion-refused", words, arguments=["--delete"])
            self.assertEqual(self.snapshot(), before)

    def test_files_that_cannot_be_deleted_are_named(self):
        """A filesystem is mounted on one."""
        for name in ("a", "b", "c"):
            self.write(f"{name}.jsonl", b"x\n")
        self.sync()
        mounts.use_private_mounts()
        busy = self.mirror / "b.jsonl"
        mounts.run("mount", "--bind", busy, busy)
        try:
            for name in ("a", "b"):
                (self.source / f"{name}.jsonl").unlink()
            spoke = self.sync_one("--delete", code=1)
        finally:
            mounts.run("umount", busy)
        self.assertEqual({k: v for k, v in spoke["counts"].items() if v and k != "files"}, {"deleted": 1, "failed": 1})
        self.assert_failure(spoke, "files-failed", "1 file ", " b.jsonl: ")
        self.assert_mirrored(besides=["b.jsonl"])
        self.assertEqual(self.counts("--delete"), {"deleted": 1})
        self.assert_mirrored()

    def test_unreadable_files_are_named(self):
        self.write("a.jsonl", b"x\n")
        self.write("secret.jsonl", b"x\n").chmod(0)
        self.as_nobody()
        self.fails("spoke-unreadable", "secret.jsonl")
        self.assertEqual(set(self.snapshot()), {b"a.jsonl"})


@unittest.skipIf(harness.SANITIZED, "a sanitizer cannot be combined with strace")
class Traced(RsyncCase):
    def traced(self, calls, command, *arguments):
        log = self.dir / "trace"
        done = subprocess.run(
            ["strace", "-f", "-y", "-qq", "-s", "300", "-v", "-e", "signal=none", "-e", f"trace={calls}", "-o", log,
             harness.HUB, "sync", command, "-c", self.config, *arguments],
            capture_output=True, text=True, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return log.read_text(errors="replace")

    def test_contents_are_read_from_the_disk(self):
        """The kernel's cache of each file in the mirror is flushed and dropped before rsync reads the file."""
        for name in ("a", "b"):
            self.write(f"{name}.jsonl", b"line\n" * 100)
        self.sync()
        (self.mirror / STAGING).mkdir()
        trace = self.traced("syncfs,fadvise64,execve", "run")
        dropped = [trace.index(f"{self.mirror}/{name}.jsonl>, 0, 0, POSIX_FADV_DONTNEED") for name in ("a", "b")]
        self.assertLess(trace.index("syncfs"), min(dropped))
        self.assertLess(max(dropped), re.search(r"execve\(.*--checksum", trace).start())
        trace = self.traced("fadvise64,execve", "verify")
        self.assertLess(trace.index("POSIX_FADV_DONTNEED"), re.search(r"execve\(.*--checksum", trace).start())

    def test_the_order_on_the_disk(self):
        """The mark is on the disk before rsync starts, contents before their names, and everything before the mark is removed."""
        self.write("a.jsonl", b"line\n" * 100)
        self.configure(source=str(self.source))
        trace = self.traced("mkdirat,fsync,syncfs,rename,renameat,renameat2,unlinkat,execve", "run")
        steps = [re.search(pattern, trace) for pattern in (
            rf'mkdirat\([^\n]*"{STAGING}"', rf"fsync\(\d+<{re.escape(str(self.mirror))}>",
            r"execve\([^\n]*--backup-dir=", rf"fsync\(\d+<{re.escape(str(self.mirror))}/{STAGING}/a\.jsonl\.",
            r'rename\w*\([^\n]*"a\.jsonl"', rf"syncfs\(\d+<{re.escape(str(self.mirror))}>",
            rf'unlinkat\([^\n]*"{STAGING}", AT_REMOVEDIR')]
        self.assertNotIn(None, steps, trace)
        at = [step.start() for step in steps]
        self.assertEqual(at, sorted(at), trace)
        self.assert_mirrored()

    def test_an_archive_on_another_filesystem(self):
        """A replaced or deleted file is on its disk before it leaves the mirror."""
        with another_filesystem(self.dir) as elsewhere:
            self.archive = type(self.archive)(elsewhere) / "archive"
            self.configure()
            for name in ("grows", "rewritten", "gone"):
                self.write(f"d/{name}.jsonl", b"old\n" * 100)
            self.sync()
            self.write("d/grows.jsonl", b"old\n" * 101)
            self.write("d/rewritten.jsonl", b"new\n" * 100)
            (self.source / "d/gone.jsonl").unlink()
            trace = self.traced("syncfs,unlinkat,renameat", "run", "--delete")
            self.assert_mirrored()
            self.assertEqual(self.archived(), {b"d/rewritten.jsonl": b"old\n" * 100, b"d/gone.jsonl": b"old\n" * 100})
            flushed = [m.start() for m in re.finditer(rf"syncfs\(\d+<{re.escape(elsewhere)}/", trace)]
            for step in (rf"unlinkat\(\d+<{re.escape(str(self.mirror))}/{STAGING}/replaced[^\n]*rewritten\.jsonl",
                         rf"renameat\(\d+<{re.escape(str(self.mirror))}/d>, \"gone\.jsonl\""):
                removed = re.search(step, trace).start()
                self.assertLess(flushed[0], removed, trace)
                flushed = [at for at in flushed if at > removed]


class WhichSpokes(HubCase):
    def run_due(self, code=0):
        done = self.pi_brain("sync", "run", "--due")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_only_spokes_that_are_due(self):
        self.write("a.jsonl", b"x\n")
        local = str(self.source)
        # Not the current minute or the next, in local time.
        far = (time.localtime().tm_min + 30) % 60
        self.write_config([
            self.spoke("always", source=local, schedule="* * * * *"),
            self.spoke("seldom", source=local, schedule=f"{far} * * * *"),
            self.spoke("off", source=local, schedule="* * * * *", enabled=False),
            self.spoke("unscheduled", source=local)])
        out = self.run_due()
        for name in ("always", "seldom", "unscheduled"):
            self.assertIn(f"✓ {name}: 1 new", out, "whatever never ran is due")
        self.assertNotIn("off", out)
        # Within the same minute, nothing is due, and nothing is printed.
        if time.localtime().tm_sec > 55:
            time.sleep(6)
            self.run_due()
        self.assertEqual(self.run_due(), "")
        # That is, a minute later.
        with contextlib.closing(sqlite3.connect(self.dir / "data/sync.db")) as database, database:
            database.execute("UPDATE runs SET started_ns = started_ns - 60000000000, finished_ns = finished_ns - 60000000000")
        out = self.run_due()
        self.assertIn("✓ always", out)
        self.assertNotIn("seldom", out)
        self.assertIn("✓ seldom", self.pi_brain("sync", "run").stdout, "without --due all are")

    def test_a_failed_run_is_due_again(self):
        self.write_config([self.spoke(source=str(self.dir / "nowhere"), schedule="@yearly")])
        for _ in range(2):
            self.assertIn("✗ laptop", self.run_due(code=1))
        (self.dir / "nowhere").mkdir()
        self.assertIn("✓ laptop", self.run_due())
        self.assertEqual(self.run_due(), "")

    def test_a_dry_run_does_not_count(self):
        self.write_config([self.spoke(source=str(self.source), schedule="@yearly")])
        self.pi_brain("sync", "run", "--due", "--dry-run")
        self.assertIn("✓ laptop", self.run_due())

    def test_without_a_history_every_spoke_is_due(self):
        self.write_config([self.spoke(source=str(self.source), schedule="@yearly")])
        self.run_due()
        (self.dir / "data/sync.db").write_text("not a database")
        done = self.pi_brain("sync", "run", "--due")
        self.assertIn("✓ laptop", done.stdout)
        self.assertIn("sync.db.broken", done.stderr)
        self.assertEqual(self.run_due(), "")

    def test_other_methods(self):
        syncthing = self.dir / "synced/desk"
        syncthing.mkdir(parents=True)
        (syncthing / "a.jsonl").write_text("{}\n")
        self.write_config([self.spoke("desk", sync_method="syncthing")])
        done = self.pi_brain("sync", "run")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, "- desk: skipped, .*syncthing")
        self.assertIn("desk (syncthing): 1 session", self.pi_brain("sync", "list").stdout)
        self.assertRegex(self.pi_brain("sync", "status").stdout, "\nTotal: 1 .* 1 ")


if __name__ == "__main__":
    unittest.main()
