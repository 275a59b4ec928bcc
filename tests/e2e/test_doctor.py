"""`pi-brain sync doctor`: each check, when it succeeds and when it fails."""
import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import sqlite3
import subprocess
import unittest

import harness
import test_servers
import tiers
from harness import HubCase

# An agent with a sanitizer has no sandbox, and the doctor reports that.
SOUND_AGENT = "warning" if harness.SANITIZED else "ok"
# What a key might be allowed, and how a verdict names it.
ACCESSES = {"commands": "other commands", "shell": "a shell", "sftp": "SFTP", "terminal": "terminal", "forward": "forward connections",
            "listen": "listen", "sockets": "sockets", "agent": "SSH agent", "x11": "X11"}
NOT_RESTRICTED = {"terminal", "forward", "listen", "agent"}
OTHER_AGE = pathlib.Path(os.environ["PIBRAIN_TEST_AGENT"])


class Doctor(HubCase):
    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')

    def doctor(self, *args, code=0):
        done = self.pi_brain("sync", "doctor", "--json", *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        document = json.loads(done.stdout)
        self.assertEqual(document["ok"], code == 0)
        return document

    def checks(self, code=0, spoke=0):
        """Maps each step of a spoke to (state, detail); of several results, the worst."""
        found, self.failures, self.warnings, self.what = {}, {}, {}, {}
        order = ("skipped", "ok", "warning", "failed")
        for check in self.doctor(code=code)["spokes"][spoke]["checks"]:
            known = found.get(check["step"], ("skipped", ""))
            if order.index(check["state"]) >= order.index(known[0]):
                found[check["step"]] = (check["state"], check["detail"])
                self.what[check["step"]] = check["failure"]["what"] if check["failure"] else ""
            if check["state"] == "failed":
                self.failures[check["step"]] = check["failure"]["id"]
            elif check["state"] == "warning":
                self.warnings[check["step"]] = check["failure"]["id"]
            else:
                self.assertIsNone(check["failure"], check)
        return found

    def fails_at(self, step, failure, *words):
        checks = self.checks(code=1)
        self.assertEqual(self.failures, {step: failure})
        self.assertEqual([name for name, (state, _) in checks.items() if state == "failed"], [step])
        for word in words:
            self.assertIn(word, checks[step][1])
        return checks

    def warns_at(self, step, warning, *words):
        checks = self.checks()
        self.assertEqual((checks[step][0], self.warnings.get(step)), ("warning", warning), checks)
        for word in words:
            self.assertIn(word, checks[step][1])
        return checks

    def accesses(self):
        """By the verdict on the key: what it allows, and what is unknown."""
        return tuple({access for access, word in ACCESSES.items() if word in part} for part in self.what["key"].partition(";")[::2])

    def sound(self, checks):
        states = {step: state for step, (state, _) in checks.items()}
        self.assertEqual(states, {step: SOUND_AGENT if step == "agent" else "ok" for step in checks}, checks)

    def test_all_is_well(self):
        self.sync()
        before = self.snapshot()
        checks = self.checks()
        self.sound(checks)
        self.assertEqual(list(checks), ["config", "ssh", "name", "connection", "host key", "login", "shell", "agent",
                                        "clock", "sessions", "speed", "key", "mirror", "disk", "last run"])
        self.assertIn("libssh2", checks["ssh"][1])
        self.assertIn(f"127.0.0.1 port {self.sshd.port}", checks["connection"][1])
        self.assertIn("SHA256:", checks["host key"][1])
        self.assertIn(str(self.sshd.key), checks["login"][1])
        self.assertIn("0.1.0", checks["agent"][1])
        self.assertRegex(checks["sessions"][1], f"^{self.source}: 1 .* 1 ")
        self.assertIn("just now", checks["last run"][1])
        self.assertEqual(self.snapshot(), before)
        text = self.pi_brain("sync", "doctor").stdout
        self.assertRegex(text, r"^\w.*\n  ✓ config")
        self.assertIn("\nlaptop\n  ✓ config", text)

    def test_before_the_first_run_it_makes_nothing(self):
        self.warns_at("last run", "never-synced", f"'pi-brain sync run --spoke laptop -c {self.config}'")
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["config.yaml", "home", "sessions"])

    def test_name(self):
        self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text().replace("127.0.0.1", "no-such.invalid"))
        self.fails_at("name", "name-not-resolved", "no-such.invalid", "getent hosts")

    def test_connection_refused(self):
        self.sshd.configure_client(port=harness.free_port())
        checks = self.fails_at("connection", "connection-refused", "systemctl start ssh")
        self.assertNotIn("host key", checks)
        # Checks that do not depend on it still run.
        self.assertIn("mirror", checks)

    def test_permission_denied(self):
        self.sshd.configure_client(key=harness.keygen(self.dir / "stranger"))
        self.assertEqual(self.fails_at("login", "permission-denied", "authorized_keys")["host key"][0], "ok")

    def test_host_key_verification(self):
        self.sshd.known_hosts.write_text("")
        self.fails_at("host key", "host-key-unknown", "known_hosts", "ssh-keyscan")

    def test_agent_missing(self):
        self.sshd.authorize("/no/such/agent")
        self.fails_at("agent", "agent-missing", "/no/such/agent", f"'pi-brain spoke add laptop spoke -c {self.config}'")

    def test_agent_too_old(self):
        self.sshd.authorize(f"{OTHER_AGE} 0 0")
        self.fails_at("agent", "agent-too-old", "pi-brain spoke upgrade")

    def test_noise(self):
        self.sshd.authorize(f"echo Welcome; exec {harness.AGENT} --root={self.source}")
        self.warns_at("shell", "shell-noisy", "Welcome", "bashrc")

    def test_a_slow_shell(self):
        self.sshd.authorize(f"sleep 4; exec {harness.AGENT} --root={self.source}")
        checks = self.checks()
        self.assertEqual(checks["speed"][0], "warning", checks)
        self.assertEqual(self.warnings["speed"], "login-slow")
        for words in ("'agent'", "bashrc"):
            self.assertIn(words, checks["speed"][1])
        # It is as slow without the sleep.
        self.assertEqual(checks["key"][0], "ok")

    def test_root(self):
        self.sshd.authorize_agent(self.dir / "nowhere")
        self.fails_at("sessions", "root-missing", str(self.dir / "nowhere"))
        self.sshd.authorize_agent(self.source)
        self.write_config([self.spoke(source="spoke:/elsewhere")])
        self.warns_at("sessions", "root-differs", str(self.source), " /elsewhere ", "'source'")

    def unreadable(self):
        """A file that a run cannot read, by another user's agent if need be: root reads everything."""
        secret = self.write("p/secret.jsonl", b'{"line":2}\n')
        secret.chmod(0)
        if os.geteuid() == 0:
            for path in (self.class_dir, self.dir):
                path.chmod(0o755)
            self.sshd.authorize(f"exec setpriv --reuid=4243 --regid=4243 --clear-groups {harness.AGENT} --root={self.source}")
        return secret

    def test_a_file_that_cannot_be_read(self):
        secret = self.unreadable()
        checks = self.fails_at("sessions", "spoke-unreadable", f"'{secret}'", f"'ls -ld {secret}'")
        self.assertIn("key", checks)
        # A run says so of the same file.
        report = self.sync_one(code=1)
        self.assertEqual(report["failure"]["id"], "files-failed", report["failure"])
        self.assertIn("secret.jsonl: ", report["failure"]["cause"])
        self.fails_at("sessions", "spoke-unreadable", str(secret))
        secret.chmod(0o644)
        self.sync()
        self.assertEqual(self.checks()["sessions"][0], "ok")
        # What need not be read again need not be readable.
        secret.chmod(0)
        self.assertEqual(self.checks()["sessions"][0], "ok")
        self.sync()

    def test_a_directory_that_cannot_be_read(self):
        secret = self.unreadable()
        secret.chmod(0o644)
        secret.parent.chmod(0)
        self.addCleanup(secret.parent.chmod, 0o755)
        checks = self.fails_at("sessions", "spoke-unreadable", f"'{secret.parent}'", f"'ls -ld {secret.parent}'")
        self.assertIn("key", checks)

    def test_sessions_that_are_gone(self):
        self.sync()
        (self.source / "p/a.jsonl").unlink()
        self.warns_at("sessions", "root-empty", f"'ls -la {self.source}'")
        self.assertEqual(self.sync_one()["outcome"], "ok")
        # Nothing on either side is nothing odd.
        shutil.rmtree(self.mirror)
        self.assertEqual(self.checks()["sessions"][0], "ok")

    def test_no_config_yet(self):
        """The default one; a file that is named must be there."""
        done = self.pi_brain("sync", "doctor", "--json", config=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        config = json.loads(done.stdout)["hub"][0]
        self.assertEqual((config["step"], config["state"], config["failure"]["id"]), ("config", "warning", "config-missing"))
        self.assertIn(f"{self.home}/.pi-brain/config.yaml ", config["detail"])
        self.assertIn("! config", self.pi_brain("sync", "doctor", config=False).stdout)

    def test_a_key_without_a_forced_command(self):
        self.sshd.authorized_keys.write_text(pathlib.Path(f"{self.sshd.key}.pub").read_text())
        programs = self.dir / "bin"
        programs.mkdir()
        shutil.copy(harness.AGENT, programs)
        sshd = harness.Sshd(self.dir / "sshd", [f"SetEnv PATH={programs}:/usr/bin:/bin SHLVL=1"])
        try:
            sshd.authorized_keys.write_text(pathlib.Path(f"{sshd.key}.pub").read_text())
            self.write_config([self.spoke()], ssh_config=str(sshd.ssh_config))
            self.warns_at("key", "key-not-locked-down", f"'pi-brain spoke add laptop spoke -c {self.config}'")
            self.write_config([self.spoke(key=str(sshd.key))], ssh_config=str(sshd.ssh_config))
            self.warns_at("key", "key-not-locked-down", f"'pi-brain-agent --authorized-keys-line {sshd.key}.pub'")
            self.write_config([self.spoke()], ssh_config=str(sshd.ssh_config))
            # Forced, but not restricted.
            sshd.authorized_keys.write_text(f'command="{harness.AGENT} --root={self.source}" '
                                            + pathlib.Path(f"{sshd.key}.pub").read_text())
            self.warns_at("key", "key-not-locked-down", "restrict,command")
            self.assertEqual(self.accesses()[0], NOT_RESTRICTED)
        finally:
            sshd.stop()

    def test_a_command_that_passes_on_what_is_asked_for(self):
        """A wrapper in authorized_keys or sshd_config looks like a forced command, since the first request is the agent."""
        wrapper = self.dir / "wrapper"
        wrapper.write_text(f'#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n  pi-brain-agent*) exec {harness.AGENT} --root={self.source};;\n'
                           '  "") exec /bin/sh;;\nesac\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')
        wrapper.chmod(0o755)
        agent = f'restrict,command="{harness.AGENT} --root={self.source}" '
        shell = {"commands", "shell"}
        for number, (options, line, may) in enumerate(tiers.sweep("servers", (
                ([], f'restrict,command="{wrapper}" ', [shell]),
                (["MaxSessions 1"], f'restrict,command="{wrapper}" ', [shell]),
                ([f"ForceCommand {wrapper}"], agent, [shell]),
                ([f"ForceCommand {wrapper}"], agent.replace("restrict,", ""), [shell | NOT_RESTRICTED - {"agent"}, shell | NOT_RESTRICTED]),
                (["ForceCommand internal-sftp"], agent, None),
                (["MaxSessions 1"], agent, [])), 2)):
            sshd = harness.Sshd(self.dir / f"sshd{number}", options)
            try:
                sshd.authorized_keys.write_text(line + pathlib.Path(f"{sshd.key}.pub").read_text())
                for mode in ("auto", "openssh"):
                    with self.subTest(options=options, mode=mode):
                        self.write_config([self.spoke(ssh=mode)], ssh_config=str(sshd.ssh_config))
                        if may is None:
                            self.assertEqual(self.checks(code=1)["agent"][0], "failed")
                            self.assertEqual(self.failures, {"agent": "not-the-agent"})
                        elif may:
                            self.warns_at("key", "key-not-locked-down", "ForceCommand")
                            self.assertIn(self.accesses()[0], may)
                        else:
                            self.assertEqual(self.checks()["key"][0], "ok")
            finally:
                sshd.stop()

    def both_ways(self, line, options=()):
        """Maps each program that asked to what a key with this line allows, and to what is unknown, by the doctor's verdict."""
        self.servers = getattr(self, "servers", 0) + 1
        sshd = harness.Sshd(self.dir / f"server{self.servers}", options)
        try:
            sshd.authorized_keys.write_text(f"{line} " + pathlib.Path(f"{sshd.key}.pub").read_text())
            found = {}
            for mode in ("libssh2", "openssh"):
                self.write_config([self.spoke(ssh=mode)], ssh_config=str(sshd.ssh_config))
                state, detail = self.checks()["key"]
                self.assertEqual(state, "warning", detail)
                found[mode] = self.accesses()
                self.assertEqual(self.warnings["key"], "key-not-locked-down" if found[mode][0] else "key-lockdown-unknown", detail)
            return found
        finally:
            sshd.stop()

    def test_commands_that_show_in_other_ways(self):
        """Wrappers that run any command but hide its output, or that pass commands with a harmless name."""
        asked, agent = "$SSH_ORIGINAL_COMMAND", f"exec {harness.AGENT} --root={self.source}"
        for number, script in enumerate(tiers.sweep("wrappers", (
                f'[ -z "{asked}" ] || sh -c "{asked}" >/dev/null 2>&1; {agent}',
                f'[ -z "{asked}" ] || nohup sh -c "{asked}" >/dev/null 2>&1 & {agent}',
                f'case "{asked}" in pi-brain-agent*) {agent} ;; esac; sh -c "{asked}" >/dev/null 2>&1',
                f'{asked} >/dev/null 2>&1; {agent}',
                f'case "{asked}" in "rsync --server "*) exec {asked} ;; esac; {agent}',
                f'case "{asked}" in "scp -f "*) exec {asked} ;; esac; {agent}',
                f'case "{asked}" in "cat "*) exec {asked} ;; esac; {agent}',
                f'case "{asked}" in pi-brain-agent* | *[!a-z]*) {agent} ;; esac; exec {asked}'), 2)):
            wrapper = self.dir / f"wrapper{number}"
            wrapper.write_text(f"#!/bin/sh\n{script}\n")
            wrapper.chmod(0o755)
            with self.subTest(script):
                for mode, found in self.both_ways(f'restrict,command="{wrapper}"').items():
                    self.assertEqual(found, ({"commands"}, set()), mode)

    def test_a_server_that_says_nothing_of_the_keys_line(self):
        served = test_servers.Served(self.dir / "dropbear")
        host_key, key = served.dir / "host_key", harness.keygen(served.dir / "key")
        subprocess.run(["dropbearkey", "-t", "ed25519", "-f", host_key], check=True, capture_output=True)
        public = subprocess.run(["dropbearkey", "-y", "-f", host_key], capture_output=True, text=True).stdout
        known = served.dir / "known_hosts"
        known.write_text("".join(f"[127.0.0.1]:{served.port} {line}\n" for line in public.splitlines() if line.startswith("ssh-")))
        self.sshd.configure_client(port=served.port, known_hosts=known, key=key)
        self.addCleanup(served.stop)
        forced = f'command="{harness.AGENT} --root={self.source}" ' + pathlib.Path(f"{key}.pub").read_text()
        served.authorized.write_text(forced)
        served.authorized.chmod(0o600)
        served.start("dropbear", "-F", "-E", "-p", f"127.0.0.1:{served.port}", "-r", host_key, "-P", served.dir / "pid")

        def found(mode):
            self.write_config([self.spoke(ssh=mode)])
            state = self.checks()["key"][0]
            return state, *self.accesses()
        self.assertEqual(found("libssh2")[:2], ("warning", NOT_RESTRICTED))
        state, given, unknown = found("openssh")
        self.assertEqual((state, given - {"terminal"}, unknown - {"terminal"}),
                         ("warning", NOT_RESTRICTED - {"agent", "terminal"}, {"sockets", "agent", "x11"}))
        # Dropbear 2025 may end a command that gets a terminal without a word, which tells nothing.
        self.assertIn("terminal", given | unknown)
        served.authorized.write_text("restrict," + forced)
        # Its connection ends if the hub is too quick.
        for _ in range(4):
            self.assertEqual(found("libssh2"), ("ok", set(), set()))
        self.assertEqual(found("openssh"), ("warning", set(), {"sockets", "agent", "x11"}))

    def test_forwarding_of_each_kind(self):
        forced = f'command="{harness.AGENT} --root={self.source}"'
        with self.subTest("to one port"):
            for given, unknown in self.both_ways(f'restrict,port-forwarding,permitopen="127.0.0.1:5432",{forced}').values():
                self.assertEqual(given, {"forward", "listen"})
                self.assertIn("sockets", unknown)
        with self.subTest("at one port"):
            for given, unknown in self.both_ways(f'restrict,port-forwarding,permitlisten="5432",{forced}').values():
                self.assertEqual(given, {"forward", "listen"})
                self.assertTrue(unknown)
        with self.subTest("listening alone"):
            for given, unknown in self.both_ways(f"{forced},no-pty", ["AllowTcpForwarding remote"]).values():
                self.assertEqual(given - {"agent", "x11"}, {"listen"})
                self.assertLessEqual({"forward", "sockets"}, unknown)
        with self.subTest("sockets alone"):
            for found in self.both_ways(f"{forced},no-pty,no-agent-forwarding,no-X11-forwarding", ["AllowTcpForwarding no"]).values():
                self.assertEqual(found, (set(), {"forward", "listen", "sockets"}))
        with self.subTest("an agent and X11"):
            found = self.both_ways(f"restrict,agent-forwarding,x11-forwarding,{forced}", ["X11Forwarding yes"])
            # X11 needs xauth on the spoke.
            self.assertIn(found["libssh2"], (({"agent"}, set()), ({"agent", "x11"}, set())))
            self.assertEqual(found["openssh"][1], {"agent", "x11"})

    def test_the_clock(self):
        """A static program's clock cannot be faked, so the test has an agent of its own."""
        self.sshd.authorize(f"{OTHER_AGE} 2 2 7200")
        checks = self.checks(code=1)
        self.assertEqual(checks["clock"][0], "warning", checks)
        self.assertEqual(self.warnings["clock"], "clock-differs")
        self.assertRegex(checks["clock"][1], r"\bspoke .* (119 min|2 h) ")
        # It is of another version, too.
        self.assertEqual((checks["agent"][0], self.warnings["agent"]), ("warning", "agent-other-version"))
        self.assertRegex(checks["agent"][1], r"\b9\.8\.7, .*\b0\.1\.0\b")
        self.assertIn(f"'pi-brain spoke upgrade laptop -c {self.config}'", checks["agent"][1])

    def test_mirror(self):
        (self.dir / "file").write_text("")
        self.write_config([self.spoke(path=str(self.dir / "file" / "laptop"))])
        self.fails_at("mirror", "mirror-unusable", "ls -ld")

    def on_a_disk_of(self, megabytes):
        """What the doctor says of the disk, as (state, id, detail), when the mirror is on such a one."""
        small = self.dir / "small"
        small.mkdir(exist_ok=True)
        self.write_config([self.spoke(path=str(small / "laptop"))])
        script = (f"mount -t tmpfs -o size={megabytes}m none {harness.quote(small)} || exit 99\n"
                  f"{harness.quote(harness.HUB)} sync doctor --json -c {harness.quote(self.config)}")
        namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
        done = subprocess.run([*namespace, "sh", "-c", script], capture_output=True, text=True, env=self.environment())
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        return [(check["state"], check["failure"]["id"], check["detail"]) for check in json.loads(done.stdout)["spokes"][0]["checks"]
                if check["step"] == "disk" and str(small) in check["detail"]]

    def test_a_full_disk(self):
        ((state, failure, detail),) = self.on_a_disk_of(2)
        self.assertEqual((state, failure), ("failed", "disk-full"))
        self.assertRegex(detail, "^2.0 MB .*df -h")

    def test_a_disk_that_will_be_full(self):
        ((state, warning, detail),) = self.on_a_disk_of(500)
        self.assertEqual((state, warning), ("warning", "disk-nearly-full"))
        self.assertRegex(detail, "^500 MB .*df -h")

    @unittest.skipIf(os.geteuid() != 0, "needs root, to leave files of root")
    def test_what_root_left_behind(self):
        """After root's run with the user's HOME, the user's doctor names the owner, and claims nothing false."""
        self.sync()
        for path in (self.class_dir, self.dir, self.sshd.dir):
            path.chmod(0o755)
        for path in (self.sshd.key, self.sshd.ssh_config, self.sshd.known_hosts, self.config, self.home):
            os.chown(path, 4243, 4243)
        (self.dir / "synced").chmod(0o700)
        self.archive.mkdir(exist_ok=True)

        def as_user(*command):
            return subprocess.run(["setpriv", "--reuid=4243", "--regid=4243", "--clear-groups", harness.HUB, "sync", *command, "-c",
                                   self.config], capture_output=True, text=True, env=self.environment(), cwd="/")
        done = as_user("doctor", "--json")
        self.assertEqual(done.returncode, 1, done.stdout)
        document = json.loads(done.stdout)
        failed = {check["step"]: check["failure"] for checks in (document["hub"], document["spokes"][0]["checks"]) for check in checks
                  if check["state"] == "failed"}
        self.assertEqual(failed.keys() - {"ssh"}, {"mirror", "archive"})  # to ssh, the user 4243 does not exist
        for step, failure, named, owned in (("mirror", "mirror-unusable", self.mirror, self.dir / "synced"),
                                            ("archive", "archive-unreadable", self.archive, self.archive)):
            self.assertEqual(failed[step]["id"], failure)
            self.assertRegex(failed[step]["what"], f"{named}.*: {owned} .* root, .* 4243: 'ls -ld {owned}' .* 'sudo chown -R 4243 {owned}'")
        for command in ("status", "list"):
            self.assertRegex(as_user(command).stderr, f"{self.mirror} .*: {self.dir}/synced .* root, ")

    def test_a_mirror_that_is_not_a_directory(self):
        (self.dir / "file").write_text("x")
        for path in (self.dir / "file", self.dir / "file/below/it"):
            self.write_config([self.spoke(path=str(path))])
            self.fails_at("mirror", "mirror-unusable", f"'ls -ld {self.dir}/file'")

    def test_the_last_run_failed(self):
        self.sync()
        self.sshd.configure_client(port=harness.free_port())
        self.sync(code=1)
        self.sshd.configure_client()
        self.warns_at("last run", "connection-refused", "just now", "sync run --spoke laptop")
        # What is as it was then is said once.
        self.sshd.configure_client(port=harness.free_port())
        checks = self.fails_at("connection", "connection-refused")
        self.assertEqual(checks["last run"][0], "warning")
        self.assertIn("just now", checks["last run"][1])
        self.assertNotIn("systemctl", checks["last run"][1])

    def test_the_last_run_is_long_ago(self):
        self.sync()
        with contextlib.closing(sqlite3.connect(self.dir / "data/sync.db")) as history:
            days = 3 * 86400 * 10**9
            history.execute("UPDATE runs SET started_ns = started_ns - ?, finished_ns = finished_ns - ?", (days, days))
            history.commit()
        self.warns_at("last run", "sync-stale", " 3d ", "systemctl --user list-timers")

    def test_what_is_not_synced(self):
        (self.source / "link").symlink_to("p/a.jsonl")
        os.mkfifo(self.source / "pipe")
        self.warns_at("skipped", "files-skipped", "2 ", ": link, pipe.")

    def test_a_new_host_key(self):
        self.sshd.known_hosts.write_text("")
        self.sshd.client_setting("StrictHostKeyChecking accept-new")
        self.warns_at("host key", "known-hosts-note", str(self.sshd.known_hosts))
        self.assertEqual(self.checks()["host key"][0], "ok")  # it was added

    def test_a_broken_history(self):
        (self.dir / "data").mkdir()
        (self.dir / "data" / "sync.db").write_bytes(b"this is no database" * 100)
        for state in ("warning", "ok"):
            checks = [check for check in self.doctor()["hub"] if check["step"] == "history"]
            self.assertEqual([check["state"] for check in checks], [state])
            self.assertEqual(checks[0]["failure"] and checks[0]["failure"]["id"], "history-unusable" if state == "warning" else None)

    def test_openssh(self):
        self.write_config([self.spoke(ssh="openssh")])
        self.sync()
        checks = self.checks()
        self.sound(checks)
        self.sshd.configure_client(port=harness.free_port())
        self.fails_at("connection", "connection-refused", "127.0.0.1 port ")

    def test_other_methods(self):
        self.sync()
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        self.write_config([
            {"name": "old", "sync_method": "rsync", "source": f"{user}@spoke:{self.source}",
             "path": str(self.dir / "synced" / "old")},
            {"name": "other", "sync_method": "syncthing", "path": str(self.dir / "synced" / "other")},
            self.spoke("off", enabled=False), self.spoke()])
        document = self.doctor(code=1)
        states = {s["name"]: {c["step"]: c["state"] for c in s["checks"]} for s in document["spokes"]}
        self.assertEqual(states["old"]["login"], "ok")
        # As in a run, rsync's way there is the system's ssh.
        (ssh,) = [c["detail"] for s in document["spokes"] if s["name"] == "old" for c in s["checks"] if c["step"] == "ssh"]
        self.assertRegex(ssh, r"\bOpenSSH$")
        # The key starts the agent.
        self.assertEqual(states["old"]["rsync"], "warning")
        warnings = {s["name"]: {c["step"]: c["failure"]["id"] for c in s["checks"] if c["state"] == "warning"} for s in document["spokes"]}
        self.assertEqual((warnings["old"]["rsync"], warnings["other"]["mirror"]), ("rsync-unseen", "mirror-missing"))
        self.assertEqual(states["old"]["sessions"], "failed")
        self.assertEqual(states["other"]["mirror"], "warning")
        self.assertEqual(states["off"], {"config": "skipped"})
        self.assertEqual(states["laptop"]["agent"], SOUND_AGENT)
        self.assertIn("rsync", [check["step"] for check in document["hub"]])
        self.sshd.authorized_keys.write_text(pathlib.Path(f"{self.sshd.key}.pub").read_text())
        old = {c["step"]: c for c in self.doctor("-s", "old")["spokes"][0]["checks"]}
        self.assertEqual(old["rsync"]["state"], "ok")
        self.assertRegex(old["sessions"]["detail"], r"^\d+ \D+, \d+ \D+$")
        self.write_config([self.spoke("here", sync_method="rsync", source=str(self.source))])
        self.assertNotIn("ssh", [c["step"] for c in self.doctor()["spokes"][0]["checks"]])
        self.write_config([self.spoke("old", sync_method="rsync")])
        done = self.pi_brain("sync", "doctor", "-s", "old", env={**self.environment(), "PATH": "/nowhere"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("✗ rsync", done.stdout)
        self.assertIn("✗ ssh", done.stdout)

    def test_one_spoke_of_several(self):
        self.write_config([self.spoke(), self.spoke("broken", source="no-such.invalid:/x")])
        document = self.doctor("--spoke", "laptop")
        self.assertEqual([spoke["name"] for spoke in document["spokes"]], ["laptop"])
        self.doctor(code=1)
        self.assertEqual(self.pi_brain("sync", "doctor", "-s", "nobody").returncode, 2)

    def test_a_broken_config(self):
        self.config.write_text("spokes: 7\n")
        done = self.pi_brain("sync", "doctor")
        self.assertEqual(done.returncode, 2)
        self.assertIn("config.yaml:1", done.stderr)

    def test_a_local_source(self):
        self.write_config([self.spoke(source=str(self.source))])
        self.sync()
        checks = self.checks()
        self.sound(checks)
        self.assertNotIn("key", checks)


class AsItEnds(HubCase):
    """Each check is printed when it ends, spoke after spoke."""

    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')
        self.held = self.dir / "held"
        self.held.touch()
        # A login shell of one of two spokes, which waits; at the latest until the test's directory is gone.
        self.sshd.authorize(f"while [ -e {self.held} ]; do sleep 0.05; done; exec {harness.AGENT} --root={self.source}")
        self.slow, self.quick = self.spoke("slow"), self.spoke("quick", source=str(self.source))

    def start(self, *spokes, terminal=False):
        """Of a doctor, what it has printed till now; it may be asked again and again."""
        self.write_config(spokes)
        end, out = pty.openpty() if terminal else os.pipe()
        self.addCleanup(os.close, end)
        self.process = subprocess.Popen([harness.HUB, "sync", "doctor", "-c", self.config], stdin=subprocess.DEVNULL, stdout=out,
                                        env={**self.environment(), "LANG": "C.UTF-8"})
        os.close(out)
        os.set_blocking(end, False)
        read = bytearray()

        def printed():
            with contextlib.suppress(BlockingIOError, OSError):  # EIO: a terminal's other side is gone
                while part := os.read(end, 65536):
                    read.extend(part)
            return re.sub("\x1b\\[[0-9;]*m", "", read.decode()).replace("\r", "")
        return printed

    def until(self, printed, words):
        return harness.wait_for(lambda: printed() if words in printed() else None, what=words)

    def ends(self, printed):
        self.assertEqual(self.process.wait(60), 0, printed())
        return printed()

    def test_a_slow_spoke(self):
        for terminal in (False, True):
            with self.subTest(terminal=terminal):
                self.held.touch()
                printed = self.start(self.slow, self.quick, terminal=terminal)
                text = self.until(printed, "✓ login")
                self.assertRegex(text, r"^\w.*\n  ✓ config")
                self.assertIn("\nslow\n  ✓ config", text)
                # The other one is done, and waits for its turn.
                self.assertIsNone(self.process.poll())
                self.assertNotIn("quick", printed())
                self.assertNotIn("agent ", printed())
                self.held.unlink()
                text = self.ends(printed)
                slow, quick = text.split("\nslow\n")[1].split("\nquick\n")
                for part in (slow, quick):
                    self.assertEqual([part.count(f" {step} ") for step in ("config", "agent", "last run")], [1, 1, 1], text)
                self.assertNotIn("login", quick)

    def test_a_quick_one_before_it(self):
        printed = self.start(self.quick, self.slow)
        text = self.until(printed, "✓ login")
        self.assertRegex(text, r"(?s)\nquick\n.* last run .*\nslow\n.* login ")
        self.held.unlink()
        self.ends(printed)

    def test_a_server_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.sshd.configure_client(port=server.getsockname()[1], extra=["ConnectTimeout 4"])
            printed = self.start(self.slow)
            self.until(printed, "✓ connection")
            self.assertIsNone(self.process.poll())
            self.assertEqual(self.process.wait(60), 1)
            self.assertRegex(printed(), "✗ greeting +.* 4 s ")

    def test_a_shell_that_never_gets_there(self):
        self.sshd.client_setting("ConnectTimeout 2")
        printed = self.start(self.slow)
        self.until(printed, "✓ login")
        self.assertEqual(self.process.wait(20), 1)
        self.assertRegex(printed(), "✗ agent +.* 2 s \\(ConnectTimeout\\)")

    def test_as_json_it_is_one_document(self):
        self.held.unlink()
        self.write_config([self.slow, self.quick])
        done = self.pi_brain("sync", "doctor", "--json")
        self.assertEqual([spoke["name"] for spoke in json.loads(done.stdout)["spokes"]], ["slow", "quick"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
