"""What a failure says to do is done: the command is pasted as it is printed, and the failure is gone."""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess

import fleet
import harness

OTHER_AGE = pathlib.Path(os.environ["PIBRAIN_TEST_AGENT"])


class Fixes(fleet.FleetCase):
    """A spoke, in a config that is not the default one and whose name needs quotes."""

    def setUp(self):
        super().setUp()
        self.box = self.fleet.add()
        self.box.wait()
        harness.sessions.make(self.box.sessions, 4, seed=2)
        self.home = self.fleet.home
        self.key = self.home / ".ssh/pi-brain-sync"
        self.config = self.dir / "this hub's config.yaml"
        self.pi_brain("spoke", "add", "laptop", "root@box01")
        self.sync()

    def pi_brain(self, *arguments, code=0):
        return self.fleet.pi_brain(*arguments, "-c", self.config, code=code)

    def sync(self, *options):
        self.pi_brain("sync", "run", *options)

    def fails(self, failure_id, *command, code=1):
        """A command fails for the spoke by this id; the commands that it says to run."""
        document = json.loads(self.pi_brain(*(command or ("sync", "run")), "--json", code=code))
        failure = document["spokes"][0]["failure"]
        self.assertEqual(failure["id"], failure_id, failure)
        return [fix["command"] for fix in failure["fixes"]]

    def warns(self, warning_id, step):
        document = json.loads(self.pi_brain("sync", "doctor", "--json"))
        found = [check["failure"] for check in document["spokes"][0]["checks"] if check["step"] == step and check["state"] == "warning"]
        self.assertEqual([warning["id"] for warning in found], [warning_id])
        return [fix["command"] for fix in found[0]["fixes"]]

    def paste(self, command, **environment):
        """In another directory, by a shell that knows nothing of where the hub ran. Returns what it prints."""
        env = {**self.fleet.environment(), "PATH": f"{harness.BIN}:{os.environ['PATH']}", **environment}
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, cwd="/", timeout=120)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def refused(self, failure_id, *command, code=2):
        """A command fails before it has a document of its own; the commands that it says to run."""
        failure = json.loads(self.fleet.completed(*command, "-c", self.config, code=code).stdout)["failure"]
        self.assertEqual(failure["id"], failure_id, failure)
        return [fix["command"] for fix in failure["fixes"]]

    def replace_agent(self, text):
        self.box.agent.unlink()
        self.box.agent.write_text(text)
        self.box.agent.chmod(0o755)

    # The agent.

    def test_no_agent(self):
        self.box.agent.unlink()
        (command,) = self.fails("agent-missing")
        self.paste(command)
        self.sync()

    def test_an_agent_that_is_not_executable(self):
        self.box.agent.chmod(0o644)
        _, command = self.fails("agent-not-executable")
        self.paste(command)
        self.sync()

    def test_something_else_in_its_place(self):
        self.replace_agent("#!/bin/sh\nexit 3\n")
        *_, command = self.fails("not-the-agent")
        self.paste(command)
        self.sync()

    def test_an_agent_that_is_too_old(self):
        self.replace_agent(f'#!/bin/sh\n[ "$1" = --version ] || exec {OTHER_AGE} 0 0\n')
        (command,) = self.fails("agent-too-old")
        self.paste(command)
        self.sync()

    def test_an_agent_of_another_version(self):
        older = harness.AGENT.read_bytes().replace(b"0.1.0", b"0.0.9")
        self.box.agent.unlink()
        self.box.agent.write_bytes(older)
        self.box.agent.chmod(0o755)
        (command,) = self.warns("agent-other-version", "agent")
        self.paste(command)
        self.assertNotIn("0.0.9", self.pi_brain("sync", "doctor"))

    # Keys.

    def test_a_key_that_is_not_let_in(self):
        self.box.authorized.write_bytes(self.box.before)
        for mode in ("auto", "openssh"):
            with self.subTest(mode):
                self.box.authorized.write_bytes(self.box.before)
                text = self.config.read_text()
                self.config.write_text(f"hub:\n  ssh: {mode}\n{text}")
                add, *_ = self.fails("permission-denied")
                self.paste(add)
                self.sync()
                self.config.write_text(text)

    def test_a_key_that_is_gone(self):
        self.key.unlink()
        pathlib.Path(f"{self.key}.pub").unlink()
        command, _ = self.fails("key-missing")
        self.paste(command)
        self.sync()

    def test_a_file_that_ssh_does_not_take(self):
        sound = self.key.read_bytes()

        def exposed():
            self.key.chmod(0o644)

        def of_windows():
            self.key.write_bytes(sound.replace(b"\n", b"\r\n"))

        def cut():
            self.key.write_bytes(sound.rstrip(b"\n"))

        def of_another():
            shutil.copy(self.home / ".ssh/id_ed25519.pub", f"{self.key}.pub")
        for spoil in (exposed, of_windows, cut, of_another):
            with self.subTest(spoil.__name__):
                spoil()
                command, *_ = self.fails("key-unusable")
                self.paste(command)
                self.sync()

    def test_a_key_for_rsync_that_is_not_let_in(self):
        key = harness.keygen(self.home / ".ssh/for rsync")
        self.config.write_text(f"spokes:\n- name: laptop\n  sync_method: rsync\n  source: root@box01:{self.box.sessions}\n"
                               f"  path: ~/.pi-brain/synced/laptop\n  key: {key}\n")
        (self.box.home / ".bashrc").unlink()
        (command,) = self.fails("permission-denied")[:1]
        self.paste(command)
        self.sync()

    # The config, and the command line.

    def test_a_mistake_in_the_config(self):
        self.config.write_text(self.config.read_text().replace("sync_method: agent", "sync_method: agnt"))
        for name in ("nano", "vi"):
            editor = self.dir / name
            editor.write_text("#!/bin/sh\nsed -i \"${1#+}s/agnt/agent/\" \"$2\"\n")
            editor.chmod(0o755)
        (command,) = self.refused("config-invalid", "sync", "run", "--json")
        self.paste(command, PATH=f"{self.dir}:{os.environ['PATH']}")
        self.sync()

    def test_a_command_that_does_not_exist(self):
        meant, shown = self.refused("usage", "sync", "rum", "--json")
        self.assertEqual(meant, "pi-brain sync run --json")
        self.assertIn("  run ", self.paste(shown))

    def test_a_file_that_is_not_in_the_archive(self):
        restore = json.loads(self.fleet.completed("sync", "archive", "restore", "--json", "none.jsonl", "-c", self.config, code=1).stdout)
        self.assertEqual(restore["failures"][0]["id"], "archived-file-unknown")
        self.assertIn("0 files in the archive", self.paste(restore["failures"][0]["fixes"][0]["command"]))

    # Shells.

    def test_a_shell_that_prints(self):
        start = self.box.home / ".bashrc"
        start.write_text("echo welcome\n")
        (command,) = self.warns("shell-noisy", "shell")
        self.assertIn("welcome", self.paste(command))
        start.unlink()
        self.assertEqual(self.paste(command), "")
        self.assertIn("✓ shell", self.pi_brain("sync", "doctor"))

    # Host keys.

    def test_a_host_key_that_is_not_known(self):
        self.fleet.known_hosts.write_text("")
        _, add = self.fails("host-key-unknown")
        self.paste(add)
        self.sync()

    def test_a_host_key_that_changed(self):
        other = pathlib.Path(f"{self.home}/.ssh/id_ed25519.pub").read_text().split()
        self.fleet.known_hosts.write_text(f"{self.box.address} {other[0]} {other[1]}\n")
        compare, remove, add = self.fails("host-key-changed")
        self.assertIn("ssh-keygen -lf /etc/ssh/ssh_host_", compare)
        self.assertIn("ssh-keyscan -t ", add)
        self.paste(remove)
        self.fails("host-key-unknown")
        self.paste(add)
        self.sync()

    # The mirror.

    def test_a_mirror_that_others_may_read(self):
        for path in (self.home / ".pi-brain/synced/laptop").rglob("*.jsonl"):
            path.chmod(0o644)
        (command,) = self.warns("mirror-exposed", "mirror")
        self.paste(command)
        self.assertNotIn("other users can read", self.pi_brain("sync", "doctor"))

    def test_a_spoke_that_was_never_synced(self):
        shutil.rmtree(self.home / ".pi-brain/data")
        (command,) = self.warns("never-synced", "last run")
        self.paste(command)
        self.assertNotIn("never synced", self.pi_brain("sync", "doctor"))

    def test_a_key_that_may_do_anything(self):
        self.box.authorized.write_bytes(self.box.before + pathlib.Path(f"{self.key}.pub").read_bytes())
        (self.box.home / ".bashrc").write_text(f"PATH={harness.BIN}:$PATH\n")
        add, _ = self.warns("key-not-locked-down", "key")
        self.paste(add)
        self.assertIn("✓ key ", self.pi_brain("sync", "doctor"))

    # Deletions.

    def test_many_files_that_are_gone(self):
        for number in range(30):
            (self.box.sessions / f"{number}.jsonl").write_text("{}\n")
        self.sync()
        for number in range(25):
            (self.box.sessions / f"{number}.jsonl").unlink()
        (command,) = self.fails("deletion-refused", "sync", "run", "--delete")
        self.paste(command)
        self.sync("--delete")
        self.assertFalse((self.home / ".pi-brain/synced/laptop/0.jsonl").exists())

    def test_a_spoke_without_any_file(self):
        shutil.rmtree(self.box.sessions)
        self.box.sessions.mkdir()
        look, command = self.fails("deletion-refused", "sync", "run", "--delete")
        self.assertIn("ls -la ", look)
        self.paste(command)
        self.assertNotIn("laptop", self.config.read_text())

    # Changes of spokes.

    def test_a_name_that_is_taken(self):
        other = self.fleet.add()
        other.wait()
        _, command = self.fails("spoke-exists", "spoke", "add", "laptop", "root@box02", code=2)
        self.paste(command)
        self.pi_brain("spoke", "add", "laptop", "root@box02")

    def test_a_spoke_that_rsync_syncs(self):
        self.config.write_text(self.config.read_text().replace("sync_method: agent", "sync_method: rsync"))
        (command,) = self.fails("not-an-agent-spoke", "spoke", "upgrade", "laptop")
        self.paste(command)
        self.pi_brain("spoke", "upgrade", "laptop")

    def test_a_spoke_that_is_gone(self):
        self.box.stop()
        *_, command = self.fails("connection-refused", "spoke", "remove", "laptop")
        self.paste(command)
        self.assertNotIn("laptop", self.config.read_text())

    def test_a_key_that_another_rotation_changed(self):
        with open(self.key) as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            rotation = subprocess.Popen([harness.HUB, "spoke", "rotate-key", "laptop", "--json", "-c", self.config],
                                        env=self.fleet.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            harness.wait_for(lambda: fleet.waits_for_lock(rotation.pid), what="a rotation that waits")
            # Which the other one has brought into use by now.
            shutil.copy(self.key, self.home / ".ssh/other")
            shutil.copy(f"{self.key}.pub", self.home / ".ssh/other.pub")
            self.config.write_text(self.config.read_text().replace("~/.ssh/pi-brain-sync", "~/.ssh/other"))
        (change,) = json.loads(rotation.communicate()[0])["spokes"]
        self.assertEqual(change["failure"]["id"], "config-changed", change)
        self.paste(change["failure"]["fixes"][0]["command"])
        self.sync()
        self.assertNotIn(".ssh/other", self.config.read_text())


if __name__ == "__main__":
    fleet.main()
