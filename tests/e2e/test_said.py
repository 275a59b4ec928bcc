"""The message of a failure is the same, whichever program and method met it."""
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading
import time
import unittest

import harness
import test_transports
import tiers
from test_transports import WAYS


AGENT_WAYS = {way: fields for way, fields in WAYS.items() if way != "rsync"}
RSYNC_WAY = {"rsync": WAYS["rsync"]}


class Service:
    """Listens, and calls a function for each connection."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.seen = self.open = self.most = 0
        threading.Thread(target=self.accept, args=(serve,), daemon=True).start()

    def accept(self, serve):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.run, args=(serve, peer), daemon=True).start()

    def run(self, serve, peer):
        with self.lock:
            self.seen += 1
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            serve(peer)
        except OSError:
            pass
        with self.lock:
            self.open -= 1
        peer.close()

    def close(self):
        self.listener.close()


def says(text):
    def serve(peer):
        peer.sendall(text)
        peer.shutdown(socket.SHUT_WR)
        peer.recv(1000)
    return serve


def resets(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Said(test_transports.WaysCase):
    def use_server(self, *options, **more):
        """Replaces the class's server for this test."""
        before = self.sshd
        self.sshd = harness.Sshd(self.dir / f"sshd-{len(list(self.dir.iterdir()))}", options, **more)
        self.addCleanup(self.sshd.stop)
        self.addCleanup(setattr, self, "sshd", before)
        self.person = self.sshd.key
        self.let_in(self.own)
        self.sshd.configure_client(key=self.own)

    def refused(self, failure_id, *words, key=None, no=(), ways=WAYS, same_cause=True):
        """Checks that all ways report this failure, with these variable parts. Only what another program said, in the cause, may differ."""
        told = {}
        for way, fields in tiers.sweep("ways", sorted(ways.items()), 2):  # sorted, so that the share has a way by OpenSSH and another
            with self.subTest(way):
                if key is not None:
                    fields = {**fields, "key": str(key)}
                found, report = self.logins(fields, code=1)
                error, failure = report["error"], report["failure"]
                self.assertEqual(failure["id"], failure_id, failure)
                for word in words:
                    self.assertRegex(error, word)
                for word in no:
                    self.assertNotRegex(error, word)
                self.assertNotIn("..", error.replace("...", ""))
                self.assertNotIn("\\x0d", error)
                cause = re.sub(r";? ?\b(The \w+|ssh|rsync|libssh2) said: .*?\.(?= [A-Z]|$)", "", failure["cause"] or "").rstrip(".")
                told[way] = {**failure, "cause": cause if same_cause else None}
        self.assert_alike(told)
        return told

    def assert_alike(self, told):
        """The failures by each way."""
        for way, failure in told.items():
            first = next(iter(told))
            self.assertEqual(told[first], failure, f"{first} and {way}")

    # Keys.

    def test_more_keys_than_the_server_accepts(self):
        self.use_server("MaxAuthTries 2")
        for number in range(4):
            self.sshd.client_setting(f"IdentityFile {harness.keygen(self.dir / f'k{number}')}")
        self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text().replace(f"IdentityFile {self.own}", "IdentityFile none"))
        self.refused("permission-denied", "Too many authentication failures", "MaxAuthTries", "'key'.*'IdentitiesOnly yes'",
                     no=["authorized_keys", "libssh2"], same_cause=False)
        # The only key was tried.
        stranger = harness.keygen(self.dir / "stranger")
        self.refused("permission-denied", f"{stranger} ", "'pi-brain spoke add laptop ",
                     no=["MaxAuthTries"], ways=AGENT_WAYS, key=stranger)
        self.refused("permission-denied", f"{stranger} ", f"~/.ssh/authorized_keys.*'ssh-copy-id .*-i {stranger}.pub ",
                     no=["MaxAuthTries"], ways=RSYNC_WAY, key=stranger)

    def test_files_that_are_not_keys(self):
        self.sshd.configure_client()
        none = self.dir / "none"
        for ways in (AGENT_WAYS, RSYNC_WAY):
            fix = "'pi-brain spoke add laptop " if ways is AGENT_WAYS else f"'ssh-keygen -t ed25519 -N '' -f {none}'"
            self.refused("key-missing", f"{none}, .*'key'", fix, no=["authorized_keys", "~/.ssh/config"], key=none, ways=ways)
        (self.dir / "garbage").write_text("hello\n")
        (self.dir / "empty").write_text("")
        for name in ("garbage", "empty", "own_key.pub"):
            (self.dir / name).chmod(0o600)
            for ways in (AGENT_WAYS, RSYNC_WAY):
                self.refused("key-unusable", f"{self.dir / name}, .*'key'", "'ssh-keygen'.* .pub\\b",
                             no=["authorized_keys", "IdentityFile"], key=self.dir / name, ways=ways)

    def test_a_type_that_this_machine_does_not_use(self):
        self.sshd.client_setting("PubkeyAcceptedAlgorithms rsa-sha2-512")
        self.refused("key-unusable", f"{self.own} .*\\bssh-ed25519\\b", "PubkeyAcceptedAlgorithms",
                     no=["ssh-add -l", "authorized_keys", "'key'"], key=self.own)

    def test_a_server_that_accepts_no_keys(self):
        for options in (("PubkeyAuthentication no",), ("AuthenticationMethods password",), ("AuthenticationMethods password,publickey",)):
            with self.subTest(options):
                self.use_server("Match User *", "PasswordAuthentication yes", *options)
                self.refused("permission-denied", ": password\\. ",
                             "'PubkeyAuthentication yes'.*'AuthenticationMethods publickey'.*'sudo sshd -T -C user=",
                             no=["authorized_keys", str(self.own), "--batch"], key=self.own)

    # Steps.

    def test_each_step_has_a_time_limit(self):
        silent = {"rsync_options": {"timeout_seconds": 30}}
        for said, words in ((b"", "no SSH greeting .* 1 s "), (b"SSH-2.", "no SSH greeting .* 1 s "),
                            (b"SSH-2.0-OpenSSH_9.9\r\n", "key exchange .* 1 s ")):
            with self.subTest(said):
                service = Service(lambda peer: (peer.sendall(said), time.sleep(8)))
                self.addCleanup(service.close)
                self.sshd.configure_client(port=service.port, key=self.own, extra=["ConnectTimeout 1"])
                told = {}
                for way, fields in WAYS.items():
                    began = time.monotonic()
                    told |= self.refused("login-timeout", words, ways={way: {**fields, **silent}}, key=self.own)
                    self.assertLess(time.monotonic() - began, 6, way)
                self.assert_alike(told)

    def test_a_slow_login(self):
        self.use_server("AuthorizedKeysCommand /usr/bin/sleep 8", "AuthorizedKeysCommandUser root")
        self.sshd.client_setting("ConnectTimeout 1")
        stranger, told = harness.keygen(self.dir / "stranger"), {}
        for way, fields in WAYS.items():
            began = time.monotonic()
            told |= self.refused("login-timeout", " 1 s .*'UseDNS no'", ways={way: fields}, key=stranger)
            self.assertLess(time.monotonic() - began, 6, way)
        self.assert_alike(told)

    def test_a_limit_of_logins(self):
        """At most four at a time to one server, each tried three times."""
        for way in ("auto", "openssh", "rsync"):
            with self.subTest(way):
                service = Service(lambda peer: time.sleep(0.5))
                self.addCleanup(service.close)
                self.sshd.configure_client(port=service.port, key=self.own)
                self.write_config([self.spoke(f"spoke{i}", **WAYS[way]) for i in range(8)])
                for spoke in self.sync("--jobs", "8", code=1)["spokes"]:
                    self.assertEqual(spoke["failure"]["id"], "server-busy", spoke["failure"])
                    self.assertRegex(spoke["error"], "MaxStartups.*'pi-brain sync run --jobs 1")
                self.assertEqual((service.most, service.seen), (4, 24))

    def test_a_crowd(self):
        """More spokes than the server lets log in at a time; all succeed."""
        self.use_server("MaxStartups 4:100:4")
        self.sshd.configure_client()
        self.sshd.authorized_keys.write_text(f'command="{self.either}" ' + pathlib.Path(f"{self.person}.pub").read_text())
        for way in ("auto", "openssh", "rsync"):
            self.write_config([self.spoke(f"{way}{i}", **WAYS[way]) for i in range(8)])
            self.assertEqual([spoke["outcome"] for spoke in self.sync("--jobs", "8")["spokes"]], ["ok"] * 8)

    def test_a_server_that_is_full_for_a_moment(self):
        self.use_server("MaxStartups 1:100:1")
        for way, fields in WAYS.items():
            with self.subTest(way):
                other = harness.wait_for(self.greeted, what="a place")
                began = time.monotonic()
                timer = threading.Timer(1, other.close)
                timer.start()
                found, report = self.logins({**fields, "key": str(self.own)}, code=0)
                self.assertEqual(found, {test_transports.fingerprint(self.own)}, report["error"])
                self.assertGreater(time.monotonic() - began, 1)
                timer.join()

    def greeted(self):
        """Occupies the server's only connection, once it is free."""
        other = socket.create_connection(("127.0.0.1", self.sshd.port))
        if other.recv(4) == b"SSH-":
            return other
        other.close()
        return None

    # After a successful login.

    def test_a_command_that_fails_as_ssh_does(self):
        for command in ("exit 255", "kill -9 $$", "echo Host key verification failed. >&2; exit 255",
                        "echo \"ssh: Could not resolve hostname x: Name or service not known\" >&2; exit 255"):
            with self.subTest(command):
                self.sshd.configure_client(key=self.own)
                self.sshd.authorize(command, key=self.own)
                no = ["known_hosts", "ssh-keyscan", "ssh-keygen", "getent hosts", " -v true"]
                self.refused("not-the-agent", "command=\"…\"", "ForceCommand", no=no, ways=AGENT_WAYS, key=self.own,
                             same_cause="kill" not in command)
                self.refused("not-rsync", "command=\"…\"", "ForceCommand", no=no, ways=RSYNC_WAY, key=self.own)

    def test_no_session(self):
        self.use_server("MaxSessions 0")
        self.refused("session-refused", " said: .*open", "'sudo sshd -T \\| grep -i maxsessions'", no=["Transferred", " -v true"], key=self.own)

    def test_a_root_that_sshd_refuses(self):
        self.use_server("ChrootDirectory /tmp")
        # Since OpenSSH 9.8, the process that refuses is the one that has the connection. What ssh says of its end is in the message.
        cut = harness.openssh_version() >= (9, 8)
        for failure_id, ways in (("not-the-agent", AGENT_WAYS), ("not-rsync", RSYNC_WAY)):
            for some in ([{way: fields} for way, fields in ways.items()] if cut else [ways]):
                self.refused("connection-lost" if cut else failure_id, "ChrootDirectory", "'sudo journalctl -u ssh'", ways=some, key=self.own)

    def test_a_command_of_the_server(self):
        self.use_server("ForceCommand internal-sftp")
        self.refused("not-the-agent", "said: This service allows sftp connections only\\. [A-Z]", "ForceCommand", ways=AGENT_WAYS, key=self.own)

    # Proxies and jumps.

    def test_a_proxy_that_ends(self):
        self.sshd.client_setting("ProxyCommand sh -c 'echo no way >&2'")
        self.refused("proxy-failed", "ProxyCommand of spoke .* said: no way\\. .*: 'sh -c 'echo no way >&2''",
                     no=["UNKNOWN", "kex_exchange"], key=self.own)

    def test_an_unknown_hop(self):
        config = self.sshd.ssh_config
        config.write_text(config.read_text() + f"Host hop\n    HostName 127.0.0.1\n    Port {self.sshd.port}\n    IdentityFile {self.person}\n"
                          f"    UserKnownHostsFile {self.dir}/none\n")
        self.sshd.client_setting("ProxyJump hop")
        self.refused("host-key-unknown", "^ProxyJump hop: .*\\[127.0.0.1\\]:[0-9]+ ",
                     "\\bhop, .*'cat /etc/ssh/ssh_host_\\*_key.pub \\| ssh-keygen -lf -'", f">> {self.dir}/none'",
                     no=["UNKNOWN", "kex_exchange"], key=self.own)

    def test_a_hop_that_lets_nobody_in(self):
        config = self.sshd.ssh_config
        config.write_text(config.read_text() + f"Host hop\n    HostName 127.0.0.1\n    Port {self.sshd.port}\n"
                          f"    IdentityFile {harness.keygen(self.dir / 'stranger')}\n    UserKnownHostsFile {self.sshd.known_hosts}\n")
        self.sshd.client_setting("ProxyJump hop")
        self.refused("permission-denied", "^ProxyJump hop: ", "authorized_keys.*\\bhop\\b.*'ssh-copy-id .*-i KEY.pub .*hop'",
                     no=["UNKNOWN", "--authorized-keys-line"], key=self.own)

    # Other services instead of a server.

    def test_other_services(self):
        for serve, failure_id, words, tries in (
                (says(b"\x15\x03\x01\x00\x02\x02\x0a"), "not-an-ssh-server", " port [0-9]+ ", 1),
                (says(b"\r\n\r\n\r\n"), "not-an-ssh-server", "empty line", 1),
                (says(b"220 mail ESMTP\r\n"), "not-an-ssh-server", "'220 mail ESMTP'\\. ", 1),
                (says(b"You are not welcome to use sshd from 127.0.0.1.\r\n"), "address-not-allowed", "127.0.0.1\\).*hosts.allow", 1),
                (says(b"Exceeded MaxStartups\r\n"), "server-busy", "said: Exceeded MaxStartups\\)", 3),
                (says(b""), "server-busy", "port [0-9]+ .*'pi-brain sync run --jobs 1", 3),
                (resets, "server-busy", "port [0-9]+ .*'pi-brain sync run --jobs 1", 3),
                (says(b"SSH-1.5-OpenSSH_1.2\r\n"), "no-common-algorithm", "\\(SSH-1.5\\)", 1)):
            service, told = Service(serve), {}
            self.addCleanup(service.close)
            self.sshd.configure_client(port=service.port, key=self.own)
            for way, fields in tiers.sweep("ways", sorted(WAYS.items()), 2):
                with self.subTest(words):
                    before = service.seen
                    # ssh has its own way to show bytes that are not text.
                    told |= self.refused(failure_id, words, ways={way: fields}, key=self.own, same_cause=words != " port [0-9]+ ")
                    self.assertEqual(service.seen - before, tries, way)
            with self.subTest(words):
                self.assert_alike(told)

    def test_words_of_ssh_that_are_not_known(self):
        """A server that greets, and then sends something that is not a packet: ssh's message is not one of the known ones."""
        service = Service(says(b"SSH-2.0-OpenSSH_9.9\r\n" + b"\xff" * 1000))
        self.addCleanup(service.close)
        self.sshd.configure_client(port=service.port, key=self.own)
        self.refused("ssh-client-failed", "127.0.0.1 port [0-9]+\\. ssh said: .*Bad packet length", " -v true'",
                     ways={"openssh": WAYS["openssh"]}, key=self.own)

    # Host keys.

    def test_certificates_that_are_not_valid(self):
        authority = harness.keygen(self.dir / "authority")
        for principal, more, words in (("127.0.0.1", ["-V", "20200101:20210101"], ": expired\\. "),
                                       ("other.example", [], ": name is not a listed principal\\. ")):
            host = harness.keygen(self.dir / principal)
            subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "h", "-h", "-n", principal, *more, f"{host}.pub"], check=True)
            self.use_server(f"HostKey {host}", f"HostCertificate {host}-cert.pub")
            self.sshd.known_hosts.write_text("@cert-authority * " + pathlib.Path(f"{authority}.pub").read_text())
            ways = {way: WAYS[way] for way in ("openssh", "auto", "rsync")}
            self.refused("host-certificate-invalid", words, no=["ssh: openssh", "ssh-keyscan"], ways=ways, key=self.own)

    def test_the_file_of_its_type(self):
        self.use_server(host_key_type="ecdsa")
        self.sshd.known_hosts.write_text("")
        self.refused("host-key-unknown", "SHA256:\\S+ \\(ecdsa-sha2-nistp256\\)\\. ",
                     "\\bspoke, .*'ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub'", key=self.own)

    def test_settings_of_this_machine(self):
        self.sshd.client_setting("AddressFamily inet6")
        self.refused("name-not-resolved", "^127.0.0.1 .*IPv6.*'AddressFamily inet6'", no=["getent hosts"], key=self.own)
        self.sshd.configure_client(key=self.own)
        self.sshd.client_setting("BindAddress 192.0.2.1")
        self.refused("unreachable", "BindAddress 192.0.2.1 ", "'ip -br address'", key=self.own)

    def test_a_limit_of_file_sizes(self):
        """The output of `ssh -G` is not trusted if part of it may be missing: a revoked key, for example."""
        self.write_config([self.spoke()])
        for blocks in ("1", "3", "4"):
            done = subprocess.run(["bash", "-c", f"ulimit -f {blocks}; exec {harness.HUB} sync run --json -c {self.config}"], text=True,
                                  capture_output=True, env=self.environment())
            self.assertEqual(done.returncode, 1)
            failure = json.loads(done.stdout)["spokes"][0]["failure"]
            self.assertEqual(failure["id"], "ssh-config-invalid", failure)
            self.assertRegex(failure["what"], "spoke -G'.*'ulimit -f'")

    # A user's own login.

    def adds(self, failure_id, *words, no=()):
        self.config.write_text(f"hub:\n  ssh_config: {self.sshd.ssh_config}\n  database_dir: {self.dir}/data\n")
        agents = self.dir / "agents"
        agents.mkdir(exist_ok=True)
        if not any(agents.iterdir()):
            os.symlink(harness.AGENT, agents / f"pi-brain-agent-{os.uname().machine}")
        self.sshd.authorized_keys.write_text(pathlib.Path(f"{self.person}.pub").read_text())
        self.sshd.configure_client()
        done = subprocess.run([harness.HUB, "spoke", "add", "new", "spoke", "--dry-run", "--json", "--agents", agents, "-c", self.config], text=True,
                              capture_output=True, env=self.environment(), stdin=subprocess.DEVNULL, start_new_session=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        change = json.loads(done.stdout)["spokes"][0]
        self.assertEqual(change["failure"]["id"], failure_id, change["failure"])
        for word in words:
            self.assertRegex(change["error"], word)
        for word in no:
            self.assertNotRegex(done.stdout + done.stderr, word)

    def test_a_user_is_asked_for_more(self):
        self.use_server("Match User *", "PasswordAuthentication yes", "AuthenticationMethods publickey,password")
        self.adds("permission-denied", ": password\\. ", "--batch", no=["Match User", "getent passwd"])

    def test_a_user_and_a_server_without_sessions(self):
        self.use_server("MaxSessions 0")
        self.adds("session-refused", "'sudo sshd -T \\| grep -i maxsessions'", no=["Transferred", " -v true"])

    def test_a_user_and_a_command_of_the_servers(self):
        self.use_server("ForceCommand internal-sftp")
        self.adds("shell-unusable", "said: This service allows sftp connections only\\.", "ForceCommand")


if __name__ == "__main__":
    unittest.main(verbosity=2)
