"""The agent on its own: help, the authorized_keys line, and what its key cannot do."""
import os
import pathlib
import pty
import subprocess
import unittest

import harness
from harness import AGENT, HubCase


def run(*args, **kwargs):
    return subprocess.run([AGENT, *args], capture_output=True, text=True, timeout=60, **kwargs)


class Agent(HubCase):
    def test_help_on_a_terminal(self):
        master, slave = pty.openpty()
        done = subprocess.run([AGENT], stdin=slave, stdout=slave, stderr=slave, timeout=60)
        os.close(slave)
        text = os.read(master, 65536).decode()
        os.close(master)
        self.assertEqual(done.returncode, 0)
        self.assertIn("usage: pi-brain-agent --root=DIR", text)
        self.assertIn("--authorized-keys-line", text)
        self.assertNotIn("\0", text)

    def test_version_and_usage(self):
        self.assertEqual(run("--version").stdout, "pi-brain-agent 0.1.0\n")
        self.assertIn("usage:", run("--help").stdout)
        for arguments in (["--no-such"], ["stray"], ["--root"]):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--help", done.stderr)

    def test_standard_input_is_not_a_pipe(self):
        for path in ("/dev/null", __file__):
            with open(path) as stdin:
                done = run(f"--root={self.source}", stdin=stdin)
            self.assertEqual(done.returncode, 1)
            self.assertIn("not a pipe", done.stderr)
            self.assertEqual(done.stdout, "")

    def test_authorized_keys_line(self):
        public = pathlib.Path(f"{self.sshd.key}.pub").read_text()
        line = run("--root=/srv/pi sessions", "--authorized-keys-line", f"{self.sshd.key}.pub",
                   "--from=127.0.0.0/8,::1").stdout
        self.assertEqual(line, f'restrict,from="127.0.0.0/8,::1",command="{harness.EMULATED or AGENT} '
                               f'--root=bytes:/srv/pi%20sessions" {public}')
        done = run("--authorized-keys-line", str(self.sshd.key))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("private key", done.stderr)
        done = run("--authorized-keys-line", "/no/such/key.pub")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such/key.pub", done.stderr)

    def test_the_line_works_with_odd_paths(self):
        root = self.dir / "it's a \"root\" & more"
        root.mkdir()
        (root / "a.jsonl").write_text("{}\n")
        self.sshd.authorize_agent(root)
        self.write_config([self.spoke(source=f"spoke:{root}")])
        report = self.sync_one()
        self.assertEqual(report["warnings"], [])
        self.assert_mirrored(source=root)

    def test_sshd_obeys_from(self):
        line = run(f"--root={self.source}", "--authorized-keys-line", f"{self.sshd.key}.pub",
                   "--from=192.0.2.0/24").stdout
        self.sshd.authorized_keys.write_text(line)
        self.assertIn("permission denied", self.sync_one(code=1)["error"])

    def ssh(self, *args):
        return subprocess.run(["ssh", "-F", self.sshd.ssh_config, "-o", "BatchMode=yes", *args],
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)

    def test_the_key_runs_nothing_else(self):
        (self.source / "secret").write_text("x")
        for command in (["spoke", "id"], ["spoke", "cat /etc/passwd"], ["-tt", "spoke"], ["spoke"]):
            done = self.ssh(*command)
            self.assertNotIn(b"uid=", done.stdout + done.stderr)
            self.assertNotIn(b"root:", done.stdout + done.stderr)
        marker = self.dir / "made-by-command"
        self.ssh("spoke", f"touch {marker}")
        self.assertFalse(marker.exists())
        done = self.ssh("-W", f"127.0.0.1:{self.sshd.port}", "spoke")
        self.assertNotIn(b"SSH-2.0", done.stdout)

    def test_an_unrestricted_key_runs_the_agent_on_path(self):
        public = pathlib.Path(f"{self.sshd.key}.pub").read_text()
        self.sshd.authorized_keys.write_text(
            f'environment="PATH={AGENT.parent}:/usr/bin:/bin" {public}')
        (self.source / "a.jsonl").write_text("{}\n")
        self.sync()
        self.assert_mirrored()

    sshd_options = ("PermitUserEnvironment yes",)

    def test_the_original_command_is_ignored(self):
        other = self.dir / "other"
        other.mkdir()
        (other / "other.jsonl").write_text("{}\n")
        (self.source / "a.jsonl").write_text("{}\n")
        self.write_config([self.spoke(source=f"spoke:{other}")])
        self.sync()
        self.assert_mirrored()

    def test_it_ends_with_the_hub(self):
        read, write = os.pipe()
        agent = subprocess.Popen([AGENT, f"--root={self.source}"], stdin=read, stdout=subprocess.PIPE)
        os.close(read)
        self.assertIn(b"pi-brain-agent/1", agent.stdout.read(19))
        os.close(write)
        self.assertEqual(agent.wait(timeout=20), 0)
        agent.stdout.close()

    def test_what_runs_instead_of_it_hears_the_same_each_time(self):
        """A start-up file may run a shell instead, which takes what the hub sends as commands: the clock of one run in 256 has a
        '>', which made a file with an odd name there. Times and random bytes come after the agent's first answer."""
        heard = self.dir / "heard"
        self.sshd.authorize(f"timeout 1 cat >>{heard}; echo >>{heard}.runs")
        for _ in range(3):
            self.sync(code=1)
        runs = len((self.dir / "heard.runs").read_text())
        self.assertGreaterEqual(runs, 3)
        content = heard.read_bytes()
        self.assertGreater(len(content), 100)
        self.assertEqual(content, content[:len(content) // runs] * runs)

    def test_garbage_ends_it(self):
        for garbage in (b"\xff" * 4096, b"GET / HTTP/1.0\r\n\r\n" * 100, b"\0" * 100_000):
            done = subprocess.run([AGENT, f"--root={self.source}"], input=garbage,
                                  capture_output=True, timeout=60)
            self.assertGreaterEqual(done.returncode, 0)  # no signal killed it


if __name__ == "__main__":
    unittest.main(verbosity=2)
