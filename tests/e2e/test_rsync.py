"""sync_method: rsync, with the system's rsync over a real sshd; and which spokes a run is for."""
import json
import os
import socket
import stat
import subprocess
import time
import unittest

import harness
from harness import HubCase


class ByRsync(HubCase):
    def setUp(self):
        super().setUp()
        # The key that users have: any command, here rsync's.
        self.sshd.authorized_keys.write_text("restrict " + (self.sshd.dir / "client_key.pub").read_text())
        self.configure()

    def configure(self, **fields):
        self.write_config([self.spoke(sync_method="rsync", **fields)])

    def assert_mirrored(self, besides=()):
        theirs, ours = (harness.files_below(d) for d in (self.source, self.mirror))
        self.assertEqual(set(theirs), set(ours) - {os.fsencode(b) for b in besides})
        for path, their in theirs.items():
            self.assertEqual(harness.read_below(self.source, path), harness.read_below(self.mirror, path), path)
            self.assertEqual(their.st_mtime_ns, ours[path].st_mtime_ns, path)
            self.assertEqual(stat.S_IMODE(ours[path].st_mode), 0o600, path)
        self.assert_private_directories(self.mirror)

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
        listed = self.pi_brain("sync", "archive", "list").stdout
        self.assertIn("goes.jsonl", listed)

    def test_nothing_is_deleted_by_mistake(self):
        for i in range(30):
            self.write(f"s{i}.jsonl", b"x\n")
        self.sync()
        for i in range(20):
            (self.source / f"s{i}.jsonl").unlink()
        before = self.snapshot()
        for mode in (["--dry-run"], []):
            error = self.sync_one("--delete", *mode, code=1)["error"]
            self.assertIn("20 of the mirror's 30 files are gone", error)
            self.assertIn("--max-delete 20", error)
            self.assertEqual(self.snapshot(), before)
        self.assertEqual(self.counts("--delete", "--max-delete", "20"), {"deleted": 20})
        for path in self.source.iterdir():
            path.unlink()
        self.assertIn("no files at all", self.sync_one("--delete", code=1)["error"])
        self.assertEqual(len(self.snapshot()), 10)

    def test_symlinks_and_special_files_are_skipped(self):
        self.write("real.jsonl", b"x\n")
        (self.source / "link.jsonl").symlink_to("/etc/passwd")
        os.mkfifo(self.source / "pipe")
        spoke = self.sync_one()
        self.assertEqual(spoke["warnings"], ["symlinks and special files were skipped: 2"])
        self.assertEqual(set(self.snapshot()), {b"real.jsonl"})

    def test_the_guard_holds_whatever_happens_meanwhile(self):
        """The source is emptied between the transfer and the look at what is gone."""
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
        self.assertIn("no files at all", self.sync_one("--delete", code=1)["error"])
        self.assertEqual(self.snapshot(), before)

    def test_a_directory_in_a_files_place(self):
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
        self.assertIn("has a file where the mirror has a directory", self.sync_one(code=1)["error"])
        self.assertIn(b"foo/bar.jsonl", self.snapshot())

    def test_an_unreadable_directory_stops_deletion_alone(self):
        self.write("a.jsonl", b"x\n")
        self.sync()
        (self.source / "a.jsonl").unlink()
        self.write("b.jsonl", b"x\n")
        self.write("secret/c.jsonl", b"x\n")
        (self.source / "secret").chmod(0)
        self.as_nobody()
        self.sync("--delete", code=1)
        self.assertEqual(set(self.snapshot()), {b"a.jsonl", b"b.jsonl"})

    def as_nobody(self):
        """root reads everything: let rsync on the spoke be somebody who does not."""
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

    def test_no_bits_of_privilege(self):
        self.write("tool", b"x\n").chmod(0o4755)
        self.configure(keep_modes=True)
        self.sync()
        self.assertEqual(stat.S_IMODE((self.mirror / "tool").stat().st_mode), 0o755)

    def test_more_errors_than_anybody_reads(self):
        for i in range(9000):
            path = self.source / "d" / f"{'long-name-' * 10}{i}"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            path.chmod(0)
        self.write("z.jsonl", b"x\n")
        self.as_nobody()
        self.assertIn("could not be read", self.sync_one(code=1)["error"])
        self.assertEqual(set(self.snapshot()), {b"z.jsonl"})

    def test_a_killed_hub_leaves_the_lock_to_its_rsync(self):
        self.write("slow.jsonl", os.urandom(400_000))
        run = self.start_run("--bwlimit", "100")
        staging = self.mirror / ".pi-brain-staging"
        harness.wait_for(lambda: staging.exists() and list(staging.iterdir()), what="rsync at work")
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
        self.sync_one(code=1)

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
        # The command line's limit stands in for the config's.
        self.write("more.jsonl", os.urandom(300_000))
        began = time.monotonic()
        self.sync("--bwlimit", "100000")
        self.assertLess(time.monotonic() - began, 2)

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
        done = self.pi_brain("sync", "run")
        self.assertEqual(done.returncode, 75, done.stdout)
        self.assertIn("another run", done.stdout)
        self.assertEqual(run.wait(), 0, run.communicate())
        self.assert_mirrored()

    def test_a_proxy_that_hangs_is_given_up(self):
        self.write("a.jsonl", b"x\n")
        self.sshd.configure_client(extra=["ProxyCommand sh -c 'sleep 1234; :'"])
        self.configure(rsync_options={"timeout_seconds": 2})
        began = time.monotonic()
        report = self.sync_one(code=1)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("timeout_seconds", report["error"])
        left = subprocess.run(["pgrep", "-f", "^sleep 1234$"], capture_output=True, text=True).stdout.split()
        self.assertEqual(left, [])

    def test_a_host_that_does_not_answer_is_given_up_as_soon_as_by_the_agent(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(1)
            self.sshd.configure_client(port=silent.getsockname()[1], extra=["ConnectTimeout 2"])
            began = time.monotonic()
            report = self.sync_one(code=1)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("no answer", report["error"])

    def test_an_interrupted_run_takes_its_rsync_along(self):
        self.write("slow.jsonl", os.urandom(4_000_000))
        run = self.start_run("--bwlimit", "100")
        harness.wait_for(lambda: list(self.mirror.rglob("*slow*")), what="rsync at work")
        children = harness.descendants(run.pid)
        self.assertTrue(children)
        run.terminate()
        run.communicate()
        harness.wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), what="its end")

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
        self.assertIn("--p--/rotten.jsonl: other content, though size and time are the same", text)
        self.assertIn("sync verify --spoke laptop --repair", text)
        self.assertIn("3 differ and were fetched", self.pi_brain("sync", "verify", "--repair").stdout)
        self.assert_mirrored(besides=["ours.jsonl"])
        self.assertEqual(self.archived()[b"--p--/rotten.jsonl"], b'{"lie":"1"}' + b'{"line":1}\n' * 499)
        self.assertIn("4 files compared, 16 KB, all alike, 1 in the mirror alone",
                      self.pi_brain("sync", "verify").stdout)
        self.write_config([self.spoke(sync_method="rsync", source="tester@127.0.0.1:/nowhere")])
        done = self.pi_brain("sync", "verify")
        self.assertEqual(done.returncode, 1, done.stdout)

    def test_a_grown_mirror_of_the_agent_goes_on_with_rsync(self):
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
        done = self.pi_brain("sync", "run", env={**self.environment(), "PATH": str(programs)})
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("✗ laptop: rsync was not found on PATH", done.stdout)
        self.assertIn("sudo apt install rsync", done.stdout)
        self.assertIn("✓ other: 1 new", done.stdout)

    def failure(self, **fields):
        self.configure(**fields)
        return self.sync_one(code=1)["error"]

    def test_what_goes_wrong_is_said(self):
        self.write("a.jsonl", b"x\n")
        self.assertIn("does not exist on", self.failure(source="spoke:/nowhere/at/all"))
        self.assertIn("connection refused by 127.0.0.1 port 1", self.refused_port())
        self.sshd.configure_client(known_hosts=self.dir / "empty")
        self.assertIn("host key verification failed", self.failure())
        self.sshd.configure_client()
        self.sshd.authorized_keys.write_text("")
        self.assertIn("permission denied", self.failure())
        public = (self.sshd.dir / "client_key.pub").read_text()
        self.sshd.authorized_keys.write_text(f'restrict,command="echo noise; rsync --server --sender -logDtpre.iLsfxCIvu . /" {public}')
        self.assertIn("prints something", self.failure())
        self.sshd.authorized_keys.write_text(f'restrict,command="no-such-rsync" {public}')
        self.assertIn("rsync was not found on", self.failure())
        self.sshd.authorized_keys.write_text(f'restrict,command="sleep 60" {public}')
        began = time.monotonic()
        self.assertIn("nothing was heard from", self.failure(rsync_options={"timeout_seconds": 1}))
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(self.snapshot(), {})

    def refused_port(self):
        self.sshd.configure_client(port=1)
        try:
            return self.failure()
        finally:
            self.sshd.configure_client()

    def test_unreadable_files_are_named(self):
        self.write("a.jsonl", b"x\n")
        self.write("secret.jsonl", b"x\n").chmod(0)
        self.as_nobody()
        self.assertIn("secret.jsonl", self.failure())
        self.assertEqual(set(self.snapshot()), {b"a.jsonl"})


class WhichSpokes(HubCase):
    def run_due(self, code=0):
        done = self.pi_brain("sync", "run", "--due")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_only_what_is_due(self):
        self.write("a.jsonl", b"x\n")
        local = str(self.source)
        # A minute that is not now or about to be, in local time.
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
        # Within the same minute nothing is due, and nothing is said.
        if time.localtime().tm_sec > 55:
            time.sleep(6)
            self.run_due()
        self.assertEqual(self.run_due(), "")
        time.sleep(61 - time.localtime().tm_sec)
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

    def test_a_dry_run_is_no_run(self):
        self.write_config([self.spoke(source=str(self.source), schedule="@yearly")])
        self.pi_brain("sync", "run", "--due", "--dry-run")
        self.assertIn("✓ laptop", self.run_due())

    def test_without_a_history_all_are_due(self):
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
        self.assertIn("- desk: skipped, its sync_method is syncthing", done.stdout)
        self.assertIn("desk (syncthing): 1 session", self.pi_brain("sync", "list").stdout)
        self.assertIn("Total: 1 session from 1 spoke", self.pi_brain("sync", "status").stdout)


if __name__ == "__main__":
    unittest.main()
