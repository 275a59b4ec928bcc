"""`pi-brain spoke`: add, upgrade, rotate-key, rename, enable, remove and list, over real sshds with homes of their own."""
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

import fleet
import harness
import tiers

YAML_READERS = pathlib.Path(__file__).parent.parent / "unit/yaml-readers.py"
OTHER_AGE = pathlib.Path(os.environ["PIBRAIN_TEST_AGENT"])


class OneSpoke(fleet.FleetCase):
    shell = "/bin/bash"
    sshd_options = ()
    port = 22

    def setUp(self):
        super().setUp()
        self.box = self.fleet.add(self.shell, options=self.sshd_options, port=self.port)
        self.box.wait()
        harness.sessions.make(self.box.sessions, 4, seed=2)
        self.home = self.fleet.home

    def spoke(self, *arguments, code=0, **options):
        return self.fleet.pi_brain("spoke", *arguments, code=code, **options)

    def add(self, *arguments, **options):
        return self.spoke("add", "laptop", "root@box01", *arguments, **options)

    def change(self, *arguments, code=0):
        command, *rest = arguments
        return json.loads(self.spoke(command, "--json", *rest, code=code))["spokes"][0]

    def fails(self, *arguments, failure, words=()):
        """Checks that a command fails with this id, and that its message has these names, options and commands."""
        mistakes = ("usage", "config-invalid", "config-unreadable", "spoke-exists", "spoke-unknown")
        change = self.change(*arguments, code=2 if failure in mistakes else 75 if failure == "mirror-in-use" else 1)
        self.assertEqual((change["outcome"], change["failure"]["id"]), ("failed", failure), change["error"])
        for word in words:
            self.assertIn(word, change["error"])
        return change

    def killed_after(self, milliseconds, *arguments):
        """Runs the hub, kills it, and waits until the spoke has noticed."""
        process = subprocess.Popen([harness.HUB, *arguments], env=self.fleet.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        lock = self.box.authorized.with_name(".pi-brain-lock")
        harness.wait_for(lambda: not lock.is_symlink(), what="the spoke's end of it")

    def at_once(self, *commands):
        """The exit codes of several commands, and all their output."""
        runs = [subprocess.Popen([harness.HUB, "spoke", *command], env=self.fleet.environment(), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for command in commands]
        said = "".join(run.communicate()[0] for run in runs)
        return sorted(run.returncode for run in runs), said

    def sync(self, code=0):
        return self.fleet.pi_brain("sync", "run", code=code)

    def everything(self):
        """All files on both machines, without known_hosts and the history."""
        def below(root):
            return {str(p): (p.read_bytes(), p.stat().st_ino) for p in root.rglob("*")
                    if p.is_file() and "data" not in p.parts}
        return {**below(self.home), **below(self.box.home)}

    def agents_dir(self, **programs):
        directory = self.dir / "agents"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for architecture, program in (programs or {os.uname().machine: harness.AGENT}).items():
            shutil.copy(program, directory / f"pi-brain-agent-{architecture}")
        return directory


class Add(OneSpoke):
    def test_one_command(self):
        before = self.box.files()
        said = self.add()
        for words in (".ssh/pi-brain-sync", "agent: ", "authorized_keys: ", "✓ laptop: added", "✓ key ", ": 4 new ("):
            self.assertIn(words, said)
        self.assertNotIn(".jsonl (", said)  # there may be thousands
        # On the spoke: the agent, and one line.
        after = self.box.files()
        self.assertEqual(set(after) - set(before), {".local/lib/pi-brain/pi-brain-agent"})
        self.assertEqual({p for p in before if before[p] != after[p]}, {".ssh/authorized_keys"})
        (line,) = self.box.lines()
        self.assertEqual(after[".ssh/authorized_keys"].decode(), before[".ssh/authorized_keys"].decode() + line + "\n")
        self.assertTrue(line.startswith('restrict,command="'))
        key = self.home / ".ssh/pi-brain-sync"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.assertIn("OPENSSH PRIVATE KEY", key.read_text())
        self.assertEqual(self.fleet.config.stat().st_mode & 0o777, 0o600)
        self.sync()
        self.assertEqual(len(list((self.home / ".pi-brain/synced/laptop").rglob("*.jsonl"))), 4)
        # Again: nothing changes.
        everything = self.everything()
        said = self.add()
        self.assertIn("✓ laptop: unchanged", said)
        self.assertEqual(self.everything(), everything)

    def test_the_key_can_do_nothing_else(self):
        self.add()
        ssh = ["ssh", "-F", self.home / ".ssh/config", "-i", self.home / ".ssh/pi-brain-sync", "-o", "IdentitiesOnly=yes",
               "-o", f"UserKnownHostsFile={self.fleet.known_hosts}", "-o", "BatchMode=yes", "box01"]
        done = subprocess.run([*ssh, "id"], capture_output=True, stdin=subprocess.DEVNULL)
        self.assertNotIn(b"uid=", done.stdout)

    def test_dry_run(self):
        everything = self.everything()
        said = self.add("--dry-run")
        for words in (".ssh/pi-brain-sync", f" {os.uname().machine} ", "authorized_keys", "config.yaml", "✓ laptop: would be added"):
            self.assertIn(words, said)
        self.assertEqual(self.everything(), everything)
        self.assertFalse((self.home / ".pi-brain").exists())
        self.add()
        everything = self.everything()
        self.assertIn("✓ laptop: unchanged", self.add("-n"))
        self.assertEqual(self.everything(), everything)

    def test_options(self):
        other = harness.keygen(self.dir / "my key")
        (self.box.home / "else where").mkdir()
        (self.box.home / "else where/a.jsonl").write_text("{}\n")
        self.add("--root", "~/else where", "--key", other, "--from", "127.0.0.0/8,10.0.0.0/8", "--path", self.dir / "mirror")
        (line,) = self.box.lines()
        self.assertIn('from="127.0.0.0/8,10.0.0.0/8"', line)
        self.sync()
        self.assertTrue((self.dir / "mirror/a.jsonl").exists())
        self.assertFalse((self.home / ".ssh/pi-brain-sync").exists())
        # From elsewhere it is not let in, and then nothing is left there.
        self.spoke("remove", "laptop")
        before = self.box.files()
        self.fails("add", "laptop", "box01", "--from", "192.0.2.1", failure="permission-denied", words=["--from"])
        self.assertEqual(self.box.files(), before)
        self.assertNotIn("laptop", self.fleet.config.read_text())

    def test_the_config_keeps_what_is_in_it(self):
        self.fleet.config.parent.mkdir()
        text = "# my hub\ndaemon: {x: 1}\nspokes:\n  # by cable\n  - name: phone\n    sync_method: syncthing\n    path: ~/phone # here\n"
        self.fleet.config.write_text(text)
        self.add()
        self.assertTrue(self.fleet.config.read_text().startswith(text))
        self.spoke("remove", "laptop")
        self.assertEqual(self.fleet.config.read_text(), text)
        self.fleet.config.write_text("spokes: [{name: phone, sync_method: syncthing, path: /p}]\n")
        before = self.everything()
        self.fails("add", "laptop", "root@box01", failure="config-not-editable", words=["'spokes:'", "source: root@box01:~/.pi/agent/sessions"])
        self.assertEqual(self.everything(), before)

    def test_moving_over_from_rsync(self):
        self.fleet.config.parent.mkdir()
        self.fleet.config.write_text("spokes:\n  - name: laptop # old\n    sync_method: rsync # for now\n"
                                     "    source: root@box01:~/.pi/agent/sessions\n    path: ~/.pi-brain/synced/laptop\n")
        (self.box.home / ".bashrc").unlink()
        self.assertIn("4 new", self.sync())
        self.add()
        self.assertEqual(self.fleet.config.read_text(),
                         "spokes:\n  - name: laptop # old\n    sync_method: agent # for now\n"
                         "    source: root@box01:~/.pi/agent/sessions\n    path: ~/.pi-brain/synced/laptop\n"
                         "    key: ~/.ssh/pi-brain-sync\n")
        self.assertIn("nothing new", self.sync())

    def test_before_pi_has_run_there(self):
        shutil.rmtree(self.box.home / ".pi")
        said = self.add()
        self.assertIn("✓ laptop: added", said)
        self.assertIn("\npi has not run ", said)
        self.box.sessions.mkdir(parents=True)
        self.assertIn("nothing new", self.sync())

    def test_what_goes_wrong_is_said_and_changes_nothing(self):
        self.add()
        everything = self.everything()
        for arguments, failure, words in [
            (["add", "laptop", "root@127.0.1.77"], "spoke-exists", ["'laptop'", "'pi-brain spoke remove laptop'"]),
            (["add", "new", "box01", "--path", "~/.pi-brain/synced/laptop/in"], "usage", ["'laptop'", "--path"]),
            (["add", "new", "root@127.0.1.77"], "connection-refused", ["127.0.1.77", "systemctl start ssh"]),
            (["add", "new", "nobody@box01"], "permission-denied", ["nobody@box01", " true'"]),
            (["add", "new", "box01", "--agents", str(self.dir)], "agent-missing", ["pi-brain-agent-ARCHITECTURE", str(self.dir), "build-agents.sh"]),
            (["add", "new", "box01", "--agents", str(self.agents_dir(sparc=harness.AGENT))], "no-agent-for-architecture",
             [os.uname().machine, "build-agents.sh"]),
            (["add", "new", "box01", "--key", str(self.dir / "encrypted")], "key-has-passphrase", [f"{self.dir}/encrypted "]),
            (["add", "new", "box01", "--key", str(self.home / ".ssh/pi-brain-sync.pub")], "key-unusable", ["pi-brain-sync.pub "]),
            (["upgrade", "laptop", "--via", "nobody@box01"], "permission-denied", ["nobody@box01"]),
            (["remove", "laptop", "--via", "root@127.0.1.77"], "connection-refused", ["'pi-brain spoke remove --force laptop'"]),
        ]:
            with self.subTest(arguments=arguments):
                if "encrypted" in arguments[-1]:
                    harness.keygen(self.dir / "encrypted", passphrase="secret")
                self.fails(*arguments, failure=failure, words=words)
                self.assertEqual(self.everything(), everything)
        for arguments in (["add", "../x", "box01"], ["add", "--", "new", "-oProxyCommand=x"]):
            change = self.change(*arguments, code=2)
            self.assertEqual(change["failure"]["id"], "usage", change["error"])
            self.assertEqual(self.everything(), everything)
        self.assertIn("'x'", self.spoke("remove", "x", code=2))
        self.assertIn("--all", self.spoke("upgrade", code=2))

    def test_a_login_that_takes_a_passphrase(self):
        """ssh asks once at the terminal; with --batch, the command fails instead."""
        key = self.home / ".ssh/id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", key], check=True, stdout=subprocess.DEVNULL)
        self.fails("add", "laptop", "root@box01", "--batch", failure="permission-denied")
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(harness.HUB, [str(harness.HUB), "spoke", "add", "laptop", "root@box01"], self.fleet.environment())
        seen, asked = b"", 0
        while True:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            seen += data
            if seen.count(b"Enter passphrase") > asked:
                asked += 1
                os.write(fd, b"open sesame\n")
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, seen.decode())
        self.assertEqual(asked, 1, seen.decode())
        self.assertIn("laptop: added", seen.decode())
        self.sync()

    def test_a_machine_that_never_stops_talking(self):
        (self.box.home / ".bashrc").write_text("yes 'welcome' 2>/dev/null\n")
        self.fails("add", "laptop", "root@box01", failure="shell-noisy", words=["box01 ", " true'"])

    def test_the_key_that_its_owner_logs_in_with(self):
        before = self.everything()
        for arguments in (["--key", "~/.ssh/id_ed25519"], ["--key", str(self.home / ".ssh/id_ed25519"), "-n"]):
            self.fails("add", "laptop", "root@box01", *arguments, failure="key-not-dedicated", words=["IdentityFile"])
        with harness.ssh_agent(self.dir, harness.keygen(self.dir / "other")) as socket:
            done = subprocess.run([harness.HUB, "spoke", "add", "laptop", "box01", "--key", self.dir / "other"], text=True,
                                  env={**self.fleet.environment(), "SSH_AUTH_SOCK": str(socket)}, capture_output=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("ssh-add -d ", done.stdout)
        self.assertEqual(self.everything(), before)
        # A spoke whose key is guessed from the ssh configuration: what it does not start is left.
        self.add()
        self.fleet.config.write_text(self.fleet.config.read_text().replace("    key: ~/.ssh/pi-brain-sync\n", ""))
        self.spoke("remove", "laptop")
        self.assertIn(self.fleet.public_key, self.box.authorized.read_text())
        subprocess.run(["ssh", "-F", self.home / ".ssh/config", "-i", self.home / ".ssh/id_ed25519", "-o",
                        f"UserKnownHostsFile={self.fleet.known_hosts}", "box01", "true"], check=True)

    def test_two_spokes_on_one_machine(self):
        (self.box.home / "other").mkdir()
        (self.box.home / "other/a.jsonl").write_text("{}\n")
        self.add()
        line = self.box.lines()
        self.fails("add", "second", "root@box01", "--root", "~/other", failure="key-not-dedicated",
                   words=[f"'pi-brain spoke add second root@box01 --key {self.home}/.ssh/pi-brain-sync-second --root ~/other'"])
        # By another name of the machine it is seen there.
        self.fails("add", "second", f"root@{self.box.address}", "--root", "~/other", failure="install-failed",
                   words=["--key", "'install-spoke.sh --uninstall'"])
        for options in ((), ("--dry-run",), ("--from", "127.0.0.0/8"), ("--from", "127.0.0.0/8", "--dry-run")):
            self.fails("add", "second", f"root@{self.box.address}", *options, failure="spoke-exists",
                       words=["'laptop'", "root@box01:"])
            self.assertEqual(self.box.lines(), line)
        self.assertNotIn("second", (self.home / ".pi-brain/config.yaml").read_text())
        self.assertEqual(self.box.lines(), line)
        self.spoke("add", "second", "root@box01", "--root", "~/other", "--key", "~/.ssh/pi-brain-sync-second")
        self.assertEqual(len(self.box.lines()), 2)
        said = self.sync()
        self.assertIn("laptop: 4 new", said)
        self.assertIn("second: 1 new", said)
        self.spoke("remove", "second")
        self.assertEqual(self.box.lines(), line)
        self.sync()

    def test_one_machine_twice_at_once(self):
        for other in ("root@box01", f"root@{self.box.address}"):
            codes, said = self.at_once(["add", "laptop", "root@box01"], ["add", "second", other])
            self.assertEqual(codes[0], 0, said)
            self.assertIn(codes[1], (1, 2), said)
            self.assertRegex(said, "'(laptop|second)'")
            self.assertEqual(len(self.box.lines()), 1)
            self.sync()
            name = re.search("name: (laptop|second)", self.fleet.config.read_text())[1]
            self.spoke("remove", name, "--keep-mirror")

    def test_invalid_targets_and_roots(self):
        """Nothing is looked up or created before they are known to be valid."""
        for target, words in [
            ("root@box01:2222", ["root@box01,", "'--port 2222'"]),
            ("ssh://root@box01", [" root@box01."]),
            ("root@box01::x", [" root@box01."]),
            ("root@box01:~/x", ["--root"]),
            ("root@::1", ["IPv6", " root@[::1]."]),
            ("C:/x", ["Windows"]),
            ("root@", ["user@host"]),
            ("root@box01 ", ["'root@box01 '"]),
        ]:
            self.fails("add", "x", target, failure="usage", words=words)
        for root, words in [("~nobody/x", "'~nobody/x'"), ("2222/x", "./2222/x"), (":x", "rsync daemon"), (" x", "'./'"), ("x ", "'/'")]:
            self.fails("add", "x", "box01", "--root", root, failure="usage", words=[words])
        self.assertFalse((self.home / ".ssh/pi-brain-sync").exists())
        self.add()
        before = self.everything()
        for command in (["upgrade", "laptop"], ["rotate-key", "laptop"], ["remove", "laptop", "--force"]):
            self.assertIn(" root@[::1].", self.spoke(*command, "--via", "root@::1", code=2))
        self.assertEqual(self.everything(), before)

    def test_other_readers_read_the_same(self):
        """Other parts of pi-brain read the config too, as YAML 1.1 or 1.2."""
        self.fleet.config.parent.mkdir()
        end = "...\n# the end\n"
        self.fleet.config.write_text("daemon: {x: 1}\n" + end)
        for name in tiers.sweep("names", ("007", "no", "12:30:45", "<<", "büro: 1", "~"), 2):
            with self.subTest(name=name):
                path = str(self.home / f"mirror # {name}")
                self.spoke("add", "--path", path, "--key", "~/.ssh/1_000", "--", name, "root@box01")
                self.spoke("rotate-key", "--", name)
                fields = {"name": name, "path": path, "source": "root@box01:~/.pi/agent/sessions"}
                (self.dir / "expected").write_text(
                    "".join(f"0 {field} {text.encode().hex()}\n" for field, text in fields.items()))
                subprocess.run(["/usr/bin/python3", YAML_READERS, self.fleet.config, self.dir / "expected"], check=True)
                self.assertTrue(self.fleet.config.read_text().endswith(end))
                self.spoke("remove", "--keep-mirror", "--", name)

    def test_a_config_that_cannot_be_written(self):
        self.fleet.config.parent.mkdir()
        self.fleet.config.write_text("hub: {}\n")
        subprocess.run(["mount", "--bind", self.fleet.config.parent, self.fleet.config.parent], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", self.fleet.config.parent], check=True)
        before = self.box.files()
        try:
            self.fails("add", "laptop", "root@box01", failure="hub-file-error", words=["Read-only file system"])
        finally:
            subprocess.run(["umount", self.fleet.config.parent], check=True)
        self.assertEqual(self.box.files(), before)

    def test_an_unknown_host_key(self):
        self.fleet.known_hosts.write_text("")
        before = self.box.files()
        self.fails("add", "laptop", "root@box01", failure="host-key-unknown", words=["known_hosts"])
        self.assertEqual(self.box.files(), before)

    def test_broken_authorized_keys(self):
        authorized = self.box.authorized
        authorized.write_bytes(self.box.before + b"\0\n")
        self.fails("add", "laptop", "root@box01", failure="install-failed", words=["cat -v "])
        self.assertEqual(authorized.read_bytes(), self.box.before + b"\0\n")
        self.assertFalse(self.box.agent.exists())

    def test_the_hub_dies_in_between(self):
        """At any instant: the spoke has everything or nothing, and adding it again succeeds."""
        for milliseconds in tiers.sweep("the hub killed after so many ms of add", range(20, 420, 25), 4):
            self.killed_after(milliseconds, "spoke", "add", "laptop", "root@box01")
            self.assertEqual(bool(self.box.lines()), self.box.agent.exists(), milliseconds)
            self.assertTrue(self.box.authorized.read_bytes().startswith(self.box.before))
            self.add("--json")
            self.sync()
            self.spoke("remove", "laptop", "--keep-mirror")
            self.assertEqual(self.box.authorized.read_bytes(), self.box.before)
            self.assertFalse((self.box.home / ".local").exists())

    def test_a_login_that_is_locked_down_already(self):
        self.add()
        with open(self.home / ".ssh/config", "a") as config:
            config.write(f"Host locked\n  HostName {self.box.address}\n  HostKeyAlias {self.box.address}\n"
                         "  IdentityFile ~/.ssh/pi-brain-sync\n  IdentitiesOnly yes\n")
        self.fails("add", "other", "locked", failure="key-not-dedicated", words=["IdentityFile"])
        other = harness.keygen(self.dir / "other")
        self.fails("add", "other", "locked", "--key", other, failure="login-locked-down", words=["--via user@host"])
        self.fleet.config.write_text(self.fleet.config.read_text().replace("root@box01", "locked"))
        self.fails("upgrade", "laptop", failure="login-locked-down", words=["--via user@host"])
        self.spoke("upgrade", "laptop", "--via", "box01")


class Fish(OneSpoke):
    shell = "/usr/bin/fish"

    def test_add_and_remove(self):
        before = self.box.files()
        self.add()
        self.sync()
        self.spoke("rotate-key", "laptop")
        self.sync()
        self.spoke("remove", "laptop")
        self.assertEqual(self.box.files(), before)


class Tcsh(Fish):
    shell = "/bin/tcsh"


class AnotherKeyFile(OneSpoke):
    """sshd does not read ~/.ssh/authorized_keys at all, or also accepts the key by another file."""
    sshd_options = ("AuthorizedKeysFile .ssh/more .ssh/authorized_keys",)

    def refused(self, failure, *words):
        before = self.box.files()
        self.fails("add", "laptop", "root@box01", failure=failure, words=[*words, "AuthorizedKeysFile"])
        self.assertEqual(self.box.files(), before)
        self.assertFalse(self.fleet.config.exists())

    def test_a_key_that_is_let_in_elsewhere(self):
        key = self.home / ".ssh/pi-brain-sync"
        harness.keygen(key)
        public = (self.home / ".ssh/pi-brain-sync.pub").read_text()
        more = self.box.authorized.with_name("more")
        more.write_text(self.fleet.public_key + public)
        self.refused("agent-missing")
        # It starts an agent that is there, with any command.
        (self.box.home / "bin").mkdir()
        shutil.copy(harness.AGENT, self.box.home / "bin/pi-brain-agent")
        (self.box.home / ".bashrc").write_text("PATH=~/bin:$PATH\n")
        self.refused("key-not-locked-down", " box01")
        # Or another directory's.
        more.write_text(self.fleet.public_key + f'command="~/bin/pi-brain-agent --root=/" {public}')
        self.refused("key-not-locked-down", " /, ")
        more.write_text(self.fleet.public_key)
        self.add()

    def test_keys_elsewhere_alone(self):
        box = self.fleet.add(options=("AuthorizedKeysFile .ssh/more",))
        shutil.copy(box.authorized, box.authorized.with_name("more"))
        box.wait()
        self.fails("add", "other", "root@" + box.name, failure="permission-denied", words=["AuthorizedKeysFile"])


class AnotherPort(OneSpoke):
    """Its SSH server listens on a port that only the hub's config, or the command line, knows."""
    port = 2222

    def add(self, *arguments, **options):
        return super().add("--port", self.port, *arguments, **options)

    def set_method(self, method, ssh):
        text = self.fleet.config.read_text()
        text = re.sub("sync_method: .*", f"sync_method: {method}", text).split("hub:")[0]
        if method == "rsync":  # by the login of its owner: the key starts the agent alone
            text = text.replace("    key: ~/.ssh/pi-brain-sync\n", "")
        self.fleet.config.write_text(f"{text}hub:\n  ssh: {ssh}\n")

    def test_every_way_to_connect(self):
        self.fails("add", "laptop", "root@box01", failure="connection-refused", words=["port 22"])
        everything = self.everything()
        self.add("-n")
        self.assertEqual(self.everything(), everything)
        self.add()
        self.assertIn("    port: 2222\n", self.fleet.config.read_text())
        for ssh, transport in (("auto", "libssh2"), ("libssh2", "libssh2"), ("openssh", "OpenSSH")):
            self.set_method("agent", ssh)
            (run,) = json.loads(self.fleet.pi_brain("sync", "run", "--json"))["spokes"]
            self.assertIn(transport, run["transport"])
            self.assertEqual(run["counts"]["files"], 4)
            self.assertIn("port 2222", self.fleet.pi_brain("sync", "doctor"))
        (self.box.home / ".bashrc").unlink()
        self.set_method("rsync", "auto")
        (self.box.sessions / "one more.jsonl").write_text("{}\n")
        self.assertIn("1 new", self.sync())
        self.assertIn("nothing new", self.sync())

    def test_what_is_done_afterwards(self):
        self.add()
        everything = self.everything()
        self.assertIn("unchanged", self.spoke("add", "laptop", "root@box01"))
        self.assertEqual(self.everything(), everything)
        self.fails("add", "laptop", "root@box01", "-p", "22", failure="spoke-exists", words=[" 2222"])
        for command in ("upgrade", "rotate-key", "remove"):
            self.spoke(command, "laptop")
        self.assertEqual(self.box.authorized.read_bytes(), self.box.before)

    def test_a_command_that_is_shown_works(self):
        """The port is part of the way there."""
        self.add()
        self.box.agent.unlink()
        self.box.agent.write_text("#!/bin/sh\nexit 1\n")
        self.box.agent.chmod(0o755)
        (spoke,) = json.loads(self.fleet.pi_brain("sync", "run", "--json", code=1))["spokes"]
        commands = [fix["command"] for fix in spoke["failure"]["fixes"] if fix["command"]]
        self.assertTrue(any(" -p 2222 " in command for command in commands), commands)

    def test_invalid_ports(self):
        for port in ("0", "65536", "ssh", "-1"):
            self.assertRegex(self.spoke("add", "laptop", "root@box01", f"--port={port}", code=2), f"--port .* 1 .* 65535, .*'{port}'")


class Upgrade(OneSpoke):
    def setUp(self):
        super().setUp()
        self.add()

    def test_upgrade(self):
        self.assertIn("✓ laptop: unchanged", self.spoke("upgrade", "laptop"))
        self.box.age_agent()
        inode = self.box.agent.stat().st_ino
        self.assertIn("✓ laptop: would be upgraded", self.spoke("upgrade", "--all", "-n"))
        self.assertEqual(self.box.agent.stat().st_ino, inode)
        line = self.box.lines()
        self.assertIn("✓ laptop: upgraded", self.spoke("upgrade", "--all"))
        self.assertEqual(self.box.agent.read_bytes(), harness.AGENT.read_bytes())
        self.assertEqual([p.name for p in self.box.agent.parent.iterdir()], ["pi-brain-agent"])
        self.assertEqual(self.box.lines(), line)
        self.sync()

    def test_one_that_does_not_serve_is_taken_back(self):
        before = self.box.files()
        other = self.dir / "other"
        other.write_text(f'#!/bin/sh\n[ "$1" = --version ] || exec {OTHER_AGE} "$@"\n')
        self.fails("upgrade", "laptop", "--agents", self.agents_dir(x86_64=other), failure="connection-lost")
        self.assertEqual(self.box.files(), before)
        script = self.dir / "script"
        script.write_text("#!/bin/sh\nexit 3\n")
        self.fails("upgrade", "laptop", "--agents", self.agents_dir(x86_64=script), failure="install-failed", words=["findmnt -T "])
        self.assertEqual(self.box.files(), before)
        self.assertIn("4 new", self.sync())

    def test_killed_at_any_instant_there_is_one_that_works(self):
        for milliseconds in tiers.sweep("the hub killed after so many ms of upgrade", range(20, 300, 20), 3):
            self.box.age_agent()
            self.killed_after(milliseconds, "spoke", "upgrade", "laptop")
            self.sync()
            self.spoke("upgrade", "laptop")
            self.assertEqual(self.box.agent.read_bytes(), harness.AGENT.read_bytes())
            self.assertEqual([p.name for p in self.box.agent.parent.iterdir()], ["pi-brain-agent"])

    def test_a_running_agent_goes_on(self):
        """Runs never fail, however often the agent is replaced under them."""
        for i in range(10):
            (self.box.sessions / f"big{i}.jsonl").write_bytes(os.urandom(2_000_000) + b"\n")
        stop, failures = threading.Event(), []

        def runs():
            while not stop.is_set():
                shutil.rmtree(self.home / ".pi-brain/synced/laptop", ignore_errors=True)
                done = subprocess.run([harness.HUB, "sync", "run"], env=self.fleet.environment(), capture_output=True, text=True)
                if done.returncode != 0:
                    failures.append(done.stdout + done.stderr)

        thread = threading.Thread(target=runs)
        thread.start()
        try:
            for _ in range(tiers.rounds(15, 4)):
                harness.wait_for(lambda: self.box.agent.exists())
                self.box.age_agent()
                self.spoke("upgrade", "laptop")
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failures, [])

    def test_a_spoke_of_this_machine(self):
        self.fleet.config.write_text(f"spokes: [{{name: here, sync_method: agent, source: {self.box.sessions}, path: {self.dir}/here}}]\n")
        before = self.everything()
        for command in ("upgrade", "rotate-key"):
            self.fails(command, "here", failure="spoke-is-local")
        self.assertEqual(self.everything(), before)

    def test_an_agent_elsewhere_is_not_upgraded(self):
        """A line that was made by hand starts another program."""
        elsewhere = self.box.home / "bin/pi-brain-agent"
        elsewhere.parent.mkdir()
        shutil.copy(harness.AGENT, elsewhere)
        # The home's own path would need quotes.
        text = self.box.authorized.read_text().replace("~/.local/lib/pi-brain/", "~/bin/")
        self.assertIn("~/bin/pi-brain-agent", text)
        self.box.authorized.write_text(text)
        before = self.box.files()
        self.fails("upgrade", "laptop", failure="install-failed", words=["spoke add"])
        self.assertEqual(self.box.files(), before)
        self.add()
        self.assertIn("~/.local/lib/pi-brain/pi-brain-agent", self.box.lines()[0])


class RotateKey(OneSpoke):
    def setUp(self):
        super().setUp()
        self.add("--from", "127.0.0.0/8")

    def test_rotate(self):
        shared = self.home / ".ssh/pi-brain-sync"
        own = self.home / ".ssh/pi-brain-sync-laptop"
        (old,) = self.box.lines()
        self.assertIn("pi-brain-sync-laptop", self.spoke("rotate-key", "laptop", "-n"))
        self.assertFalse(own.exists())
        self.assertEqual(self.box.lines(), [old])
        self.spoke("rotate-key", "laptop")
        (line,) = self.box.lines()
        self.assertEqual(line.split(" ssh-ed25519 ")[0], old.split(" ssh-ed25519 ")[0], "the same but for the key")
        self.assertIn(own.with_suffix(".pub").read_text().split()[1], line)
        self.assertTrue(shared.exists(), "other spokes use it")
        self.assertIn("key: ~/.ssh/pi-brain-sync-laptop", self.fleet.config.read_text())
        self.sync()
        # Again: the key was this spoke's alone, so it goes when it is replaced.
        self.spoke("rotate-key", "laptop")
        second = own.with_name(own.name + "~2")
        self.assertEqual(second.stat().st_mode & 0o777, 0o600)
        self.assertIn("key: ~/.ssh/pi-brain-sync-laptop~2\n", self.fleet.config.read_text())
        self.assertEqual(len(self.box.lines()), 1)
        self.sync()
        self.assertEqual(sorted(p.name for p in own.parent.glob("pi-brain*")),
                         ["pi-brain-sync", "pi-brain-sync-laptop~2", "pi-brain-sync-laptop~2.pub", "pi-brain-sync.pub"])

    def test_what_a_broken_off_rotation_left(self):
        """A key of another number, that is still let in."""
        left = harness.keygen(self.home / ".ssh/pi-brain-sync-laptop~7")
        line = self.box.lines()[0]
        options = line[:line.index(" ssh-ed25519")]
        with open(self.box.authorized, "a") as out:
            out.write(f"{options} {(self.home / '.ssh/pi-brain-sync-laptop~7.pub').read_text()}")
        self.spoke("rotate-key", "laptop")
        self.assertEqual(len(self.box.lines()), 1)
        self.assertFalse(left.exists())
        self.sync()

    def test_a_key_that_others_use_stays(self):
        self.spoke("rotate-key", "laptop")
        own = self.home / ".ssh/pi-brain-sync-laptop"
        with open(self.fleet.config, "a") as config:
            config.write("  - name: desk\n    sync_method: agent\n    source: root@elsewhere:~/s\n    path: ~/desk\n"
                         "    key: ~/.ssh/pi-brain-sync-laptop\n")
        before = own.read_text()
        self.spoke("rotate-key", "laptop")
        self.assertEqual(own.read_text(), before)
        self.fleet.pi_brain("sync", "run", "-s", "laptop")

    def test_two_at_once(self):
        before = self.box.lines()[0].split(" ssh-ed25519 ")[0]
        for _ in range(tiers.rounds(3, 1)):
            codes, said = self.at_once(*[["rotate-key", "laptop", "--json"]] * 2)
            self.assertEqual(codes, [0, 1], said)
            self.assertIn('"config-changed"', said)
            self.assertIn('"pi-brain spoke rotate-key laptop"', said)
            (line,) = self.box.lines()
            self.assertEqual(line.split(" ssh-ed25519 ")[0], before)
            self.assertEqual(len(self.own_keys()), 1)
            self.sync()

    def test_the_config_names_another_key_meanwhile(self):
        """Another rotation has the key's lock, and ends."""
        key = self.home / ".ssh/pi-brain-sync"
        with open(key) as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            rotation = subprocess.Popen([harness.HUB, "spoke", "rotate-key", "laptop", "--json"], env=self.fleet.environment(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            harness.wait_for(lambda: fleet.waits_for_lock(rotation.pid), what="a rotation that waits")
            shutil.copy(key, self.home / ".ssh/other")
            self.fleet.config.write_text(self.fleet.config.read_text().replace("~/.ssh/pi-brain-sync", "~/.ssh/other"))
        change = json.loads(rotation.communicate()[0])["spokes"][0]
        self.assertEqual((rotation.returncode, change["failure"]["id"]), (1, "config-changed"), change)
        self.assertEqual(len(self.box.lines()), 1)
        self.assertEqual(self.own_keys(), [])

    def own_keys(self):
        return [p.name for p in (self.home / ".ssh").iterdir() if re.fullmatch(r"pi-brain-sync-laptop(@\w+)?(~\d+)?", p.name)]

    def test_two_configs_with_a_spoke_of_the_same_name(self):
        other = self.fleet.add()
        other.wait()
        other.sessions.mkdir(parents=True)
        second = self.dir / "second.yaml"
        second.write_text(f"hub: {{database_dir: {self.dir}/data2, archive_dir: {self.dir}/archive2}}\n")
        self.spoke("add", "laptop", f"root@{other.name}", "--path", self.dir / "synced2", "-c", second)
        for _ in range(2):
            self.spoke("rotate-key", "laptop")
            self.spoke("rotate-key", "laptop", "-c", second)
            self.sync()
            self.fleet.pi_brain("sync", "run", "-c", second)
        self.assertEqual(len(self.own_keys()), 2)

    def test_a_spoke_without_the_agent(self):
        text = self.fleet.config.read_text()
        self.fleet.config.write_text(text.replace("sync_method: agent", "sync_method: rsync"))
        before = self.everything()
        for command in ("rotate-key", "upgrade"):
            change = self.fails(command, "laptop", failure="not-an-agent-spoke", words=["sync_method ", " rsync"])
            self.assertEqual([fix["command"] for fix in change["failure"]["fixes"]], ["pi-brain spoke add laptop root@box01"])
        self.assertEqual(self.everything(), before)

    def test_a_key_that_its_owner_logs_in_with_too(self):
        """Its line is left alone, and not reported as removed."""
        self.spoke("remove", "laptop")
        self.add("--key", "~/.ssh/pi-brain-sync-laptop")
        own = self.home / ".ssh/pi-brain-sync-laptop"
        line = f"no-pty {own.with_suffix('.pub').read_text()}"
        self.box.authorized.write_text(self.box.authorized.read_text() + line)
        said = self.spoke("rotate-key", "laptop")
        self.assertIn("authorized_keys: kept", said)
        self.assertIn(line, self.box.authorized.read_text())

    def test_what_cannot_be_changed_is_known_before(self):
        self.fleet.config.write_text(f"spokes: [{{name: laptop, sync_method: agent, source: 'root@box01:~/.pi/agent/sessions', "
                                     f"path: ~/.pi-brain/synced/laptop, key: ~/.ssh/pi-brain-sync}}]\n")
        before = self.everything()
        for command in ("rotate-key", "remove"):
            self.fails(command, "laptop", failure="config-not-editable")
            self.assertEqual(self.everything(), before)
        self.sync()

    def test_one_that_fails_leaves_no_key(self):
        self.box.stop()
        before = self.everything()
        self.fails("rotate-key", "laptop", failure="connection-refused")
        self.assertEqual(self.everything(), before)

    def test_killed_at_any_instant_nobody_is_locked_out(self):
        for milliseconds in tiers.sweep("the hub killed after so many ms of rotate-key", range(20, 300, 20), 3):
            self.killed_after(milliseconds, "spoke", "rotate-key", "laptop")
            self.sync()
            self.spoke("rotate-key", "laptop")
            self.sync()
            self.assertEqual(len(self.box.lines()), 1)
            # A file that ssh-keygen was writing when it was killed is not a key.
            self.assertEqual(len(self.own_keys()), 1)


class Remove(OneSpoke):
    def test_remove(self):
        before = self.box.files()
        self.add()
        self.sync()
        mirror = self.home / ".pi-brain/synced/laptop"
        names = {p.name for p in mirror.rglob("*.jsonl")}
        everything = self.everything()
        self.assertIn("✓ laptop: would be removed", self.spoke("remove", "laptop", "-n"))
        self.assertEqual(self.everything(), everything)
        said = self.spoke("remove", "laptop")
        self.assertEqual(self.box.files(), before)
        self.assertFalse((self.box.home / ".local").exists())
        self.assertFalse(mirror.exists())
        # P5: what was synced is in the archive.
        self.assertIn("/.pi-brain/archive/laptop/removed-", said)
        self.assertEqual({p.name for p in (self.home / ".pi-brain/archive").rglob("*.jsonl")}, names)
        self.assertIn("No spokes yet", self.sync())

    def test_what_was_put_away_stays(self):
        """Until a person removes it: a new spoke of that name does not, however long it exists."""
        self.add()
        self.sync()
        mirror = self.home / ".pi-brain/synced/laptop"
        kept = {p.name: p.read_bytes() for p in mirror.rglob("*.jsonl")}
        (mirror / "lost+found").mkdir()
        said = self.spoke("remove", "laptop")
        archive = self.home / ".pi-brain/archive/laptop"
        (run,) = archive.iterdir()
        self.assertRegex(run.name, r"^removed-\d{8}T\d{6}\.\d{3}Z$")
        self.assertIn(str(run), said)
        self.assertEqual([p.name for p in mirror.iterdir()], ["lost+found"])
        # As if it had been ten years ago, by clocks and counts.
        old = run.with_name("removed-" + "20160131T120000.123Z")
        run.rename(old)
        self.add()
        for _ in range(2):
            self.sync()
        self.assertEqual({p.name: p.read_bytes() for p in old.rglob("*.jsonl")}, kept)
        listed = self.fleet.pi_brain("sync", "archive", "list")
        self.assertRegex(listed, rf"\n{len(kept)} files .*until you remove")
        files = json.loads(self.fleet.pi_brain("sync", "archive", "list", "--json"))["files"]
        self.assertEqual({f["archived"] for f in files}, {"2016-01-31T12:00:00Z"})
        back = self.dir / "back.jsonl"
        self.fleet.pi_brain("sync", "archive", "restore", files[0]["id"], "--to", back)
        self.assertEqual(back.read_bytes(), kept[os.path.basename(files[0]["path"])])
        # Beside it, what does expire.
        next(self.box.sessions.rglob("*.jsonl")).write_text('{"other": 1}\n')
        self.sync()
        listed = self.fleet.pi_brain("sync", "archive", "list")
        self.assertRegex(listed, rf" 30 days\n{len(kept)} of these files .*until you delete.*\n")

    def test_keep_mirror(self):
        self.add()
        self.sync()
        self.spoke("remove", "laptop", "--keep-mirror")
        self.assertEqual(len(list((self.home / ".pi-brain/synced/laptop").rglob("*.jsonl"))), 4)
        # Added again, it continues from there.
        self.add()
        self.assertIn("nothing new", self.sync())

    def test_one_that_is_gone(self):
        self.add()
        self.sync()
        self.box.stop()
        self.fails("remove", "laptop", failure="connection-refused", words=["--force"])
        self.assertIn("laptop", self.fleet.config.read_text())
        self.assertRegex(self.spoke("remove", "laptop", "--force"), "~/.local/lib/pi-brain .*~/.ssh/authorized_keys")
        self.assertNotIn("laptop", self.fleet.config.read_text())

    def test_while_a_run_is_at_work(self):
        self.add()
        (self.box.sessions / "big.jsonl").write_bytes(os.urandom(3_000_000) + b"\n")
        run = subprocess.Popen([harness.HUB, "sync", "run", "--bwlimit", "300"], env=self.fleet.environment(), stdout=subprocess.PIPE)
        harness.wait_for(lambda: (self.home / ".pi-brain/synced/laptop/.pi-brain-staging").exists(), what="a run")
        before = self.box.files()
        self.fails("remove", "laptop", failure="mirror-in-use")
        self.assertEqual(self.box.files(), before)
        run.kill()
        run.communicate()
        self.assertIn("laptop", self.fleet.config.read_text())

    def test_a_mirror_behind_a_symlink(self):
        self.add()
        mirror = self.home / ".pi-brain/synced/laptop"
        (self.dir / "large disk").mkdir()
        mirror.parent.mkdir()
        mirror.symlink_to(self.dir / "large disk")
        self.sync()
        self.spoke("remove", "laptop")
        self.assertEqual(list((self.dir / "large disk").iterdir()), [])
        self.assertEqual(len(list((self.home / ".pi-brain/archive").rglob("*.jsonl"))), 4)


class Rename(OneSpoke):
    def setUp(self):
        super().setUp()
        self.brain = self.home / ".pi-brain"

    def with_history(self):
        """A spoke with a key of its own, a mirror, an archive and runs."""
        self.add("--key", "~/.ssh/pi-brain-sync-laptop")
        self.sync()
        first = next(self.box.sessions.rglob("*.jsonl"))
        first.write_text('{"rewritten": 1}\n')
        next(path for path in self.box.sessions.rglob("*.jsonl") if path != first).unlink()
        self.sync()

    def state(self):
        """What a spoke has on the hub, by its own paths: (its mirror, its archive)."""
        def below(root):
            return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        (name,) = re.findall("name: (.*)", self.fleet.config.read_text())
        return below(self.brain / "synced" / name), below(self.brain / "archive" / name)

    def history(self, name):
        runs = json.loads(self.fleet.pi_brain("sync", "history", "--json", "-s", name))["runs"]
        return [(run["counts"]["new"], run["counts"]["rewritten"], run["counts"]["kept"]) for run in runs]

    def assertIsNotebook(self, state, history):
        """All is there under the new name, and nothing under the old one."""
        self.assertEqual(self.state(), state)
        self.assertEqual(self.history("notebook"), history)
        for path in self.home.rglob("*"):
            self.assertNotIn("laptop", path.name)
            self.assertFalse(path.is_symlink(), path)
        self.assertNotIn("laptop", self.fleet.config.read_text())
        self.assertFalse((self.brain / "data/renaming").exists())
        self.assertIn("nothing new, 1 kept", self.sync())

    def test_all_that_is_named_after_it(self):
        self.with_history()
        with open(self.fleet.config, "a") as config:
            config.write("    # by cable\n    enabled: true # always\n")
        text = self.fleet.config.read_text()
        state, history = self.state(), self.history("laptop")
        self.assertEqual(history, [(0, 1, 1), (4, 0, 0)])
        everything = self.everything()
        said = self.spoke("rename", "laptop", "notebook", "-n")
        for words in ("synced/notebook", "archive/notebook", "pi-brain-sync-notebook", "✓ laptop: would be renamed"):
            self.assertIn(words, said)
        self.assertEqual(self.everything(), everything)
        change = self.change("rename", "laptop", "notebook")
        self.assertEqual((change["name"], change["outcome"]), ("laptop", "renamed"))
        self.assertEqual(self.fleet.config.read_text(), text.replace("laptop", "notebook"))
        self.assertIsNotebook(state, history)
        # It is a spoke like any other.
        self.spoke("upgrade", "notebook")
        self.spoke("remove", "notebook")
        self.assertEqual(self.box.authorized.read_bytes(), self.box.before)

    def test_killed_at_any_instant_a_run_finds_all_and_a_second_call_ends_it(self):
        """Before each system call by which it changes something."""
        calls = "rename,renameat2,symlink,link,unlink,rmdir,openat"
        self.with_history()
        saved = self.dir / "saved"
        shutil.copytree(self.home, saved, symlinks=True)
        state, history = self.state(), self.history("laptop")
        trace = self.dir / "trace"
        command = [harness.HUB, "spoke", "rename", "laptop", "notebook"]

        def traced(*options):
            return subprocess.run(["strace", "-f", "-qq", "-o", trace, "-e", f"trace={calls}", *options, *command],
                                  env=self.fleet.environment(), capture_output=True, text=True)

        self.assertEqual(traced().returncode, 0)
        lines = trace.read_text().splitlines()
        first = next(i for i, line in enumerate(lines) if "/renaming.new" in line)
        changes = [i for i, line in enumerate(lines) if i >= first and re.match(r"(\d+ +)?\w+\(", line)
                   and not re.search(r"openat\(.*O_RDONLY", line)]
        self.assertGreater(len(changes), 12)
        taken_back = finished = 0
        for number in tiers.sweep("renames cut off before a call", tuple(changes), 8):
            call = re.search(r"(\w+)\(", lines[number])[1]
            nth = sum(re.search(rf"\b{call}\(", line) is not None for line in lines[:number + 1])
            with self.subTest(before=lines[number]):
                shutil.rmtree(self.home)
                shutil.copytree(saved, self.home, symlinks=True)
                killed = traced("-e", f"inject={call}:signal=KILL:when={nth}")
                self.assertNotEqual(killed.returncode, 0)
                name = re.search("name: (.*)", self.fleet.config.read_text())[1]
                # The config and what it names hang together: nothing is fetched anew.
                self.assertIn(f"{name}: nothing new, 1 kept", self.sync())
                again = self.change("rename", "laptop", "notebook")
                self.assertEqual(again["outcome"], "renamed")
                finished += "finished the rename " in str(again["said"])
                taken_back += "undid the rename " in str(again["said"])
                self.assertIsNotebook(state, [(0, 0, 1)] + history)
        self.assertGreater(finished, 0)
        self.assertGreater(taken_back + finished, 1)

    def test_another_rename_settles_what_was_broken_off(self):
        self.with_history()
        mirror, other = self.brain / "synced/laptop", self.brain / "synced/notebook"
        record = [b"laptop", b"notebook", str(mirror).encode(), str(other).encode(), b"", b""]
        (self.brain / "data/renaming").write_bytes(b"\0".join(record))
        other.symlink_to("laptop")
        self.assertRegex(self.spoke("rename", "laptop", "desk", "-n"), "undo .*'laptop' .*'notebook'")
        self.assertTrue(other.is_symlink())
        self.assertRegex(self.spoke("rename", "laptop", "desk"), "undid .*'laptop' .*'notebook'")
        self.assertFalse(other.is_symlink())
        self.assertIn("name: desk", self.fleet.config.read_text())
        self.assertEqual(len(list((self.brain / "synced/desk").rglob("*.jsonl"))), 4)

    def test_names_that_it_cannot_have(self):
        self.add()
        self.sync()
        with open(self.fleet.config, "a") as config:
            config.write("  - name: phone\n    sync_method: syncthing\n    path: /p\n")
        everything = self.everything()
        for arguments, failure, code in [
            (["laptop", "phone"], "spoke-exists", 2),
            (["laptop", "a/b"], "usage", 2),
            (["laptop", ".x"], "usage", 2),
            (["desk", "table"], "spoke-unknown", 2),
        ]:
            change = self.change("rename", *arguments, code=code)
            self.assertEqual((change["outcome"], change["failure"]["id"]), ("failed", failure))
            self.assertEqual(self.everything(), everything)
        self.assertEqual(self.change("rename", "laptop", "laptop")["outcome"], "unchanged")
        # What is in the way stays.
        (self.brain / "synced/notebook").mkdir()
        (self.brain / "synced/notebook/mine.txt").write_text("x")
        everything = self.everything()
        self.fails("rename", "laptop", "notebook", failure="mirror-unusable", words=[f"'ls -la {self.brain}/synced/notebook'"])
        self.assertEqual(self.everything(), everything)
        self.sync()
        shutil.rmtree(self.brain / "synced/notebook")
        (self.brain / "synced/notebook").mkdir()
        self.spoke("rename", "laptop", "notebook")
        self.assertIn("nothing new", self.sync())
        # What Syncthing fills is Syncthing's.
        self.spoke("rename", "phone", "tablet")
        self.assertIn("name: tablet\n    sync_method: syncthing\n    path: /p\n", self.fleet.config.read_text())

    def test_what_stays_where_it_is(self):
        """A mirror in a place of its own, and a key that is not the spoke's alone."""
        self.add("--path", self.dir / "large disk")
        self.sync()
        self.spoke("rename", "laptop", "notebook")
        self.assertIn(f"path: {self.dir}/large disk", self.fleet.config.read_text())
        self.assertTrue((self.home / ".ssh/pi-brain-sync").exists())
        self.assertIn("nothing new", self.sync())

    def test_an_archive_that_had_that_name(self):
        self.add()
        self.sync()
        self.spoke("remove", "laptop")
        self.spoke("add", "desk", "root@box01")
        self.sync()
        next(self.box.sessions.rglob("*.jsonl")).write_text('{"other": 1}\n')
        self.sync()
        before = json.loads(self.fleet.pi_brain("sync", "archive", "list", "--json"))["files"]
        self.spoke("rename", "desk", "laptop")
        after = json.loads(self.fleet.pi_brain("sync", "archive", "list", "--json"))["files"]
        self.assertEqual(sorted(file["path"] for file in after), sorted(file["path"] for file in before))
        self.assertEqual({file["spoke"] for file in after}, {"laptop"})

    def test_while_a_run_is_at_work(self):
        self.add()
        (self.box.sessions / "big.jsonl").write_bytes(os.urandom(3_000_000) + b"\n")
        run = subprocess.Popen([harness.HUB, "sync", "run", "--bwlimit", "300"], env=self.fleet.environment(), stdout=subprocess.PIPE)
        harness.wait_for(lambda: (self.brain / "synced/laptop/.pi-brain-staging").exists(), what="a run")
        self.fails("rename", "laptop", "notebook", failure="mirror-in-use")
        self.assertIn("name: laptop", self.fleet.config.read_text())
        run.kill()
        run.communicate()


class Enable(OneSpoke):
    def test_disable_and_enable(self):
        self.add()
        with open(self.fleet.config, "a") as config:
            config.write("  # by hand\n  - name: phone\n    sync_method: syncthing\n    path: /p\n    enabled: no # not yet\n")
        text = self.fleet.config.read_text()
        self.assertIn("✓ laptop: would be disabled", self.spoke("disable", "laptop", "-n"))
        self.assertEqual(self.fleet.config.read_text(), text)
        said = self.spoke("disable", "laptop", "phone")
        self.assertIn("✓ laptop: disabled", said)
        self.assertIn("✓ phone: unchanged", said)
        self.assertEqual(self.fleet.config.read_text(), text.replace("  # by hand", "    enabled: false\n  # by hand"))
        self.assertIn("laptop: skipped", self.sync())
        changes = json.loads(self.spoke("enable", "--json", "laptop", "phone"))["spokes"]
        self.assertEqual([change["outcome"] for change in changes], ["enabled", "enabled"])
        self.assertEqual(self.fleet.config.read_text(),
                         text.replace("  # by hand", "    enabled: true\n  # by hand").replace("enabled: no #", "enabled: true #"))
        everything = self.everything()
        self.assertIn("✓ laptop: unchanged", self.spoke("enable", "laptop"))
        self.assertEqual(self.everything(), everything)
        self.assertIn("4 new", self.sync())
        self.assertIn("'x'", self.spoke("enable", "laptop", "x", code=2))


class Exclude(OneSpoke):
    """What the spoke's line leaves out, the hub cannot have."""

    def setUp(self):
        super().setUp()
        self.mirror = self.home / ".pi-brain/synced/laptop"
        for path in ("a.tmp", "x/b.tmp", "node_modules/c.jsonl", "x/node_modules/d.jsonl", "old/e.jsonl", "x/old/f.jsonl"):
            (self.box.sessions / path).parent.mkdir(parents=True, exist_ok=True)
            (self.box.sessions / path).write_text("{}\n")

    def mirrored(self):
        return {str(p.relative_to(self.mirror)) for p in self.mirror.rglob("*") if p.is_file()}

    def test_in_the_forced_command(self):
        said = self.add("--exclude", "*.tmp", "--exclude", "node_modules/", "--exclude=/old")
        self.assertIn(": 5 new", said)
        (line,) = self.box.lines()
        self.assertIn(" --exclude=bytes:%2A.tmp --exclude=node_modules/ --exclude=/old\" ", line)
        self.assertIn('    exclude: ["*.tmp", node_modules/, /old]\n', self.fleet.config.read_text())
        self.sync()
        self.assertEqual(len(self.mirrored()), 5)
        self.assertIn("x/old/f.jsonl", self.mirrored())
        # Whatever the hub's config says.
        self.fleet.config.write_text(re.sub(" *exclude:.*\n", "", self.fleet.config.read_text()))
        self.assertIn("nothing new", self.sync())
        self.assertIn(" 5 files ", self.fleet.pi_brain("sync", "verify"))
        self.assertEqual(len(self.mirrored()), 5)

    def test_what_was_mirrored_before_stays(self):
        self.add()
        self.assertIn("10 new", self.sync())
        self.add("--exclude", "*.tmp", "--exclude", "node_modules/")
        for _ in range(2):
            self.assertIn("nothing new, 4 kept", self.sync())
        (self.box.sessions / "old/e.jsonl").unlink()
        self.assertIn("1 deleted", self.fleet.pi_brain("sync", "run", "--delete"))
        self.assertEqual(len(self.mirrored()), 9)
        self.assertIn("a.tmp", self.mirrored())

    def test_a_line_keeps_what_it_leaves_out(self):
        self.add("--exclude", "*.tmp", "--from", "127.0.0.0/8")
        (line,) = self.box.lines()
        everything = self.everything()
        self.assertIn("unchanged", self.add())
        self.assertIn("unchanged", self.add("--exclude", "*.tmp"))
        self.assertEqual(self.everything(), everything)
        self.spoke("rotate-key", "laptop")
        (rotated,) = self.box.lines()
        self.assertIn("--exclude=bytes:%2A.tmp", rotated)
        self.assertIn("--exclude=bytes:%2A.tmp", self.after("--root", "~/elsewhere"))
        self.assertIn("--exclude=core --exclude=x", self.after("--exclude", "core", "--exclude", "x"))
        self.assertNotIn("%2A", self.box.lines()[0])
        self.assertIn("exclude: [core, x]\n", self.fleet.config.read_text())
        self.assertNotIn("--exclude", self.after("--exclude", ""))
        self.assertIn('from="127.0.0.0/8"', self.box.lines()[0])
        self.assertIn("exclude: []\n", self.fleet.config.read_text())

    def after(self, *arguments):
        self.add(*arguments)
        (line,) = self.box.lines()
        return line

    def test_invalid_patterns(self):
        for pattern in ("!a", "[a", "a//b", "../x"):
            change = self.change("add", "laptop", "root@box01", "--exclude", pattern, code=2)
            self.assertEqual(change["failure"]["id"], "usage")
        self.assertFalse(self.fleet.config.exists())


class MovingOver(OneSpoke):
    """From rsync, with filters."""

    def setUp(self):
        super().setUp()
        self.fleet.config.parent.mkdir()
        self.fleet.config.write_text("spokes:\n  - name: laptop\n    sync_method: rsync\n"
                                     "    source: root@box01:~/.pi/agent/sessions\n    path: ~/.pi-brain/synced/laptop\n"
                                     "    rsync_options:\n      extra_args: [\"--exclude=*.tmp\"]\n")

    def test_filters_that_would_no_longer_count(self):
        everything = self.everything()
        self.fails("add", "laptop", "root@box01", failure="filters-would-drop", words=["'--exclude=*.tmp'"])
        self.fails("add", "laptop", "root@box01", "--batch", failure="filters-would-drop")
        self.assertIn("'--exclude=*.tmp'", self.add("-n"))
        self.assertEqual(self.everything(), everything)
        self.add("--drop-filters", "--exclude", "*.tmp")
        self.assertIn("sync_method: agent", self.fleet.config.read_text())
        # Now it is an agent's, and nothing is asked any more.
        self.assertIn("unchanged", self.add())

    def test_a_person_is_asked(self):
        for answer, code in ((b"n\n", 1), (b"\n", 1), (b"y\n", 0)):
            pid, fd = pty.fork()
            if pid == 0:
                os.execve(harness.HUB, [str(harness.HUB), "spoke", "add", "laptop", "root@box01"], self.fleet.environment())
            seen = b""
            while True:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    break
                if b"[y/N] " in data:
                    os.write(fd, answer)
                seen += data
            os.close(fd)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), code, seen.decode())
            self.assertIn(b"'--exclude=*.tmp'", seen)
            self.assertEqual("sync_method: agent" in self.fleet.config.read_text(), code == 0)


class List(OneSpoke):
    def test_list(self):
        self.assertIn("No spokes yet", self.spoke("list"))
        self.add()
        text = self.spoke("list")
        self.assertRegex(text, r"NAME +METHOD +SOURCE +AGENT +LAST CONTACT +SANDBOX +KEY\n"
                               r"laptop +agent +root@box01:\S+ +0\.1\.0 +just now +\S.* +SHA256:\S{43}\n")
        (spoke,) = json.loads(self.spoke("list", "--json"))["spokes"]
        fingerprint = subprocess.run(["ssh-keygen", "-lf", self.home / ".ssh/pi-brain-sync.pub"], capture_output=True, text=True,
                                     check=True).stdout.split()[1]
        self.assertEqual((spoke["name"], spoke["version"], spoke["fingerprint"]), ("laptop", "0.1.0", fingerprint))
        self.assertIn("seccomp", spoke["sandbox"])
        self.assertRegex(spoke["lastContact"], r"^\d{4}-\d\d-\d\dT")
        with open(self.fleet.config, "a") as config:
            config.write("  - name: phone\n    sync_method: syncthing\n    path: /p\n    enabled: false\n")
        (_, phone) = json.loads(self.spoke("list", "--json"))["spokes"]
        self.assertEqual((phone["version"], phone["lastContact"], phone["key"], phone["enabled"]), (None, None, None, False))
        self.assertRegex(self.spoke("list"), r"phone +syncthing \(disabled\) +- +- +- +- +-\n")
        # Without an agent, the last run was the last contact.
        with open(self.fleet.config, "a") as config:
            config.write(f"  - {{name: rsynced, sync_method: rsync, source: '{self.box.sessions}', path: {self.dir}/rsynced}}\n")
        self.assertRegex(self.spoke("list"), r"rsynced +rsync +/.+ - +never +- +-\n")
        self.fleet.pi_brain("sync", "run", "--spoke", "rsynced")
        self.assertRegex(self.spoke("list"), r"rsynced +rsync +/.+ - +just now +- +-\n")
        (*_, rsynced) = json.loads(self.spoke("list", "--json"))["spokes"]
        self.assertEqual(rsynced["version"], None)
        self.assertRegex(rsynced["lastContact"], r"^\d{4}-\d\d-\d\dT")


if __name__ == "__main__":
    fleet.main()
