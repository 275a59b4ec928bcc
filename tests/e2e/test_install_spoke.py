"""deploy/install-spoke.sh, run on the spoke by hand, and by each shell that may be /bin/sh there."""
import hashlib
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import termios
import unittest
import urllib.parse

import fleet
import harness
import tiers

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "deploy/install-spoke.sh"
SHELLS = (["dash"], ["busybox", "sh"], ["bash", "--posix"], ["mksh"], ["ksh93"], ["zsh"])
# With busybox as the shell, PATH has these applets of busybox and nothing else.
BUSYBOX_TOOLS = "awk cat chmod cp cut dirname grep head id kill ln ls mkdir mv printf readlink rm rmdir sed sha256sum sleep " \
                "sort stty sync tail tr uname wc".split()


def on_terminal(columns, command, code=0, **options):
    """Runs the command on a terminal of that width (0: one that does not know its width). Returns all output."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    process = subprocess.Popen(["setsid", "--ctty", "--wait", *command], stdin=theirs, stdout=theirs, stderr=theirs, **options)
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65536):
            seen += data
    except OSError:  # the terminal was closed by all
        pass
    os.close(ours)
    seen = seen.decode().replace("\r\n", "\n")
    if process.wait() != code:
        raise AssertionError(f"exit {process.returncode} of {command}:\n{seen}")
    return seen


class InstallSpoke(fleet.FleetCase):
    def setUp(self):
        super().setUp()
        self.spoke = self.fleet.add()
        self.spoke.wait()
        self.key = harness.keygen(self.dir / "sync-key")
        self.public = (self.dir / "sync-key.pub").read_text()

    def command(self, *arguments, shell=("dash",)):
        """The command for the spoke's mount namespace, in which /etc/passwd names its home."""
        path = os.environ["PATH"]
        if shell[0] == "busybox":
            tools = self.dir / "busybox"
            if not tools.exists():
                tools.mkdir()
                for tool in BUSYBOX_TOOLS:
                    (tools / tool).symlink_to(shutil.which("busybox"))
            path = str(tools)
        return ["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "env", f"PATH={path}", shutil.which(shell[0]), *shell[1:],
                SCRIPT, *arguments]

    def run_script(self, *arguments, code=0, home="/nowhere", **options):
        """Runs the script with a $HOME that is not the user's."""
        done = subprocess.run(self.command(*arguments, **options), capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL,
                              env={"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "de_DE.UTF-8"})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def install(self, *arguments, **options):
        return self.run_script("--key", f"{self.key}.pub", "--agent", harness.AGENT, *arguments, **options)

    def hub(self, *arguments, code=0):
        """Runs `sync run` on the hub with the key."""
        config = self.dir / "config.yaml"
        config.write_text(f"hub: {{database_dir: {self.dir}/data, archive_dir: {self.dir}/archive}}\n"
                          f"spokes:\n  - name: box\n    sync_method: agent\n    source: {self.spoke.address}:~/.pi/agent/sessions\n"
                          f"    path: {self.dir}/synced\n    key: {self.key}\n")
        return self.fleet.pi_brain("sync", "run", "-c", config, *arguments, code=code)

    def test_install_twice_and_uninstall(self):
        harness.sessions.make(self.spoke.sessions, 5, seed=1)
        before = self.spoke.files()
        for shell in tiers.sweep("shells", SHELLS, 2):
            with self.subTest(shell=shell):
                said = self.install("--print", "--exit-code", shell=shell, code=3)
                self.assertIn("would put the agent", said)
                self.assertEqual(self.spoke.files(), before)
                said = self.install(shell=shell)
                self.assertIn("authorized_keys: added", said)
                after = self.spoke.files()
                self.assertEqual(set(after) - set(before), {".local/lib/pi-brain/pi-brain-agent"})
                self.assertEqual(after[".local/lib/pi-brain/pi-brain-agent"], harness.AGENT.read_bytes())
                line = after[".ssh/authorized_keys"].removeprefix(before[".ssh/authorized_keys"]).decode()
                self.assertRegex(line, r'^restrict,command="[^\n]*pi-brain-agent[^\n]*" ssh-ed25519 [^\n]+\n$')
                self.assertEqual(self.spoke.authorized.stat().st_mode & 0o7777, 0o640)
                inode = self.spoke.agent.stat().st_ino, self.spoke.authorized.stat().st_ino
                self.assertIn("up to date", self.install("--exit-code", shell=shell))
                self.assertIn("already has the line", self.install("--print", "--exit-code", shell=shell))
                self.assertEqual((self.spoke.agent.stat().st_ino, self.spoke.authorized.stat().st_ino), inode)
                self.hub()
                self.assertIn("would remove", self.run_script("--uninstall", "--print", "--exit-code", shell=shell, code=3))
                self.assertEqual(self.spoke.files(), after)
                self.assertIn("removed", self.run_script("--uninstall", shell=shell))
                self.assertEqual(self.spoke.files(), before)
                self.assertFalse((self.spoke.home / ".local").exists())
                self.assertIn("nothing to remove", self.run_script("--uninstall", "--exit-code", shell=shell))
        # The exit code for other programs tells of a change as much as of one that would be made.
        for options, code in (((), 3), (("--from", "127.0.0.0/8"), 3), ((), 0)):
            self.install("--exit-code", *options, code=code)
        self.run_script("--uninstall", "--exit-code", code=3)
        self.run_script("--uninstall", "--frob", "--exit-code", code=2)
        self.assertEqual(self.spoke.files(), before)

    def test_on_a_terminal(self):
        """Texts are broken between words at its width; a line that can be pasted stays whole; a program gets texts whole."""
        broken = self.dir / "broken"
        broken.write_text("#!/bin/sh\necho 'a loader may say more than fits on a line of such a terminal' >&2\nexit 1\n")
        self.install()
        replace = ["--key", f"{self.key}.pub", "--agent", str(harness.AGENT), "--root=~/other"]
        env = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
        for shell in tiers.sweep("shells", SHELLS, 2):
            for columns, width in ((60, 60), (0, 80), (300, 100)):
                for arguments, code in ((["--key", f"{self.key}.pub", "--agent", broken], 1), ([*replace, "--print"], 0), (["--frob"], 2)):
                    with self.subTest(shell=shell, columns=columns, arguments=arguments):
                        command = self.command(*arguments, shell=shell)
                        plain = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env).stdout
                        seen = on_terminal(columns, command, code, env=env)
                        self.assertEqual(seen.split(), plain.split())
                        whole = [line for line in plain.splitlines() if line.startswith("    ")]
                        texts = [line for line in seen.splitlines() if line not in whole]
                        self.assertEqual(len(seen.splitlines()), len(texts) + len(whole))
                        self.assertTrue(all(len(line) <= width or " " not in line.strip() for line in texts), seen)
                        if columns == 60:
                            self.assertGreater(len(seen.splitlines()), len(plain.splitlines()))
                        if "Why" in seen and columns != 300:
                            self.assertRegex(seen, r"\n  Why: .*\n {7}\S")
        seen = on_terminal(60, self.command("--exit-code", "--frob"), 2, env=env)
        self.assertEqual(len(seen.splitlines()), 1)

    def test_uninstall_over_ssh(self):
        """Runs the guide's command by the person's own login, whose start-up files print text."""
        self.install()
        ssh = self.fleet.home / ".ssh"
        with open(SCRIPT) as script:
            done = subprocess.run(["ssh", "-F", ssh / "config", "-o", f"UserKnownHostsFile={self.fleet.known_hosts}", "-i",
                                   ssh / "id_ed25519", "root@box01", "sh", "-s", "--", "--uninstall"], stdin=script, capture_output=True,
                                  text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.spoke.authorized.read_bytes(), self.spoke.before)
        self.assertFalse((self.spoke.home / ".local").exists())

    def test_options_are_in_the_line(self):
        self.install("--root", "~/odd \"place'", "--from=127.0.0.0/8,::1")
        (line,) = self.spoke.lines()
        self.assertIn('restrict,from="127.0.0.0/8,::1",command="', line)
        (self.spoke.home / "odd \"place'").mkdir()
        (self.spoke.home / "odd \"place'/a.jsonl").write_text("{}\n")
        self.hub()
        self.assertTrue((self.dir / "synced/a.jsonl").exists())
        # An option that is not given again stays.
        self.install("--root", "~/other")
        (line,) = self.spoke.lines()
        self.assertIn('from="127.0.0.0/8,::1"', line)
        self.assertIn("/other", line)
        self.install("--from", "*")
        self.assertIn('from="*"', self.spoke.lines()[0])

    def test_other_lines_stay_byte_for_byte(self):
        other = (b'# a comment with pi-brain-agent in it\r\n\n  \nssh-rsa AAAAB3other caf\xe9 \xff\n'
                 b'from="*.example",command="echo \\"hi\\"" ssh-ed25519 AAAAC3x me@there\t \n')
        blob = self.public.split()[1]
        for before, after in [
            (other, other), (other + b"ssh-rsa AAAAlast without-an-end", other + b"ssh-rsa AAAAlast without-an-end\n"),
            # The same key in two lines that do not lock it down: sshd uses the first.
            (self.public.encode() + other + b'no-pty ssh-ed25519 ' + blob.encode() + b'\n', other), (b"", b"")]:
            self.spoke.authorized.write_bytes(before)
            if before.startswith(b"ssh-ed25519"):
                self.assertIn("--dedicated", self.install(code=1))
                self.assertEqual(self.spoke.authorized.read_bytes(), before)
                # Uninstalling does not remove such a line either.
                self.run_script("--uninstall", "--key", f"{self.key}.pub")
                self.assertEqual(self.spoke.authorized.read_bytes(), before)
            self.install("--dedicated")
            now = self.spoke.authorized.read_bytes()
            ours = [line for line in now.split(b"\n") if blob.encode() in line]
            self.assertEqual(len(ours), 1, now)
            self.assertTrue(ours[0].startswith(b"restrict,command="))
            self.assertEqual(now.replace(ours[0] + b"\n", b""), after)
            self.run_script("--uninstall")
            if after:
                self.assertEqual(self.spoke.authorized.read_bytes(), after)
            else:
                self.assertFalse(self.spoke.authorized.exists())

    def test_options_that_its_owner_added_to_the_line_stay(self):
        self.install("--from", "127.0.0.0/8")
        text = self.spoke.authorized.read_text()
        mine = re.sub(r"(sessions'?)\" ", r'\1 --require-sandbox" ', text.replace("restrict,", 'restrict,expiry-time="20991231",'))
        self.spoke.authorized.write_text(mine)
        self.assertIn("--require-sandbox", self.spoke.lines()[0])
        self.assertIn("has the line", self.install())
        self.assertEqual(self.spoke.authorized.read_text(), mine)
        self.install("--root", "~/other")
        self.assertIn('from="127.0.0.0/8",command="', self.spoke.lines()[0])
        self.assertRegex(self.spoke.lines()[0], r"/other --require-sandbox\" ssh-ed25519 ")

    def test_what_is_left_out(self):
        """Patterns reach the agent as they are, and stay until others come, or none are to be."""
        patterns = ["*.tmp", "a b", "it's $(id)", '"\\\\*"', "[a-c]/**/x", "old/"]
        self.install(*(word for pattern in patterns for word in ("--exclude", pattern)), "--from", "127.0.0.0/8")
        (line,) = self.spoke.lines()
        words = line.partition('command="')[2].partition('"')[0].split()
        given = [urllib.parse.unquote(word.removeprefix("--exclude=").removeprefix("bytes:")) for word in words if "--exclude" in word]
        self.assertEqual(given, patterns)
        self.assertIn("has the line", self.install())
        self.assertIn("has the line", self.install(*(f"--exclude={pattern}" for pattern in patterns)))
        self.assertEqual(self.spoke.lines(), [line])
        # Somebody's own settings stay, and these come in the place of those before.
        self.spoke.authorized.write_text(line.replace('" ssh-', ' --require-sandbox" ssh-') + "\n")
        self.install("--root", "~/other")
        self.assertEqual(self.spoke.lines()[0].count("--exclude="), 6)
        self.assertIn("which was:\n    restrict,", self.install("--root", "~/other", "--exclude", "core"))
        self.assertRegex(self.spoke.lines()[0], r'from="127.0.0.0/8",command="\S+ --root=\S+ --exclude=core --require-sandbox" ssh-')
        self.install("--root", "~/other", "--exclude", "")
        self.assertRegex(self.spoke.lines()[0], r'command="\S+ --root=\S+ --require-sandbox" ssh-')
        before = self.spoke.authorized.read_bytes()
        for pattern, code in (("!x", 1), ("[a", 1), ("a\nb", 2)):
            self.assertIn("--exclude", self.install("--exclude", pattern, code=code))
            self.assertEqual(self.spoke.authorized.read_bytes(), before)

    def test_options_that_let_the_key_do_more_are_removed(self):
        self.install()
        text = self.spoke.authorized.read_text()
        for more in ("port-forwarding", "no-pty,Pty"):
            self.spoke.authorized.write_text(text.replace("restrict,", f"restrict,{more},"))
            self.assertIn("which was:\n    restrict,", self.install())
            self.assertEqual(self.spoke.authorized.read_text(), text)

    def test_a_hub_that_falls_silent(self):
        """The connection stays open, but the hub sends nothing more."""
        for waiting_for in ("keep", "the agent"):
            agent = harness.AGENT.read_bytes()
            hashes = f"--hashes={os.uname().machine}={hashlib.sha256(agent).hexdigest()}"
            process = subprocess.Popen(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "dash", SCRIPT, "--key", self.public,
                                        "--token=T", hashes, "--patience=2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       start_new_session=True)
            self.assertIn(b"need", process.stdout.readline())
            process.stdin.write(b"%d\n" % len(agent) + (agent if waiting_for == "keep" else agent[:1000]))
            process.stdin.flush()
            said = process.stdout.read().decode()
            self.assertIn("T undone" if waiting_for == "keep" else "T", said)
            self.assertEqual(process.wait(), 1)
            self.assertEqual(self.spoke.authorized.read_bytes(), self.spoke.before)
            self.assertFalse(self.spoke.agent.exists())
            self.assertEqual([p.name for p in self.spoke.authorized.parent.iterdir()], ["authorized_keys"])

    def test_a_home_with_quotes_in_its_path(self):
        box = self.fleet.add(place="it's \"odd\" ")
        box.wait()
        first, self.spoke = self.spoke, box
        self.install()
        other = harness.keygen(self.dir / "other")
        self.run_script("--key", f"{other}.pub", "--agent", harness.AGENT)
        self.run_script("--uninstall", "--key", f"{other}.pub")
        self.assertTrue(box.agent.exists())
        self.assertEqual(len(box.lines()), 1)
        box.sessions.mkdir(parents=True)
        self.hub()
        self.run_script("--uninstall")
        self.assertEqual(box.authorized.read_bytes(), box.before)
        self.spoke = first

    def test_ssh_directory_is_a_symlink(self):
        """Its owner wants ~/.ssh elsewhere, so the script follows the link."""
        ssh = self.spoke.authorized.parent
        ssh.rename(self.dir / "ssh elsewhere")
        ssh.symlink_to(self.dir / "ssh elsewhere")
        self.install()
        self.assertEqual(len(self.spoke.lines()), 1)

    def test_a_lock_that_was_left_behind(self):
        lock = self.spoke.authorized.with_name(".pi-brain-lock")
        keys = [harness.keygen(self.dir / f"key{i}") for i in range(8)]
        for _ in range(tiers.rounds(6, 2)):
            lock.symlink_to(f"{os.uname().nodename}:999999")
            runs = [subprocess.Popen(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "dash", SCRIPT, "--key",
                                      f"{key}.pub", "--agent", harness.AGENT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                    for key in keys]
            for process in runs:
                self.assertEqual(process.wait(), 0, process.communicate()[0])
            self.assertEqual(len(self.spoke.lines()), len(keys))
            self.assertEqual([p.name for p in lock.parent.iterdir()], ["authorized_keys"])
            self.run_script("--uninstall")

    def test_an_upgrade_that_was_killed_is_undone(self):
        """The next installation restores the previous agent, since the new one is not proved."""
        self.install()
        self.spoke.agent.rename(self.spoke.agent.with_name(".pi-brain-agent.previous"))
        self.spoke.agent.write_text("#!/bin/false\n")
        broken = self.dir / "broken"
        broken.write_text("#!/bin/false\n")
        self.assertIn("findmnt -T", self.run_script("--key", f"{self.key}.pub", "--agent", broken, code=1))
        self.assertEqual(self.spoke.agent.read_bytes(), harness.AGENT.read_bytes())

    def test_a_machine_without_ssh_directory(self):
        self.spoke.authorized.unlink()
        self.spoke.authorized.parent.rmdir()
        self.assertRegex(self.install(), r"/sessions does not exist yet\b")
        self.assertEqual(self.spoke.authorized.parent.stat().st_mode & 0o7777, 0o700)
        self.assertEqual(self.spoke.authorized.stat().st_mode & 0o7777, 0o600)
        self.spoke.sessions.mkdir(parents=True)
        self.hub()
        self.run_script("--uninstall")
        self.assertFalse(self.spoke.authorized.parent.exists())

    def test_the_next_step_works_when_it_is_pasted(self):
        said = self.install("--root", "~/it's odd")
        self.assertRegex(said, r"/it's odd does not exist yet\b")
        (self.spoke.home / "it's odd").mkdir()
        (self.spoke.home / "it's odd/a.jsonl").write_text("{}\n")
        self.assertNotIn("does not exist", self.install("--root", "~/it's odd"))
        # The hub knows the spoke by its host name, and has the key where the snippet says.
        (self.fleet.home / ".ssh/pi-brain-sync").symlink_to(self.key)
        with open(self.fleet.home / ".ssh/config", "a") as config:
            config.write(f"Host {os.uname().nodename}\n    HostName {self.spoke.address}\n    HostKeyAlias {self.spoke.address}\n")
        snippet, *commands = re.search(r"^(spokes:\n(?: .*\n)+)(?:.*\n)*?(pi-brain .*)\n(pi-brain .*)\n", said, re.M).groups()
        self.fleet.config.parent.mkdir()
        self.fleet.config.write_text(snippet)
        for command in commands:
            self.fleet.pi_brain(*command.split()[1:])
        name = os.uname().nodename.split(".")[0]
        self.assertTrue((self.fleet.home / ".pi-brain/synced" / name / "a.jsonl").exists())

    def test_print_changes_nothing(self):
        """Not even where files are missing or broken."""
        self.spoke.authorized.unlink()
        self.run_script("--uninstall", "--print")
        self.run_script("--uninstall")
        self.assertTrue(self.spoke.authorized.parent.exists())
        self.spoke.authorized.write_text(self.public)
        self.assertIn("--dedicated", self.install("--print", code=1))
        self.spoke.authorized.write_bytes(self.spoke.before)
        self.install()
        self.spoke.agent.chmod(0o644)
        said = self.run_script("--key", self.public, "--agent", self.spoke.agent, "--print")
        self.assertIn("would replace the line", said)

    def test_lines_that_only_look_like_the_agents(self):
        other = f'command="/usr/bin/backup" {self.public.split()[0]} {self.public.split()[1]} will@pi-brain-agent-builder\n'
        self.spoke.authorized.write_text(other)
        self.assertIn("nothing to remove", self.run_script("--uninstall"))
        self.assertIn("--dedicated", self.install(code=1))
        self.assertEqual(self.spoke.authorized.read_text(), other)
        # Options ignore case, and a comment may contain anything.
        self.spoke.authorized.write_text(self.spoke.before.decode())
        self.install("--from", "127.0.0.0/8")
        line = self.spoke.lines()[0]
        same = line.replace("command=", "Command=") + ' "quoted" words command="x'
        self.spoke.authorized.write_text(same + "\n")
        self.install("--root", "~/a\" b")
        self.assertRegex(self.spoke.lines()[0], r'^restrict,from="127.0.0.0/8",command="~/\S*pi-brain-agent --root=bytes:/\S*/a%22%20b" ssh-ed25519 ')
        strict = re.sub(r'" (ssh-ed25519 )', r' --require-sandbox" \1', self.spoke.lines()[0])
        self.spoke.authorized.write_text(strict + "\n")
        self.install("--root", "~/c\" d")
        self.assertRegex(self.spoke.lines()[0], r'/c%22%20d --require-sandbox" ssh-ed25519 ')
        (self.spoke.home / 'c" d').mkdir()
        self.hub()
        self.run_script("--uninstall")
        self.assertFalse(self.spoke.authorized.exists())

    def in_mounts(self, *command):
        return subprocess.run(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", *command], check=True, capture_output=True,
                              text=True).stdout

    def test_a_disk_without_room_for_the_line(self):
        """The disk is full, or has no inodes, or the file cannot be replaced."""
        ssh = self.spoke.authorized.parent
        text = self.spoke.before + b"# " + b"x" * 3000 + b"\n"
        cases = [("size=8k", "df -h"), ("size=4k", "df -h"), ("nr_inodes=2", "df -i"), (None, "cannot be replaced")]
        for options, words in cases:
            with self.subTest(options):
                if options:
                    self.in_mounts("mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "none", ssh)
                    self.in_mounts("sh", "-c", f"cat >{harness.quote(self.spoke.authorized)} <<'END'\n{text.decode()}END")
                else:
                    self.in_mounts("mount", "--bind", self.spoke.authorized, self.spoke.authorized)
                before = self.in_mounts("cat", self.spoke.authorized)
                said = self.install(code=1)
                self.assertIn(words, said)
                self.assertNotIn("parameter", said)
                self.assertEqual(self.in_mounts("ls", "-A", ssh).split(), ["authorized_keys"])
                self.assertEqual(self.in_mounts("cat", self.spoke.authorized), before)
                self.assertFalse((self.spoke.home / ".local").exists())
                self.in_mounts("umount", ssh if options else self.spoke.authorized)

    def test_as_a_user_without_permission(self):
        """The script refuses files of other users and files without permission, and leaves them as they were."""
        self.dir.chmod(0o755)
        root = os.geteuid() == 0
        user = 4242 if root else os.getuid()
        for path in (self.spoke.home, *self.spoke.home.rglob("*")):
            os.chown(path, user, -1)
        ssh, keys = self.spoke.authorized.parent, self.spoke.authorized
        (self.dir / "agent").write_bytes(harness.AGENT.read_bytes())
        other = ["--reuid=4242", "--regid=4242", "--clear-groups"] if root else []
        command = ["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "setpriv", *other, "--inh-caps=-all", "--ambient-caps=-all", "dash", SCRIPT,
                   "--key", self.public, "--agent", self.dir / "agent"]
        def run():
            done = subprocess.run(command, capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL,
                                  env={"PATH": os.environ["PATH"], "HOME": str(self.spoke.home)})
            return done.returncode, done.stdout + done.stderr
        for prepare, restore, words in (
                *([(lambda: os.chown(ssh, 0, 0), lambda: os.chown(ssh, user, user), f"{ssh} belongs to root, not to {user}"),
                   (self.local_of_root, self.local_gone, f"{self.spoke.home}/.local belongs to root, not to {user}")]
                  if root else []),
                (lambda: keys.chmod(0o400), lambda: keys.chmod(0o640), "cannot be read and written"),
                (lambda: keys.chmod(0), lambda: keys.chmod(0o640), "cannot be read and written"),
                *([(lambda: os.chown(keys, 0, 0), lambda: os.chown(keys, user, user), "cannot be read and written")] if root else []),
                (lambda: ssh.chmod(0o500), lambda: ssh.chmod(0o700), "cannot be written to"),
                (lambda: self.spoke.home.chmod(0o555), lambda: self.spoke.home.chmod(0o755), "cannot make the directory")):
            with self.subTest(words):
                prepare()
                code, said = run()
                restore()
                self.assertEqual(code, 1, said)
                self.assertIn(words, said)
                self.assertEqual(self.spoke.files()[".ssh/authorized_keys"], self.spoke.before)
                self.assertFalse((self.spoke.home / ".local").exists())
        code, said = run()
        self.assertEqual(code, 0, said)
        self.assertEqual(len(self.spoke.lines()), 1)

    def local_of_root(self):
        (self.spoke.home / ".local").mkdir()

    def local_gone(self):
        (self.spoke.home / ".local").rmdir()

    def test_a_home_that_is_read_only(self):
        ssh = self.spoke.authorized.parent
        home = self.spoke.home
        for place, prepare in (("authorized_keys", lambda: None), (".ssh", lambda: self.spoke.authorized.unlink()),
                               (".ssh", lambda: ssh.rmdir())):
            with self.subTest(place):
                prepare()
                self.in_mounts("mount", "--bind", home, home)
                self.in_mounts("mount", "-o", "remount,bind,ro", home)
                said = self.install(code=1)
                self.in_mounts("umount", home)
                self.assertIn("its filesystem is read-only", said)
                self.assertIn("findmnt -T ", said)
                self.assertIn(place, said)
                self.assertNotIn("owner and mode", said)
        self.assertEqual(set(self.spoke.files()), {".bashrc"})

    def test_without_proc_and_without_tmp(self):
        """Neither the script nor the agent needs them."""
        self.in_mounts("sh", "-c", "for place in /tmp /var/tmp; do mount -t tmpfs -o ro none $place; done; while umount -l /proc 2>/dev/null; do :; done")
        # Copies, since the project may be beneath one of the directories that are hidden.
        script, agent = shutil.copy(SCRIPT, self.fleet.dir), shutil.copy(harness.AGENT, self.fleet.dir)

        def run(*arguments):
            command = self.command(*arguments)
            command[command.index(SCRIPT)] = script
            done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/nowhere"})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        run("--key", self.public, "--agent", agent)
        self.assertIn('command="~/.local/lib/pi-brain/pi-brain-agent --root=', self.spoke.lines()[0])
        self.spoke.sessions.mkdir(parents=True)
        (self.spoke.sessions / "a.jsonl").write_text("{}\n")
        self.hub()
        self.assertTrue((self.dir / "synced/a.jsonl").exists())
        run("--uninstall")
        self.assertEqual(self.spoke.authorized.read_bytes(), self.spoke.before)

    def test_what_the_hub_sends_is_checked(self):
        """The hub's side of the protocol, with each sh: an agent that arrives damaged is not kept."""
        agent = harness.AGENT.read_bytes()
        hashes = f"--hashes={os.uname().machine}={hashlib.sha256(agent).hexdigest()}"
        damaged = agent[:5000] + bytes([agent[5000] ^ 1]) + agent[5001:]
        for shell in SHELLS:
            for content, then, words in ((damaged, None, "T fail the agent arrived damaged"), (agent, "keep", "T done"),
                                         (agent, "undo", "T undone")):
                with self.subTest(shell=shell, words=words):
                    process = subprocess.Popen(self.command("--key", self.public, "--token=T", hashes, shell=shell), stdin=subprocess.PIPE,
                                               stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], "HOME": "/nowhere"})
                    process.stdin.write(b"%d\n" % len(content) + content)
                    process.stdin.flush()
                    said = ""
                    for line in process.stdout:
                        said += line.decode()
                        if b" installed " in line:
                            process.stdin.write(then.encode() + b"\n")
                            process.stdin.flush()
                    process.stdin.close()
                    process.stdout.close()
                    self.assertEqual(process.wait(), 0 if then == "keep" else 1, said)
                    self.assertIn(words, said)
                    if then == "keep":
                        self.assertEqual(self.spoke.agent.read_bytes(), agent)
                        self.run_script("--uninstall", shell=shell)
                    self.assertFalse((self.spoke.home / ".local").exists())
                    self.assertEqual(self.spoke.authorized.read_bytes(), self.spoke.before)

    def test_another_system(self):
        tools = self.dir / "tools"
        tools.mkdir()
        (tools / "uname").write_text("#!/bin/sh\necho Darwin\n")
        (tools / "uname").chmod(0o755)
        os.environ["PATH"], path = f"{tools}:{os.environ['PATH']}", os.environ["PATH"]
        self.addCleanup(os.environ.update, PATH=path)
        self.assertIn("Darwin", self.install(code=1))
        self.assertFalse((self.spoke.home / ".local").exists())

    def test_what_is_refused_changes_nothing(self):
        authorized = self.spoke.authorized

        def symlink():
            authorized.rename(authorized.with_name("real"))
            authorized.symlink_to("real")

        def back():
            authorized.unlink()
            authorized.with_name("real").rename(authorized)

        def fifo():
            authorized.rename(authorized.with_name("real"))
            os.mkfifo(authorized)

        cases = [
            (symlink, back, "is a symlink"), (fifo, back, "is not a regular file"),
            (lambda: authorized.write_bytes(self.spoke.before + b"\0"), lambda: authorized.write_bytes(self.spoke.before), "NUL"),
            (lambda: authorized.chmod(0o666), lambda: authorized.chmod(0o640), "chmod go-w"),
            (lambda: self.spoke.home.chmod(0o777), lambda: self.spoke.home.chmod(0o755), "chmod go-w"),
        ]
        for prepare, restore, words in cases:
            with self.subTest(words=words):
                prepare()
                before = {path: path.lstat().st_mtime_ns for path in self.spoke.home.rglob("*")}
                self.assertIn(words, self.install(code=1))
                self.assertEqual({path: path.lstat().st_mtime_ns for path in self.spoke.home.rglob("*")}, before)
                restore()
        broken = self.dir / "broken-agent"
        broken.write_bytes(b"#!/bin/false\n")
        self.assertIn("findmnt -T", self.run_script("--key", self.public, "--agent", broken, code=1))
        self.assertIn("private key", self.run_script("--key", self.key, "--agent", harness.AGENT, code=1))
        self.assertIn("neither an OpenSSH public key", self.run_script("--key", "ssh-ed25519 hello", "--agent", harness.AGENT, code=1))
        said = self.run_script("--key", self.key.read_text(), "--agent", harness.AGENT, code=1)
        self.assertIn("private key", said)
        self.assertNotIn("BEGIN", said)
        for patterns in ('1.2.3.4",command="x', "a b", "$(id)"):
            self.assertIn("--from takes", self.run_script("--key", self.public, "--from", patterns, code=2))
        self.assertIn("--key is missing", self.run_script(code=2))
        self.assertIn("unknown argument '--frm'", self.run_script("--key", self.public, "--frm", "x", code=2))
        self.assertEqual(self.spoke.files(), {".bashrc": self.spoke.files()[".bashrc"], ".ssh/authorized_keys": self.spoke.before})
        self.assertFalse((self.spoke.home / ".local").exists())

    def test_a_full_disk(self):
        small = self.spoke.home / ".local"
        small.mkdir()
        subprocess.run(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "mount", "-t", "tmpfs", "-o", "size=1m",
                        "none", small], check=True)
        self.assertIn("df -h", self.install(code=1))
        left = subprocess.run(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "find", small, "-type", "f"],
                              check=True, capture_output=True, text=True).stdout
        self.assertEqual(left, "")
        self.assertEqual(self.spoke.authorized.read_bytes(), self.spoke.before)

    def test_killed_at_any_instant(self):
        """The line never starts an agent that is missing, and the next installation cleans up."""
        for after in tiers.sweep("the script killed after so many ms", range(0, 60, 2), 6):
            process = subprocess.Popen(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "dash", SCRIPT, "--key",
                                        f"{self.key}.pub", "--agent", harness.AGENT], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True)
            try:
                process.wait(after / 1000)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if self.spoke.lines():
                self.assertEqual(self.spoke.agent.read_bytes(), harness.AGENT.read_bytes())
            self.assertTrue(self.spoke.authorized.read_bytes().startswith(self.spoke.before))
            self.install()
            self.assertEqual(sorted(p.name for p in self.spoke.agent.parent.iterdir()), ["pi-brain-agent"])
            self.assertEqual([p.name for p in self.spoke.authorized.parent.iterdir()], ["authorized_keys"])
            self.run_script("--uninstall")

    def test_several_at_once(self):
        keys = [harness.keygen(self.dir / f"key{i}") for i in range(6)]
        runs = [subprocess.Popen(["nsenter", f"--mount=/proc/{self.spoke.sshd.pid}/ns/mnt", "dash", SCRIPT, "--key",
                                  f"{key}.pub", "--agent", harness.AGENT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                for key in keys]
        for process in runs:
            self.assertEqual(process.wait(), 0, process.communicate()[0])
        self.assertEqual(len(self.spoke.lines()), 6)
        self.assertIn("other keys start", self.run_script("--uninstall", "--key", f"{keys[0]}.pub"))
        self.assertEqual(len(self.spoke.lines()), 5)
        self.run_script("--uninstall")
        self.assertEqual(self.spoke.lines(), [])
        self.assertFalse(self.spoke.agent.exists())


if __name__ == "__main__":
    fleet.main()
