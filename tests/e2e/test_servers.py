"""Hardened SSH servers: which program reaches each, and that a run with `ssh: auto` does."""
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest

import harness
import straced
import mounts
from harness import HubCase


class Served:
    """A server for this user, who has a home of its own there."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.home = self.dir / "home"
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh").chmod(0o700)
        self.authorized = self.home / ".ssh" / "authorized_keys"
        self.port = harness.free_port()
        self.process = None
        self.shell = "/bin/sh"

    def start(self, *command):
        """Starts it in a mount namespace in which /etc/passwd has that home, and a valid shell."""
        name = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        lines = [f"{name}:x:{os.getuid()}:{os.getgid()}::/mnt/home:{self.shell}" if line.startswith(f"{name}:") else line
                 for line in pathlib.Path("/etc/passwd").read_text().splitlines()]
        etc = mounts.etc_with(self.dir / "etc", passwd="\n".join(lines) + "\n")
        # tinyssh refuses a parent directory that others may write to, such as /tmp.
        shell = (f"mount --bind {harness.quote(str(etc))} /etc; mount -t tmpfs -o mode=755 none /mnt; "
                 f"mkdir /mnt/home; mount --bind {harness.quote(str(self.home))} /mnt/home; exec \"$@\"")
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-ec", shell, "sh", *map(str, command)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for(lambda: harness.answers(self.port), what=command[0])

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Servers(HubCase):
    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')

    def runs(self, port, known, key, transport):
        """Checks that a run with `auto` reaches it by this program, and the next one too."""
        self.sshd.configure_client(port=port, known_hosts=known)
        shutil.rmtree(self.mirror, ignore_errors=True)
        shutil.rmtree(self.dir / "data", ignore_errors=True)
        self.write_config([self.spoke(key=str(key))])
        report = self.sync_one()
        self.assertRegex(report["transport"], transport)
        self.assert_mirrored()
        self.assertRegex(self.sync_one()["transport"], transport)

    def test_openssh(self):
        libssh2, by_ssh = "^libssh2 ", "^OpenSSH, .* could not agree"
        for option, transport in (
                (harness.USUAL_KEY_EXCHANGE, libssh2),
                ("Ciphers chacha20-poly1305@openssh.com", "^libssh2 1.1[1-9]|" + by_ssh),
                ("Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com", "^libssh2 1.1[1-9]|" + by_ssh),
                ("Ciphers aes256-ctr", libssh2),
                ("MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com", "^libssh2 1.1[1-9]|" + by_ssh),
                ("MACs umac-128-etm@openssh.com", by_ssh),
                ("KexAlgorithms sntrup761x25519-sha512@openssh.com", by_ssh),
                ("KexAlgorithms diffie-hellman-group16-sha512", libssh2),
                ("KexAlgorithms curve25519-sha256", libssh2),
                ("VersionAddendum " + "authorised use only " * 15, "^OpenSSH, .* greeting .* 255 "),
                (f"Banner {self.banner(53_000)}", "^OpenSSH, .* understand"),
                (f"Banner {self.banner(2_000)}", libssh2)):
            with self.subTest(option[:60]):
                sshd = harness.Sshd(self.dir / f"sshd-{abs(hash(option))}", [option])
                try:
                    sshd.authorize_agent(self.source)
                    self.runs(sshd.port, sshd.known_hosts, sshd.key, transport)
                finally:
                    sshd.stop()

    def banner(self, size):
        path = self.dir / f"banner-{size}"
        path.write_text(("x" * 79 + "\n") * (size // 80))
        return path

    def test_it_is_remembered(self):
        """The second run makes one connection, not two."""
        sshd = harness.Sshd(self.dir / "sshd", ["KexAlgorithms sntrup761x25519-sha512@openssh.com", "LogLevel VERBOSE"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)

        def connections(run):
            before = sshd.log.read_text().count("Connection from")
            run()
            return sshd.log.read_text().count("Connection from") - before

        self.sshd.configure_client(port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key)
        self.assertEqual([connections(self.sync_one) for _ in range(3)], [2, 1, 1])
        # For a week, only the doctor notices a server that was set up again.
        found = json.loads(self.pi_brain("sync", "doctor", "--json").stdout)["spokes"][0]
        self.assertIn("connects with OpenSSH", [check["detail"].split(",")[0] for check in found["checks"] if check["step"] == "ssh"])

    def test_a_new_host_that_has_an_rsa_key_alone(self):
        sshd = harness.Sshd(self.dir / "sshd", host_key_type="rsa")
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)
        known = self.dir / "known_hosts"
        self.sshd.configure_client(port=sshd.port, known_hosts=known, key=sshd.key, extra=["StrictHostKeyChecking accept-new"])
        self.sync_one()
        self.assert_mirrored()
        self.assertIn("ssh-rsa", known.read_text())

    def test_neither_program_can(self):
        sshd = harness.Sshd(self.dir / "sshd", ["Ciphers aes128-cbc"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)
        self.sshd.configure_client(port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key)
        report = self.sync_one(code=1)
        error = report["error"]
        self.assertEqual(report["failure"]["id"], "no-common-algorithm", report["failure"])
        self.assertNotIn("known_hosts", error)

    @staticmethod
    def dropbear(served, *options):
        """Its public host key, and the command that starts it."""
        host_key = served.dir / "host_key"
        subprocess.run(["dropbearkey", "-t", "ed25519", "-f", host_key], check=True, capture_output=True)
        public = next(line for line in subprocess.run(
            ["dropbearkey", "-y", "-f", host_key], capture_output=True, text=True).stdout.splitlines()
            if line.startswith("ssh-"))
        return public, ["dropbear", "-F", "-E", "-p", f"127.0.0.1:{served.port}", "-r", host_key, "-P", served.dir / "pid", *options]

    def test_dropbear(self):
        for options in ((), ("-s",), ("-j", "-k")):
            with self.subTest(options):
                served = Served(self.dir / f"dropbear{len(options)}{''.join(options)}")
                public, command = self.dropbear(served, *options)
                self.reach(served, public, "^libssh2", *command)

    def test_one_that_starts_no_command(self):
        """It has open files for a login, and none for the pipes of a command."""
        served = Served(self.dir / "dropbear")
        public, command = self.dropbear(served)
        key, known = harness.keygen(served.dir / "key"), served.dir / "known_hosts"
        served.authorized.write_text(pathlib.Path(f"{key}.pub").read_text())
        served.authorized.chmod(0o600)
        known.write_text(f"[127.0.0.1]:{served.port} {' '.join(public.split()[:2])}\n")
        served.start("prlimit", "--nofile=10", *command)
        self.addCleanup(served.stop)
        self.sshd.configure_client(port=served.port, known_hosts=known, key=key)
        for fields in ({"ssh": "libssh2"}, {"ssh": "openssh"}, {"sync_method": "rsync"}):
            with self.subTest(fields):
                self.write_config([self.spoke(**fields)])
                report = self.sync_one(code=1)
                self.assertEqual(report["failure"]["id"], "command-refused", report["failure"])
                self.assertEqual([fix["command"] for fix in report["failure"]["fixes"]], ["sudo journalctl -u ssh -n 50"])

    def reach(self, served, public, transport, *command):
        key = harness.keygen(served.dir / "key")
        line = subprocess.run([harness.AGENT, f"--root={self.source}", "--authorized-keys-line", f"{key}.pub"],
                              check=True, capture_output=True, text=True).stdout
        served.authorized.write_text(line)
        served.authorized.chmod(0o600)
        try:
            served.start(*command)
            known = served.dir / "known_hosts"
            known.write_text(f"[127.0.0.1]:{served.port} {' '.join(public.split()[:2])}\n")
            self.runs(served.port, known, key, transport)
        finally:
            served.stop()

    def test_tinyssh(self):
        """It has one cipher, which libssh2 1.10 lacks, and ignores options in authorized_keys: the login's shell must
        start the agent."""
        served = Served(self.dir / "tinyssh")
        keys = served.dir / "keys"
        subprocess.run(["tinysshd-makekey", keys], check=True, capture_output=True)
        public = subprocess.run(["tinysshd-printkey", keys], capture_output=True, text=True).stdout
        key = harness.keygen(served.dir / "key")
        served.authorized.write_text(pathlib.Path(f"{key}.pub").read_text())
        served.authorized.chmod(0o600)
        (served.home / "shell").write_text(f"#!/bin/sh\nexec {harness.AGENT} --root={self.source}\n")
        (served.home / "shell").chmod(0o755)
        served.shell = "/mnt/home/shell"
        listen = ("import socket, subprocess, sys\n"
                  "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                  f"s.bind(('127.0.0.1', {served.port})); s.listen(8)\n"
                  "while True:\n"
                  "    c, _ = s.accept()\n"
                  f"    subprocess.Popen(['tinysshd', {str(keys)!r}], stdin=c, stdout=c)\n"
                  "    c.close()\n")
        try:
            served.start(sys.executable, "-c", listen)
            known = served.dir / "known_hosts"
            host = next(line for line in public.splitlines() if "ssh-ed25519" in line)
            known.write_text(f"[127.0.0.1]:{served.port} {' '.join(host.split()[-2:])}\n")
            self.runs(served.port, known, key, "^libssh2 1.1[1-9]|^OpenSSH, .*libssh2")
        finally:
            served.stop()

    def test_a_second_factor(self):
        sshd = harness.Sshd(self.dir / "sshd", ["Match User *", "PasswordAuthentication yes", "AuthenticationMethods publickey,password"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)
        self.sshd.configure_client(port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key)
        for mode in ("auto", "openssh"):
            self.write_config([self.spoke(ssh=mode)])
            report = self.sync_one(code=1)
            error = report["error"]
            self.assertEqual(report["failure"]["id"], "permission-denied", report["failure"])
            self.assertIn(": password.", error)
            self.assertNotIn("authorized_keys", error)

    def test_two_keys(self):
        """AuthenticationMethods publickey,publickey: the second key is offered when the first is not enough."""
        sshd = harness.Sshd(self.dir / "sshd", ["AuthenticationMethods publickey,publickey"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)
        first = sshd.authorized_keys.read_text()
        second = harness.keygen(self.dir / "second")
        sshd.authorize(f"{harness.AGENT} --root={self.source}", key=second)
        sshd.authorized_keys.write_text(first + sshd.authorized_keys.read_text())
        self.sshd.configure_client(port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key, extra=[f"IdentityFile {second}"])
        for mode in ("auto", "openssh"):
            self.write_config([self.spoke(ssh=mode)])
            self.sync_one()

    def test_an_agent_that_does_not_sign(self):
        self.sshd.authorize_agent(self.source)
        with harness.ssh_agent(self.dir) as agent:
            environment = {**self.environment(), "SSH_AUTH_SOCK": str(agent), "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
            subprocess.run(["ssh-add", "-q", "-c", self.sshd.key], check=True, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
            self.sshd.configure_client(key=f"{self.sshd.key}.pub")
            self.sshd.client_setting(f"IdentityAgent {agent}")
            for mode in ("auto", "openssh"):
                self.write_config([self.spoke(ssh=mode)])
                report = self.sync_one(code=1)
                self.assertEqual(report["failure"]["id"], "key-unusable", report["failure"])
                self.assertRegex(report["error"], "'ssh-add -c'.*ssh-agent")
                self.assertNotIn("authorized_keys", report["error"])

    def use_etc(self, **files):
        mounts.run("mount", "--bind", mounts.etc_with(self.dir / "etc", **files), "/etc")
        self.addCleanup(mounts.run, "umount", "-l", "/etc")

    def test_a_silent_name_server(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.77", 53))
            self.use_etc(resolv_conf="nameserver 127.0.0.77\noptions timeout:20\n")
            self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text().replace("HostName 127.0.0.1", "HostName laptop.example"))
            self.sshd.client_setting("ConnectTimeout 2")
            for mode in ("auto", "openssh"):
                self.write_config([self.spoke(ssh=mode)])
                began = time.monotonic()
                report = self.sync_one(code=1)
                self.assertEqual(report["failure"]["id"], "login-timeout", report["failure"])
                self.assertRegex(report["failure"]["what"], " 2 s .* laptop.example ")
                self.assertEqual(report["failure"]["fixes"][0]["command"], "getent hosts laptop.example")
                self.assertLess(time.monotonic() - began, 8)

    def test_an_address_that_is_dead(self):
        """The first of a host's two addresses does not answer, which costs a moment, not the time limit."""
        self.use_etc(hosts="127.0.0.66 laptop.example\n127.0.0.1 laptop.example\n")
        with socket.socket() as dead, socket.socket() as one, socket.socket() as two:
            # Its queue is full, so it is silent like a machine that is off.
            dead.bind(("127.0.0.66", self.sshd.port))
            dead.listen(0)
            for client in (one, two):
                client.setblocking(False)
                client.connect_ex(dead.getsockname())
            time.sleep(0.2)
            self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text().replace("HostName 127.0.0.1", "HostName laptop.example"))
            self.sshd.client_setting("HostKeyAlias laptop")
            self.sshd.known_hosts.write_text("laptop " + self.sshd.known_hosts.read_text().split(" ", 1)[1])
            self.write_config([self.spoke(ssh="libssh2")])
            for _ in range(2):
                began = time.monotonic()
                self.sync_one()
                self.assertLess(time.monotonic() - began, 3)

    def test_an_ssh_that_is_another_program(self):
        """dropbear's client reads options in another way, so it is asked for its version alone. Without ssh, the ssh
        configuration cannot be read, which may name a proxy, so the hub does not connect around it."""
        programs = self.dir / "bin"
        programs.mkdir()
        shutil.copy(shutil.which("dbclient"), programs / "ssh")
        environment = {**self.environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
        empty = self.dir / "empty"
        empty.mkdir()
        sshd = harness.Sshd(self.dir / "sshd", ["LogLevel VERBOSE"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)
        self.sshd.configure_client("127.0.0.1", port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key, extra=["ProxyCommand exit 3"])
        without = {**environment, "PATH": str(empty)}
        before = sshd.log.read_text().count("Connection from")
        for fields in ({"ssh": "openssh"}, {"ssh": "auto"}, {"ssh": "libssh2"}, {"sync_method": "rsync"}):
            with self.subTest(fields):
                self.write_config([{**self.spoke(**fields), "source": f"127.0.0.1:{self.source}"}])
                self.assertRegex(self.openssh_missing(environment), f"{programs}/ssh .*'ssh -V'.*: Dropbear")
                if "ssh" in fields:
                    self.assertNotIn("Dropbear", self.openssh_missing(without))
        self.assertEqual(sshd.log.read_text().count("Connection from"), before)

    def openssh_missing(self, environment):
        """Checks that a run fails for want of OpenSSH's client, and returns its message."""
        done = self.pi_brain("sync", "run", "--json", env=environment)
        self.assertEqual(done.returncode, 1, done.stdout)
        (spoke,) = json.loads(done.stdout)["spokes"]
        self.assertEqual(spoke["failure"]["id"], "openssh-missing", spoke["failure"])
        self.assertEqual([fix["command"] for fix in spoke["failure"]["fixes"]], ["sudo apt install openssh-client"])
        return spoke["error"]

    def test_ssh_is_asked_for_its_version_once(self):
        """The answer holds for as long as the program is unchanged; a script may stay unchanged but start another program."""
        programs = self.dir / "bin"
        programs.mkdir()
        ssh = programs / "ssh"
        environment = {**self.environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
        self.write_config([self.spoke()])

        def asked():
            trace = self.dir / "trace"
            done = subprocess.run(["strace", "-f", "-qq", "-s", "4096", "-e", "trace=execve", "-o", trace, harness.HUB, "sync", "run", "-c", self.config],
                                  env={**environment, **straced.WITHOUT_LEAKS}, capture_output=True, text=True)
            return re.findall(rf'execve\("{re.escape(str(ssh))}", \["[^"]*", "(-[VG])"', trace.read_text()), done

        def expect(*options):
            options_seen, done = asked()
            self.assertEqual(options_seen, list(options), done.stdout + done.stderr)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        shutil.copy(shutil.which("ssh"), ssh)
        expect("-V", "-G")
        expect("-G")
        expect("-G")
        ssh.unlink()
        shutil.copy(shutil.which("ssh"), ssh)
        expect("-V", "-G")
        expect("-G")
        self.assertEqual(self.pi_brain("sync", "run", env=self.environment()).returncode, 0)  # the system's ssh
        expect("-V", "-G")
        times = ssh.stat()
        shutil.copy(shutil.which("dbclient"), ssh)
        os.utime(ssh, ns=(times.st_atime_ns, times.st_mtime_ns))
        seen, done = asked()
        self.assertEqual((seen, done.returncode), (["-V"], 1))
        self.assertRegex(done.stdout, f"{ssh} .*'ssh -V'.*: Dropbear")
        ssh.unlink()
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} "$@"\n')
        ssh.chmod(0o755)
        expect("-V", "-G")
        expect("-V", "-G")

    def test_no_ssh_and_no_configuration(self):
        """libssh2 connects with ssh's defaults: port 22 and ~/.ssh."""
        if (pathlib.Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".ssh" / "config").exists():
            self.skipTest("this user has an ssh configuration")
        empty = self.dir / "empty"
        empty.mkdir()
        self.write_config([{**self.spoke(), "source": f"127.0.0.7:{self.source}"}])
        config = json.loads(self.config.read_text())
        del config["hub"]["ssh_config"]
        self.config.write_text(json.dumps(config))
        without = {**self.environment(), "PATH": str(empty)}
        mounts.run("mount", "--bind", empty, "/etc/ssh")
        self.addCleanup(mounts.run, "umount", "/etc/ssh")
        self.assertIn("127.0.0.7 port 22", self.pi_brain("sync", "run", env=without).stdout)
        (empty / "ssh_config").write_text("# Host *\n\n")
        self.assertIn("127.0.0.7 port 22", self.pi_brain("sync", "run", env=without).stdout)
        (empty / "ssh_config").write_text("Host *\n  Port 222\n")
        self.openssh_missing(without)

    def test_an_ssh_that_prints_something_first(self):
        """As the loader or a wrapper may: it is still OpenSSH, and is asked for its configuration."""
        proxied = self.dir / "proxied"
        self.sshd.client_setting(f"ProxyCommand touch {proxied}")
        wrapper = '#!/bin/sh\n[ "$1" = -V ] && {{ {}; }}\nexec {} "$@"\n'
        environments = [{**self.environment(), "LD_PRELOAD": "/no/such/library.so"}]
        for i, said in enumerate(("echo hello >&2", "echo hello", "echo OpenSSH is next; echo")):
            programs = self.dir / f"bin{i}"
            programs.mkdir()
            (programs / "ssh").write_text(wrapper.format(said, shutil.which("ssh")))
            (programs / "ssh").chmod(0o755)
            environments.append({**self.environment(), "PATH": f"{programs}:{os.environ['PATH']}"})
        for environment in environments:
            for fields in ({"ssh": "auto"}, {"ssh": "openssh"}, {"ssh": "libssh2"}, {"sync_method": "rsync"}):
                with self.subTest(fields, path=environment["PATH"]):
                    self.write_config([self.spoke(**fields)])
                    self.assertEqual(self.pi_brain("sync", "run", env=environment).returncode, 1)
                    self.assertTrue(proxied.exists())
                    proxied.unlink()

    def test_a_user_whose_shell_runs_nothing(self):
        through = ("import os, socket, sys, threading; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
                   "def up():\n"
                   "    while data := os.read(0, 65536):\n"
                   "        s.sendall(data)\n"
                   "    s.shutdown(1)\n"
                   "threading.Thread(target=up, daemon=True).start()\n"
                   "while data := s.recv(65536):\n"
                   "    os.write(1, data)\n")
        (self.dir / "through.py").write_text(through)
        self.sshd.client_setting(f"ProxyCommand {sys.executable} {self.dir}/through.py %p")
        for mode in ("auto", "openssh"):
            self.write_config([self.spoke(ssh=mode)])
            done = self.pi_brain("sync", "run", env={**self.environment(), "SHELL": "/usr/sbin/nologin"})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    mounts.use_private_mounts()
    unittest.main(verbosity=2)
