"""A failure is reported with its cause and fixes, and leaves the mirror and other spokes alone."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import unittest

import harness
import straced
from harness import HubCase, quote

OTHER_AGE = pathlib.Path(os.environ["PIBRAIN_TEST_AGENT"])


class Failures(HubCase):
    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')
        self.sync()
        self.before = self.snapshot()
        self.write("p/b.jsonl", b'{"line":2}\n')
        # Another spoke, without ssh, must be synced whatever happens to the first.
        other = self.dir / "other-sessions"
        other.mkdir()
        (other / "o.jsonl").write_bytes(b'{"other":1}\n')
        self.other = self.spoke("other", source=str(other))
        self.write_config([self.spoke(), self.other])

    def fails(self, failure, *words):
        """Checks that the run fails for the one spoke, with this id and these names, numbers and commands. Returns its message."""
        report = self.sync(code=1)
        laptop, other = report["spokes"]
        self.assertEqual(laptop["outcome"], "failed")
        message = laptop["error"]
        self.assertEqual(laptop["failure"]["id"], failure, message)
        for word in words:
            self.assertIn(word, message)
        self.assertNotIn("\n", message)
        self.assertNotIn(".cc:", message)
        self.assertNotIn("kj::", message)
        self.assertEqual(self.snapshot(), self.before)
        self.assertEqual(other["outcome"], "ok")
        self.assertEqual((self.dir / "synced/other/o.jsonl").read_bytes(), b'{"other":1}\n')
        status = self.pi_brain("sync", "status")
        self.assertIn("✗ laptop", status.stdout)
        return message

    def recovers(self):
        """The advice of the message was followed: now the run succeeds."""
        self.sync()
        self.assert_mirrored()
        self.assertIn("✓ laptop", self.pi_brain("sync", "status").stdout)

    def test_refused_port(self):
        self.sshd.configure_client(port=harness.free_port())
        self.fails("connection-refused", "127.0.0.1", "systemctl start ssh")
        self.sshd.configure_client()
        self.recovers()

    def test_unreachable_host(self):
        # A listener with a full queue does not answer, like a machine that is off.
        with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(deaf.getsockname())
            time.sleep(0.2)
            self.sshd.configure_client(port=deaf.getsockname()[1], extra=["ConnectTimeout 1"])
            self.fails("no-answer", " 1 s", "ping -c 3 127.0.0.1")

    def test_a_silent_server(self):
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen(5)
            self.sshd.configure_client(port=mute.getsockname()[1], extra=["ConnectTimeout 1"])
            self.fails("login-timeout", "no SSH greeting", " 1 s (ConnectTimeout)", "spoke -v true")

    def test_a_server_that_is_not_ssh(self):
        with socket.socket() as web:
            web.bind(("127.0.0.1", 0))
            web.listen(5)

            def answer():
                connection, _ = web.accept()
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                connection.close()

            server = threading.Thread(target=answer)
            server.start()
            self.sshd.configure_client(port=web.getsockname()[1])
            self.fails("not-an-ssh-server", f"port {web.getsockname()[1]}", "HTTP/1.0 400", "HostName and Port")
            server.join()

    def test_a_name_that_does_not_resolve(self):
        config = self.sshd.ssh_config
        config.write_text(config.read_text().replace("HostName 127.0.0.1", "HostName no-such.invalid"))
        self.fails("name-not-resolved", "no-such.invalid", "HostName")

    def test_no_ssh_client(self):
        """Another one first on PATH is none either; without any, libssh2 does for who has no ssh_config."""
        programs = self.dir / "bin"
        programs.mkdir()
        env = {**self.environment(), "PATH": str(programs)}

        def fails():
            done = self.pi_brain("sync", "run", "--json", "-s", "laptop", env=env)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            failure = json.loads(done.stdout)["spokes"][0]["failure"]
            self.assertEqual(failure["id"], "openssh-missing", failure)
            self.assertEqual([fix["command"] for fix in failure["fixes"]], ["sudo apt install openssh-client"])
        fails()
        (programs / "ssh").write_text("#!/bin/sh\necho Another_SSH 1.0 >&2\n")
        (programs / "ssh").chmod(0o755)
        fails()
        (programs / "ssh").unlink()
        (programs / "ssh").symlink_to(shutil.which("ssh"))
        env = None
        self.recovers()

    def test_wrong_key(self):
        stranger = harness.keygen(self.dir / "stranger")
        self.sshd.configure_client(key=stranger)
        self.fails("permission-denied", f"{stranger} ", "authorized_keys")
        self.sshd.configure_client()
        self.recovers()

    def test_more_keys_than_the_spoke_accepts(self):
        """It closes the connection after the first key: that is a denial, not a lost connection."""
        sshd = harness.Sshd(self.dir / "sshd", ["MaxAuthTries 1"])
        try:
            sshd.configure_client(key=harness.keygen(self.dir / "stranger"))
            sshd.client_setting(f"IdentityFile {harness.keygen(self.dir / 'other')}")
            self.write_config([self.spoke(), self.other], ssh_config=str(sshd.ssh_config))
            message = self.fails("permission-denied", "Too many authentication failures", "MaxAuthTries", "'IdentitiesOnly yes'", "~/.ssh/config")
            self.assertNotIn("authorized_keys", message)
        finally:
            sshd.stop()

    def test_no_key(self):
        self.sshd.configure_client(key=self.dir / "no-such-key")
        self.fails("key-missing", "IdentityFile", str(self.dir / "no-such-key"))

    def test_a_key_with_a_passphrase(self):
        locked = harness.keygen(self.dir / "locked", passphrase="secret")
        self.sshd.authorize(f"{harness.AGENT} --root={self.source}", key=locked)
        self.sshd.configure_client(key=locked)
        self.fails("key-has-passphrase", f"'ssh-add {locked}'")
        # With an ssh-agent that has the key, the run succeeds.
        with harness.ssh_agent(self.dir, locked, passphrase="secret") as agent:
            self.sshd.client_setting(f"IdentityAgent {agent}")
            self.recovers()

    def test_unknown_host_key(self):
        self.sshd.known_hosts.write_text("")
        scan = self.fails("host-key-unknown", "SHA256:", "ssh-keyscan").split("'")
        command = next(part for part in scan if part.startswith("ssh-keyscan"))
        subprocess.run(command, shell=True, check=True, capture_output=True)
        self.recovers()

    def test_changed_host_key(self):
        other = harness.keygen(self.dir / "other_host_key")
        kind, blob = pathlib.Path(f"{other}.pub").read_text().split()[:2]
        self.sshd.known_hosts.write_text(f"[127.0.0.1]:{self.sshd.port} {kind} {blob}\n")
        message = self.fails("host-key-changed", "ssh-keygen -R")
        self.assertEqual(message.count("SHA256:"), 2)
        self.sshd.trust()
        self.recovers()

    def test_a_key_known_for_the_standard_port(self):
        """It is accepted at another port if it is the same; a different one there proves nothing."""
        known = self.sshd.known_hosts.read_text()
        self.sshd.known_hosts.write_text(known.replace(f"[127.0.0.1]:{self.sshd.port}", "127.0.0.1"))
        self.recovers()
        other = harness.keygen(self.dir / "other_host_key")
        kind, blob = pathlib.Path(f"{other}.pub").read_text().split()[:2]
        self.sshd.known_hosts.write_text(f"127.0.0.1 {kind} {blob}\n")
        self.assertEqual(self.sync(code=1)["spokes"][0]["failure"]["id"], "host-key-unknown")

    def test_an_ssh_agent_that_does_not_answer(self):
        path = self.dir / "mute.sock"
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen(5)
            config = self.sshd.ssh_config
            config.write_text(config.read_text().replace("IdentityAgent none", f"IdentityAgent {path}"))
            began = time.monotonic()
            self.recovers()
            self.assertLess(time.monotonic() - began, 40)

    def test_revoked_host_key(self):
        known = self.sshd.known_hosts.read_text()
        self.sshd.known_hosts.write_text("@revoked " + known + known)
        self.fails("host-key-revoked")

    def test_agent_not_installed(self):
        self.sshd.authorize(f"/no/such/pi-brain-agent --root={self.source}")
        self.fails("agent-missing", "/no/such/pi-brain-agent", f"'pi-brain spoke add laptop spoke -c {self.config}'")
        self.sshd.authorize_agent(self.source)
        self.recovers()

    def test_agent_not_executable(self):
        copy = self.dir / "agent-copy"
        shutil.copy(harness.AGENT, copy)
        copy.chmod(0o644)
        self.sshd.authorize(f"{copy} --root={self.source}")
        self.fails("agent-not-executable", str(copy), "chmod 755")

    def test_another_forced_command(self):
        self.sshd.authorize("echo Welcome; exit 3")
        self.fails("not-the-agent", " 3.", "Welcome")

    def test_agent_too_old(self):
        self.sshd.authorize(f"{OTHER_AGE} 0 0")
        self.fails("agent-too-old", "9.8.7", "0.1.0", "pi-brain spoke upgrade laptop")

    def test_agent_too_new(self):
        self.sshd.authorize(f"{OTHER_AGE} 99 99")
        self.fails("agent-too-new", "9.8.7", "0.1.0", "pi-brain spoke upgrade laptop")

    def test_root_missing(self):
        self.sshd.authorize_agent(self.dir / "nowhere")
        self.fails("root-missing", str(self.dir / "nowhere"), "--root")

    def test_root_is_a_file(self):
        (self.dir / "file").write_text("")
        self.sshd.authorize_agent(self.dir / "file")
        self.fails("root-not-a-directory", str(self.dir / "file"))

    def test_another_root_is_reported(self):
        self.write_config([self.spoke(source="spoke:/elsewhere/sessions")])
        report = self.sync_one()
        self.assertRegex(" ".join(report["warnings"]), f"{self.source}, .* /elsewhere/sessions .*'source'")
        self.assert_mirrored()

    def test_noisy_shell(self):
        self.sshd.authorize(f"echo Welcome to the spoke; exec {harness.AGENT} --root={self.source}")
        report = self.sync()["spokes"][0]
        self.assertIn("Welcome to the spoke", " ".join(report["warnings"]))
        self.assert_mirrored()

    def test_very_noisy_shell(self):
        self.sshd.authorize(f"yes noise | head -c 200000; exec {harness.AGENT} --root={self.source}")
        self.fails("shell-noisy", "64 KB", "noise")

    def test_a_spoke_that_vanishes_during_a_run(self):
        for victim in ("agent", "sshd"):
            with self.subTest(victim):
                name = f"p/large-{victim}.jsonl"
                self.write(name, os.urandom(8 << 20))
                run = self.start_run("--bwlimit", "2000", "--json")
                session = harness.wait_for(lambda: harness.agents_below(self.sshd.process.pid),
                                           what="the agent")[0]
                harness.wait_for(lambda: (self.mirror / ".pi-brain-staging").exists(), what="data")
                if victim == "sshd":
                    session = int(pathlib.Path(f"/proc/{session}/stat").read_text().split(") ")[1].split()[1])
                harness.kill(session)
                out, _ = run.communicate()
                self.assertEqual(run.returncode, 1, out)
                failed = next(s for s in json.loads(out)["spokes"] if s["name"] == "laptop")["failure"]
                self.assertEqual(failed["id"], "connection-lost")
                self.assertIn("in the middle", failed["what"])  # not before the agent started
                self.assertFalse((self.mirror / name).exists())
                self.recovers()

    def test_a_spoke_that_falls_silent(self):
        self.write_config([self.spoke(rsync_options={"timeout_seconds": 2}), self.other])
        self.sshd.authorize(f"sleep 30; exec {harness.AGENT} --root={self.source}")
        began = time.monotonic()
        self.fails("agent-not-started", " 2 s (timeout_seconds)", "~/.bashrc")
        self.assertLess(time.monotonic() - began, 15)

    def test_a_shell_that_never_starts_the_agent(self):
        """It is given up after ConnectTimeout, however long a run may wait for an agent's answers."""
        self.sshd.client_setting("ConnectTimeout 2")
        for mode in ("libssh2", "openssh"):
            with self.subTest(mode):
                self.write_config([self.spoke(ssh=mode), self.other])
                self.sshd.authorize(f"sleep 60; exec {harness.AGENT} --root={self.source}")
                began = time.monotonic()
                self.fails("agent-not-started", " 2 s (ConnectTimeout)", "~/.bashrc")
                self.assertLess(time.monotonic() - began, 20)
        self.sshd.authorize(f"sleep 1; exec {harness.AGENT} --root={self.source}")
        self.recovers()

    def with_mounts(self, script):
        """Runs a shell script in a mount namespace of its own."""
        namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
        return subprocess.run([*namespace, "sh", "-c", script], capture_output=True, text=True,
                              env=self.environment())

    def test_a_full_disk(self):
        """The mirror is on a small filesystem that fills up."""
        small = self.dir / "synced" / "small"
        small.mkdir()
        self.write_config([self.spoke(path=str(small / "laptop")), self.other])
        for number in range(30):
            self.write(f"p/{number}.jsonl", os.urandom(100_000))
        script = f"""
            mount -t tmpfs -o size=2m none {quote(small)} || exit 99
            {quote(harness.HUB)} sync run --json -c {quote(self.config)}
            code=$?
            find {quote(small / 'laptop')} -type f -name '*.jsonl' -exec cp {{}} {quote(self.dir / 'got')} \\;
            mount -o remount,size=20m {quote(small)}
            {quote(harness.HUB)} sync run --json -c {quote(self.config)} || exit 98
            cp -a {quote(small / 'laptop')} {quote(self.dir / 'after')}
            exit $code"""
        (self.dir / "got").mkdir()
        done = self.with_mounts(script)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        failure = json.loads(done.stdout[:done.stdout.index("\n{")])["spokes"][0]["failure"]
        self.assertEqual(failure["id"], "disk-full")
        self.assertIn("No space left on device", failure["cause"])
        self.assertIn(f"df -h {small / 'laptop'}", failure["fixes"][0]["command"])
        # Published files are whole, and with free space the next run succeeds.
        published = list((self.dir / "got").iterdir())
        self.assertTrue(published)
        for path in published:
            self.assertEqual(path.read_bytes(), (self.source / "p" / path.name).read_bytes())
        self.assert_mirrored(mirror=self.dir / "after")

    def test_a_filesystem_that_became_read_only(self):
        """As ext4 does after an error."""
        mirror = quote(self.mirror)
        for method in ("agent", "rsync"):
            with self.subTest(method):
                self.write_config([self.spoke(sync_method=method, source=str(self.source))])
                done = self.with_mounts(f"mount --bind {mirror} {mirror} && mount -o remount,bind,ro {mirror} || exit 99\n"
                                        f"{quote(harness.HUB)} sync run --json -c {quote(self.config)}")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                (spoke,) = json.loads(done.stdout)["spokes"]
                self.assertEqual(spoke["failure"]["id"], "read-only-filesystem", spoke["failure"])
                self.assertIn(f"findmnt -T {self.mirror}", [fix["command"] for fix in spoke["failure"]["fixes"]])
                self.assertEqual(self.snapshot(), self.before)
        self.write_config([self.spoke(), self.other])
        self.recovers()

    def with_failing(self, calls, error, *below):
        """Runs the hub with system calls that fail (of paths below, if there are any), and returns the failure."""
        paths = [word for path in below for word in ("-P", path)]
        command = ["strace", "-f", "-qq", "-o", self.dir / "trace", "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}", *paths,
                   harness.HUB, "sync", "run", "--json", "-s", "laptop", "-c", self.config]
        done = subprocess.run(command, capture_output=True, text=True, env={**self.environment(), **straced.WITHOUT_LEAKS})
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("(INJECTED)", (self.dir / "trace").read_text())
        return json.loads(done.stdout)["spokes"][0]["failure"]

    def test_a_disk_that_fails(self):
        failure = self.with_failing("renameat,renameat2", "EIO")
        self.assertEqual(failure["id"], "disk-failing", failure)
        self.recovers()

    def test_no_more_processes(self):
        self.write_config([self.spoke(source=str(self.source)), self.other])
        failure = self.with_failing("clone3,clone,vfork,fork", "EAGAIN")
        self.assertEqual(failure["id"], "too-many-processes", failure)
        self.recovers()

    def test_a_mirror_that_cannot_be_created(self):
        (self.dir / "file").write_text("")
        self.write_config([self.spoke(path=str(self.dir / "file" / "laptop")), self.other])
        self.fails("mirror-unusable", str(self.dir / "file" / "laptop"))

    def test_two_runs_at_once(self):
        path = self.source / "p" / "large.jsonl"
        path.write_bytes(os.urandom(4 << 20))
        self.age(path)
        first = self.start_run("--bwlimit", "1000", "-s", "laptop")
        harness.wait_for(lambda: harness.agents_below(self.sshd.process.pid), what="the agent")
        report = self.sync("-s", "laptop", code=75)
        self.assertEqual(report["spokes"][0]["outcome"], "locked")
        self.assertEqual(report["spokes"][0]["failure"]["id"], "mirror-in-use")
        # A dry run changes nothing, so it needs no lock.
        self.sync("-s", "laptop", "--dry-run")
        first.communicate()
        self.assertEqual(first.returncode, 0)
        self.assert_mirrored()

    def test_no_history(self):
        """The database is garbage: the sync continues with a new one."""
        (self.dir / "data" / "sync.db").write_bytes(b"this is no database" * 100)
        done = self.pi_brain("sync", "run")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("sync.db.broken", done.stderr)
        self.assert_mirrored()
        self.assertIn("✓ laptop", self.pi_brain("sync", "history").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
