"""Every login shell: a command means the same to all of them, or is refused with a message."""
import contextlib
import json
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile
import time
import unittest

import fleet
import harness
import tiers

# Each runs `-c COMMAND`, as sshd starts it. Restricted shells are tested apart.
SHELLS = {name: found.split() for name, found in {
    "dash": "dash", "bash": "bash", "posix": "bash --posix", "tcsh": "tcsh", "csh": "bsd-csh", "fish": "fish", "zsh": "zsh",
    "zsh with all globs": "zsh -o extendedglob -o magicequalsubst", "mksh": "mksh", "ksh93": "ksh93", "busybox": "busybox sh",
    "nu": "nu"}.items() if shutil.which(found.split()[0])}  # not in Debian: nu (0.108 passes)
LOGIN_SHELLS = [(name, shell) for name, shell in SHELLS.items() if len(shell) == 1]
ODD = "it's o!d \"pl@ce\" \\ $HOME `id` *?[x] {a,b} ~ ^ # & ; | < > ( ) = % é"


class Words(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-words-"))
        self.addCleanup(shutil.rmtree, self.dir)
        harness.keygen(self.dir / "key")
        self.home = self.dir / "my home's \"own\" é"
        self.home.mkdir()

    def command(self, agent, root):
        """The command in the line that the agent prints."""
        line = subprocess.run([agent, b"--root=" + os.fsencode(root), "--authorized-keys-line", self.dir / "key.pub"], check=True,
                              capture_output=True, env={"HOME": str(self.home)}).stdout.decode()
        self.assertTrue(line.startswith('restrict,command="'), line)
        command, rest = line.removeprefix('restrict,command="').split('"', 1)
        self.assertTrue(rest.startswith(" ssh-ed25519 "), line)
        return command

    def test_every_root_reaches_the_agent(self):
        """Whatever bytes a root has, every shell passes exactly this root to the agent."""
        show = self.home / "pi-brain-agent"
        bytes_ = [bytes([b]) for b in range(1, 256)]
        roots = [b"/a" + one + b"b" for one in bytes_] + [b"/" + one for one in bytes_] + [os.fsencode("/" + ODD), b"/plain/root"]
        shutil.copy(harness.AGENT, show)
        commands = [self.command(show, root) for root in roots]
        self.assertEqual(commands[-1], "~/pi-brain-agent --root=/plain/root")
        show.write_text("#!/bin/sh\nprintf '%s\\n' \"$1\" >>$OUT\n")
        for name, shell in SHELLS.items():
            with self.subTest(shell=name):
                if name == "fish":
                    self.use_home_that_fish_reads(show)
                out = self.dir / f"out-{name}"
                done = subprocess.run([*shell, "-c", "\n".join(commands)], capture_output=True, stdin=subprocess.DEVNULL,
                                      env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "OUT": str(out)}, cwd="/")
                said = out.read_text().splitlines() if out.exists() else []
                self.assertEqual(said, [command.split(" ", 1)[1] for command in commands], done.stderr[:500])

    def use_home_that_fish_reads(self, show):
        """In the C locale, fish garbles characters beyond ASCII in "~"."""
        self.home = self.dir / "my home's \"own\""
        self.home.mkdir()
        shutil.copy(show, self.home)

    def test_the_agent_reads_what_it_wrote(self):
        """And what people write, which may be invalid."""
        root = self.dir / ODD
        self.assertIn("--root=bytes:", self.command(harness.AGENT, root))
        for wrong in ("%", "%zz", "/a%00b"):
            done = subprocess.run([harness.AGENT, "--root=bytes:" + wrong], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--root=bytes:", done.stderr)

    def test_an_agent_whose_path_needs_quotes(self):
        place = self.dir / "my tools"
        place.mkdir()
        shutil.copy(harness.AGENT, place)
        done = subprocess.run([place / "pi-brain-agent", "--authorized-keys-line", self.dir / "key.pub"], capture_output=True, text=True,
                              env={"HOME": str(self.home)})
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(place), done.stderr)

    def test_the_key_on_standard_input(self):
        with open(self.dir / "key.pub") as key:
            done = subprocess.run([harness.AGENT, "--root=/s", "--authorized-keys-line", "-"], stdin=key, capture_output=True, text=True)
        self.assertIn(f'command="{harness.AGENT} --root=/s" ssh-ed25519 ', done.stdout)


class LoginCase(fleet.FleetCase):
    """A machine whose accounts have these shells."""

    def machine(self, shell, start_up=None, **options):
        box = self.fleet.add(shell, noise=False, **options)
        if start_up:
            path, text = start_up
            (box.home / path).parent.mkdir(parents=True, exist_ok=True)
            (box.home / path).write_text(text)
        box.wait()
        return box

    def refused(self, box, failure_id, *words):
        before = box.files()
        change = json.loads(self.fleet.pi_brain("spoke", "add", box.name, f"root@{box.name}", "--json", code=1))["spokes"][0]
        self.assertEqual(change["failure"]["id"], failure_id, change["failure"])
        for word in words:
            self.assertIn(word, "\n".join([*change["said"], change["error"]]))
        self.assertEqual(box.files(), before)
        self.assertFalse((box.home / ".local").exists())
        self.assertFalse(self.fleet.config.exists())


class Login(LoginCase):
    """Everything that the hub does with such a spoke."""

    def test_add_sync_rotate_and_remove(self):
        for name, shell in tiers.sweep("shells", LOGIN_SHELLS, 3):
            with self.subTest(shell=name):
                box = self.machine(shutil.which(shell[0]))
                before = box.files()
                sessions = box.home / ODD
                sessions.mkdir()
                (sessions / "a.jsonl").write_text("{}\n")
                self.fleet.pi_brain("spoke", "add", name, f"root@{box.name}", "--root", f"~/{ODD}")
                self.assertTrue(box.lines()[0].startswith('restrict,command="~/.local/lib/pi-brain/pi-brain-agent --root=bytes:/'),
                                box.lines())
                self.fleet.pi_brain("sync", "run", "-s", name)
                mirror = self.fleet.home / ".pi-brain/synced" / name
                self.assertTrue((mirror / "a.jsonl").exists())
                self.assertIn("unchanged", self.fleet.pi_brain("spoke", "add", name, f"root@{box.name}"))
                self.fleet.pi_brain("spoke", "rotate-key", name)
                self.fleet.pi_brain("sync", "run", "-s", name)
                self.fleet.pi_brain("spoke", "remove", name)
                (sessions / "a.jsonl").unlink()
                self.assertEqual(box.files(), before)

    def test_a_key_that_is_not_locked_down(self):
        """The hub's own command starts the agent, which is on PATH there, with any root."""
        for name, shell in tiers.sweep("shells", LOGIN_SHELLS, 3):
            with self.subTest(shell=name):
                box = self.machine(shutil.which(shell[0]), options=[f"SetEnv PATH={harness.BIN}:/usr/bin:/bin"])
                sessions = box.home / ODD
                sessions.mkdir()
                (sessions / "a.jsonl").write_text("{}\n")
                config = self.dir / "config.yaml"
                config.write_text(
                    f"hub: {{database_dir: {self.dir}/data, archive_dir: {self.dir}/archive}}\nspokes:\n  - name: box\n"
                    f"    sync_method: agent\n    path: {self.dir}/synced-{box.name}\n    source: "
                    f"\"root@{box.name}:~/" + ODD.replace("\\", "\\\\").replace('"', '\\"') + "\"\n")
                self.fleet.pi_brain("sync", "run", "-c", config)
                self.assertTrue((self.dir / f"synced-{box.name}/a.jsonl").exists())

    def test_shells_that_do_not_start_programs(self):
        self.refused(self.machine("/bin/rbash"), "shell-unusable", "does not run /bin/sh", "restricted", "getent passwd root")
        for shell in ("/usr/sbin/nologin", "/bin/false"):
            self.refused(self.machine(shell), "shell-unusable", "does not run /bin/sh", "nologin", "getent passwd root")
        self.refused(self.machine("/bin/no-such-shell"), "permission-denied", "sshd also rejects an account whose login shell does not exist",
                     "getent passwd root")

    def test_a_shell_that_is_restricted_later(self):
        """A run reports the shell as the cause, not the agent."""
        box = self.machine("/bin/bash")
        box.sessions.mkdir(parents=True)
        self.fleet.pi_brain("spoke", "add", "box", f"root@{box.name}")
        subprocess.run(["nsenter", f"--mount=/proc/{box.sshd.pid}/ns/mnt", "sh", "-c",
                        "sed 's|^\\(root:.*\\):/bin/bash$|\\1:/bin/rbash|' /etc/passwd >/dev/shm/p$$ && cat /dev/shm/p$$ >/etc/passwd; rm /dev/shm/p$$"],
                       check=True)
        report = json.loads(self.fleet.pi_brain("sync", "run", "--json", code=1))["spokes"][0]
        self.assertEqual(report["failure"]["id"], "shell-restricted", report["failure"])
        self.assertIn("login shell", report["error"])
        self.assertIn("restricted", report["error"])
        self.assertNotIn("not installed", report["error"])

    def test_by_hand_with_a_restricted_shell(self):
        """The script learns the shell from /etc/passwd alone."""
        for shell, words in (("/bin/rbash", "restricted: cannot specify"), ("/usr/sbin/nologin", "not available")):
            box = self.machine(shell)
            script = harness.TESTS.parent / "deploy/install-spoke.sh"
            key = harness.keygen(self.dir / f"key-{box.name}")
            done = subprocess.run(["nsenter", f"--mount=/proc/{box.sshd.pid}/ns/mnt", "sh", script, "--key", f"{key}.pub", "--agent",
                                   harness.AGENT], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/nowhere"})
            self.assertEqual(done.returncode, 1)
            self.assertIn(f" root, {shell}, ", done.stderr)
            self.assertIn("It said: ", done.stderr)
            self.assertIn(words, done.stderr)
            self.assertEqual(box.authorized.read_bytes(), box.before)
            self.assertFalse((box.home / ".local").exists())


class Hanging(LoginCase):
    """How long the hub waits for a shell that hangs."""

    def test_a_start_up_file_that_starts_another_shell(self):
        """zsh can run the script like sh; csh cannot, and gets none of it."""
        box = self.machine("/usr/bin/zsh", (".zshenv", "[ -n \"$IN\" ] || IN=1 exec zsh\n"))
        box.sessions.mkdir(parents=True)
        # The command of the key is not run either, so the rest fails.
        self.refused(box, "agent-not-started", "undone")
        box = self.machine("/bin/tcsh", (".tcshrc", "if (! $?IN) then\nsetenv IN 1\nexec tcsh\nendif\n"))
        self.refused(box, "shell-unusable", "runs another shell instead of the command '/bin/sh'", "Nothing was changed")

    def test_a_start_up_file_that_never_ends(self):
        """The message says that the login works. The hub does not wait forever, even if a person could be asked."""
        box = self.machine("/bin/bash", (".bashrc", "cat >/dev/null\n"))
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(harness.HUB, [str(harness.HUB), "spoke", "add", "box", f"root@{box.name}"], self.fleet.environment())
        words = ("works, but its shell did not start the command '/bin/sh' within 6", "~/.bashrc", "ps f -u root")
        self.refused(box, "shell-unusable", *words)
        seen = b""
        with contextlib.suppress(OSError):
            while data := os.read(terminal, 65536):
                seen += data
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1)
        for word in words:
            self.assertIn(word, " ".join(seen.decode().split()))  # its lines are wrapped

    def test_a_login_that_never_ends(self):
        """Nobody can be asked, so the hub does not wait; ssh itself gives up first."""
        box = self.machine("/bin/bash", options=["AuthorizedKeysFile none", "AuthorizedKeysCommand /usr/bin/sleep 100",
                                                 "AuthorizedKeysCommandUser root"])
        began = time.monotonic()
        self.refused(box, "login-timeout", f"ssh -l root {box.name} true")
        self.assertLess(time.monotonic() - began, 70)


if __name__ == "__main__":
    fleet.main()
