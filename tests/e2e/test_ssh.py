"""SSH as people use it: ~/.ssh/config, known_hosts, keys, agents, jumps and proxies.

Each test runs against real sshds. Where OpenSSH's client also decides (whom to trust, with which key
to log in), it gets the same question and must agree.
"""
import json
import os
import pathlib
import pty
import select
import shutil
import socket
import subprocess
import sys
import time
import unittest

import harness
from harness import HubCase


class SshCase(HubCase):
    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')

    def works(self, transport="libssh2", because=""):
        """Checks that the run succeeds by this program, because of this setting or file. Returns the spoke's report."""
        report = self.sync_one()
        self.assertTrue(report["transport"].startswith(transport), report["transport"])
        self.assertIn(because, report["transport"])
        self.assert_mirrored()
        return report

    def fails(self, failure_id, *words):
        report = self.sync_one(code=1)
        message = report["error"]
        self.assertEqual(report["failure"]["id"], failure_id, report["failure"])
        for word in words:
            self.assertIn(word, message)
        self.assertNotIn("\n", message)
        self.assertFalse(self.mirror.exists() and any(self.mirror.rglob("*.jsonl")))
        return message

    def openssh(self, command="true", config=None):
        """Runs the real client with the same files."""
        return subprocess.run(
            ["ssh", "-n", "-T", "-o", "BatchMode=yes", "-F", config or self.sshd.ssh_config, "spoke", command],
            capture_output=True, text=True, errors="replace", env=self.environment(), timeout=60)

    def openssh_trusts(self):
        """Whether the real client accepts the host's key (it may still fail to log in)."""
        return "ost key" not in self.openssh().stderr

    def set_ssh(self, mode):
        self.write_config([self.spoke(ssh=mode)])

    def assert_none_runs(self, command):
        self.assertEqual(subprocess.run(["pgrep", "-fx", command], capture_output=True, text=True).stdout, "")

    def public(self, key):
        return pathlib.Path(f"{key}.pub").read_text()

    def authorize(self, *keys):
        """Lets these keys alone run the agent."""
        for number, key in enumerate(keys):
            before = "" if number == 0 else self.sshd.authorized_keys.read_text()
            self.sshd.authorize(f"{harness.AGENT} --root={self.source}", key=key)
            self.sshd.authorized_keys.write_text(before + self.sshd.authorized_keys.read_text())


class Resolution(SshCase):
    def test_the_guides_section(self):
        """"Configure SSH for Custom Keys", from the rsync guide."""
        self.sshd.configure_client(host="laptop-sync")
        self.write_config([self.spoke(source=f"laptop-sync:{self.source}")])
        self.works()

    def test_the_spokes_own_ssh_config(self):
        theirs = self.dir / "their_config"
        shutil.copy(self.sshd.ssh_config, theirs)
        self.sshd.ssh_config.write_text("Host spoke\n  Port 1\n")
        self.write_config([self.spoke(ssh_config=str(theirs))])
        self.works()

    def test_user_of_the_source(self):
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        self.sshd.client_setting("User no-such-user")
        self.fails("permission-denied", " no-such-user@spoke")
        self.write_config([self.spoke(source=f"{user}@spoke:{self.source}")])
        self.works()

    def test_tokens_and_variables_in_identity_files(self):
        (self.dir / "keys").mkdir()
        for name in ("127.0.0.1", "spoke"):
            for suffix in ("", ".pub"):
                shutil.copy(f"{self.sshd.key}{suffix}", self.dir / "keys" / f"{name}{suffix}")
        for file in (f"{self.dir}/keys/%h", f"{self.dir}/keys/%n", "${KEY_HOME}/keys/%k"):
            with self.subTest(file):
                self.sshd.configure_client(key=file)
                done = self.pi_brain("sync", "run", env={**self.environment(), "KEY_HOME": str(self.dir)})
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        # %C depends on the version of ssh, so ssh is asked.
        digest = next(line.split()[1] for line in subprocess.run(
            ["ssh", "-n", "-G", "-F", self.sshd.ssh_config, "-o", f"ControlPath={self.dir}/%C", "spoke"],
            capture_output=True, text=True).stdout.splitlines() if line.startswith("controlpath"))
        shutil.copy(self.sshd.key, self.dir / "keys" / pathlib.Path(digest).name)
        self.sshd.configure_client(key=f"{self.dir}/keys/%C")
        self.works("OpenSSH", "%C")

    def test_a_spoke_that_moved(self):
        """A run starts to connect to the spoke's last address, which counts only if the spoke is still there."""
        def logins(sshd):
            return sshd.log.read_text().count("Accepted publickey")

        other = harness.Sshd(self.dir / "other")
        self.addCleanup(other.stop)
        other.authorized_keys.write_text(self.sshd.authorized_keys.read_text())
        self.works()
        before = logins(self.sshd)
        self.sshd.configure_client(port=other.port, known_hosts=other.known_hosts)
        self.write("p/b.jsonl", b'{"line":2}\n')
        self.works()
        self.assertEqual((logins(self.sshd), logins(other)), (before, 1))
        # Back again, with nothing at the other address.
        other.stop()
        self.sshd.configure_client()
        self.write("p/c.jsonl", b'{"line":3}\n')
        self.works()
        self.works()
        self.assertEqual(logins(self.sshd), before + 2)

    def test_a_proxy_that_was_added_since(self):
        """No connection to the spoke's last address bypasses it, not even a silent one."""
        sshd = harness.Sshd(self.dir / "verbose", ["LogLevel VERBOSE"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)

        def connections(run):
            before = sshd.log.read_text().count("Connection from")
            run()
            time.sleep(0.3)
            return sshd.log.read_text().count("Connection from") - before

        extra = self.dir / "extra_config"
        for place in (self.sshd.ssh_config, extra):
            with self.subTest(place.name):
                extra.write_text("")
                self.sshd.configure_client(port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key)
                self.sshd.ssh_config.write_text(f"Include {extra}\n" + self.sshd.ssh_config.read_text())
                self.assertEqual([connections(self.works) for _ in range(2)], [1, 1])
                text = place.read_text()
                place.write_text(f"Host spoke\n  ProxyCommand exit 3\n{text}")
                shutil.rmtree(self.mirror)
                self.assertEqual(connections(lambda: self.fails("proxy-failed", "ProxyCommand")), 0)

    def test_a_source_that_has_a_proxy(self):
        """The ssh configuration is unchanged, but the source names another host."""
        sshd = harness.Sshd(self.dir / "verbose", ["LogLevel VERBOSE"])
        self.addCleanup(sshd.stop)
        sshd.authorize_agent(self.source)
        self.sshd.configure_client(port=sshd.port, known_hosts=sshd.known_hosts, key=sshd.key)
        direct = self.sshd.ssh_config.read_text()
        self.sshd.ssh_config.write_text(direct + direct.replace("Host spoke", "Host other\n    ProxyCommand exit 3"))
        self.works()
        before = sshd.log.read_text().count("Connection from")
        self.write_config([{**self.spoke(), "source": f"other:{self.source}"}])
        shutil.rmtree(self.mirror)
        self.fails("proxy-failed", "ProxyCommand")
        time.sleep(0.3)
        self.assertEqual(sshd.log.read_text().count("Connection from"), before)

    def test_address_family(self):
        self.sshd.client_setting("AddressFamily inet6")
        self.fails("name-not-resolved", "127.0.0.1 ", " IPv6 ", "'AddressFamily inet6'")
        self.sshd.configure_client(extra=["AddressFamily inet"])
        self.works()

    def test_bind_address(self):
        self.sshd.client_setting("BindAddress 127.0.0.9")
        self.works()
        self.assertIn("from 127.0.0.9 port", self.sshd.log.read_text())
        shutil.rmtree(self.mirror)
        self.sshd.client_setting("BindAddress 192.0.2.1")
        self.fails("unreachable", "BindAddress", "192.0.2.1")
        self.sshd.client_setting("BindAddress no-such.invalid")
        self.fails("unreachable", "BindAddress", "no-such.invalid")

    def test_a_configuration_that_hangs(self):
        lasting = f"62.{os.getpid()}"
        self.sshd.ssh_config.write_text(f'Match exec "sleep {lasting}"\n' + self.sshd.ssh_config.read_text())
        began = time.monotonic()
        self.fails("ssh-config-invalid", f"'ssh -F {self.sshd.ssh_config} spoke -G' ", " 5 s", "Match exec")
        self.assertLess(time.monotonic() - began, 20)
        self.assert_none_runs(f"sleep {lasting}")

    def test_a_configuration_that_is_slower_than_the_time_limit(self):
        self.sshd.ssh_config.write_text('Match exec "sleep 2"\n' + self.sshd.ssh_config.read_text())
        self.sshd.client_setting("ConnectTimeout 1")
        self.works()

    def test_variables_that_are_missing(self):
        self.sshd.client_setting("UserKnownHostsFile ${NO_SUCH_VARIABLE}/known_hosts")
        self.fails("ssh-config-invalid", "NO_SUCH_VARIABLE")

    def test_settings_of_another_system(self):
        """A configuration shared with a Mac."""
        for mode in ("auto", "openssh"):
            self.set_ssh(mode)
            self.sshd.configure_client(extra=["IgnoreUnknown UseKeychain", "UseKeychain yes"])
            self.works("libssh2" if mode == "auto" else "OpenSSH")

    def test_settings_for_people_at_a_terminal(self):
        for line in ("SessionType none", "StdinNull yes", "ForkAfterAuthentication yes", "RequestTTY force"):
            with self.subTest(line):
                self.sshd.configure_client(extra=[line])
                self.works()

    def test_a_configuration_with_a_mistake(self):
        self.sshd.client_setting("NoSuchSetting yes")
        self.fails("ssh-config-invalid", "nosuchsetting")

    def test_algorithms(self):
        self.sshd.client_setting("Ciphers aes256-ctr")
        self.sshd.client_setting("MACs hmac-sha2-512")
        self.sshd.client_setting("KexAlgorithms ecdh-sha2-nistp384")
        self.works()
        # Algorithms that this libssh2 may lack.
        self.sshd.client_setting("MACs umac-128@openssh.com")
        self.works("OpenSSH", "MACs")
        self.set_ssh("libssh2")
        self.assertIn("MACs", self.sync_one(code=1)["error"])


class Trust(SshCase):
    """Each case is judged by our matcher and by the real client."""

    def setUp(self):
        super().setUp()
        self.host_line = self.sshd.known_hosts.read_text()
        self.kind, self.blob = self.host_line.split()[1:3]
        other = harness.keygen(self.dir / "other_host_key")
        self.other_blob = self.public(other).split()[1]
        ecdsa = harness.keygen(self.dir / "ecdsa_host_key", kind="ecdsa")
        self.ecdsa = " ".join(self.public(ecdsa).split()[:2])
        self.name = f"[127.0.0.1]:{self.sshd.port}"

    def hashed(self, line):
        path = self.dir / "to_hash"
        path.write_text(line)
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
        return path.read_text()

    def cases(self):
        good, other = f"{self.kind} {self.blob}", f"{self.kind} {self.other_blob}"
        port, name = self.sshd.port, self.name
        yield "plain", f"{name} {good}\n", True
        yield "crlf", f"{name} {good}\r\n", True
        yield "no newline at the end", f"{name} {good}", True
        yield "comment after it", f"{name} {good} me@here\n", True
        yield "indented", f"  \t{name} {good}\n", True
        yield "in a list", f"a.example,{name},b.example {good}\n", True
        yield "hashed", self.hashed(f"{name} {good}\n"), True
        yield "hashed, another host", self.hashed(f"[127.0.0.1]:1 {good}\n"), False
        yield "wildcard", f"[127.0.0.*]:{port} {good}\n", True
        yield "wildcard for all", f"* {good}\n", True
        yield "one character", f"[127.0.0.?]:{port} {good}\n", True
        yield "wildcard without the port", f"127.0.0.* {good}\n", True
        yield "negated", f"*,!{name},!127.0.0.1 {good}\n", False
        yield "negated, but not for the standard port", f"*,!{name} {good}\n", True
        yield "negated by a wildcard", f"!127.*,![127.*,* {good}\n", False
        yield "negated in another line", f"*,!{name} {good}\n{name} {good}\n", True
        yield "only a negation", f"!a.example {good}\n", False
        yield "known for the standard port", f"127.0.0.1 {good}\n", True
        yield "another key for the standard port", f"127.0.0.1 {other}\n", False
        yield "the right port's mismatch counts", f"127.0.0.1 {good}\n{name} {other}\n", False
        yield "another port", f"[127.0.0.1]:1 {good}\n", False
        yield "upper case", f"{name.upper()} {good}\n", True
        yield "changed", f"{name} {other}\n", False
        yield "two keys", f"{name} {other}\n{name} {good}\n", True
        yield "another type only", f"{name} {self.ecdsa}\n", False
        yield "another type as well", f"{name} {self.ecdsa}\n{name} {good}\n", True
        yield "revoked", f"@revoked {name} {good}\n", False
        yield "revoked, then plain", f"@revoked {name} {good}\n{name} {good}\n", False
        yield "plain, then revoked", f"{name} {good}\n@revoked * {good}\n", False
        yield "another key revoked", f"@revoked * {other}\n{name} {good}\n", True
        yield "authority, not certified", f"@cert-authority * {other}\n", False
        yield "unknown marker", f"@unknown {name} {good}\n", False
        yield "broken lines before", f"garbage\n{name}\n{name} {self.kind}\n{name} {self.kind} !!!\n" \
                                     f"# {name} {other}\n\n{name} {good}\n", True
        yield "long line before", "x" * 20_000 + f" {good}\n{name} {good}\n", True
        yield "cut key", f"{name} {self.kind} {self.blob[:-8]}\n", False
        yield "type that does not fit the key", f"{name} ssh-rsa {self.blob}\n", False
        yield "empty", "", False

    def test_against_the_real_client(self):
        for name, text, trusted in self.cases():
            with self.subTest(name):
                self.sshd.known_hosts.write_text(text)
                self.assertEqual(self.openssh_trusts(), trusted, "the real client judges otherwise")
                if trusted:
                    self.works()
                else:
                    self.assertRegex(self.sync_one(code=1)["failure"]["id"], "^(host-key-|known-hosts-)")

    def test_address_of_another(self):
        """CheckHostIP: the name's key is right, but the address is known with another key."""
        good, other = f"{self.kind} {self.blob}", f"{self.kind} {self.other_blob}"
        self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text().replace("HostName 127.0.0.1", "HostName localhost"))
        self.sshd.client_setting("AddressFamily inet")
        self.sshd.known_hosts.write_text(f"[localhost]:{self.sshd.port} {good}\n{self.name} {other}\n")
        self.works()
        self.sshd.client_setting("CheckHostIP yes")
        shutil.rmtree(self.mirror)
        refused = "ost key" in self.openssh().stderr
        self.assertIn("CheckHostIP", self.sync_one(code=int(refused))["transport"])

    def test_relative_file_names(self):
        """ssh -G does not distinguish them from one name with a space, so OpenSSH decides."""
        for name, text in (("kh1", ""), ("kh2", f"{self.name} {self.kind} {self.other_blob}\n")):
            (self.dir / name).write_text(text)
        self.sshd.client_setting("UserKnownHostsFile kh1 kh2")
        self.sshd.client_setting("StrictHostKeyChecking accept-new")
        before = sorted(self.dir.iterdir())
        done = self.pi_brain("sync", "run", "--json", cwd=self.dir)
        self.assertEqual(json.loads(done.stdout)["spokes"][0]["failure"]["id"], "host-key-changed", done.stdout)
        self.assertEqual([p for p in sorted(self.dir.iterdir()) if p.name.startswith("kh")],
                         [p for p in before if p.name.startswith("kh")])

    def test_key_types_known_for_the_host(self):
        """A host with two keys must show the known one."""
        ecdsa = harness.keygen(self.dir / "second_host_key", kind="ecdsa")
        sshd = harness.Sshd(self.dir / "two", [f"HostKey {ecdsa}"])
        try:
            sshd.authorize_agent(self.source)
            self.write_config([self.spoke()], ssh_config=str(sshd.ssh_config))
            name, kind, blob = sshd.known_hosts.read_text().split()
            for key in (" ".join(self.public(ecdsa).split()[:2]), f"{kind} {blob}"):
                sshd.known_hosts.write_text(f"{name} {key}\n")
                self.works()
        finally:
            sshd.stop()

    def test_several_files(self):
        first, second = self.dir / "first", self.dir / "second"
        second.write_text(self.host_line)
        self.sshd.configure_client(known_hosts=f"{first} {second}")
        self.works()
        self.sshd.configure_client(known_hosts="none")
        self.sshd.client_setting(f"GlobalKnownHostsFile {second}")
        self.works()

    def test_host_key_alias(self):
        self.sshd.known_hosts.write_text(f"my-laptop {self.kind} {self.blob}\n")
        self.sshd.client_setting("HostKeyAlias my-laptop")
        self.assertTrue(self.openssh_trusts())
        self.works()

    def test_accept_new(self):
        self.sshd.client_setting("StrictHostKeyChecking accept-new")
        for hashed in ("no", "yes"):
            with self.subTest(hashed):
                self.sshd.client_setting(f"HashKnownHosts {hashed}")
                path = self.dir / hashed / "known_hosts"
                self.sshd.client_setting(f"UserKnownHostsFile {path}")
                report = self.works()
                self.assertRegex(" ".join(report["warnings"]), f"SHA256:.* {path}")
                text = path.read_text()
                self.assertEqual(text.startswith("|1|"), hashed == "yes", text)
                self.assertEqual(path.stat().st_mode & 0o777, 0o600)
                # From now on, the key is known, also to the real client, and is not added twice.
                self.sshd.client_setting("StrictHostKeyChecking yes")
                self.assertTrue(self.openssh_trusts())
                self.assertEqual(self.works()["warnings"], [])
                self.assertEqual(path.read_text(), text)
                self.sshd.client_setting("StrictHostKeyChecking accept-new")

    def test_accept_new_keeps_the_file(self):
        self.sshd.client_setting("StrictHostKeyChecking accept-new")
        before = f"a.example {self.kind} {self.other_blob}"  # without a newline
        self.sshd.known_hosts.write_text(before)
        self.works()
        self.assertEqual(self.sshd.known_hosts.read_text(), f"{before}\n{self.name} {self.kind} {self.blob}\n")

    def test_accept_new_does_not_accept_changed(self):
        by_rsync = {"sync_method": "rsync", "source": f"spoke:{self.source}"}
        for strict in ("accept-new", "no"):
            for known in (f"{self.name} {self.kind} {self.other_blob}\n", f"{self.name} {self.ecdsa}\n",
                          f"@revoked * {self.kind} {self.blob}\n"):
                for fields in ({}, {"ssh": "openssh"}, by_rsync):
                    with self.subTest(f"{strict} {known[:30]} {fields}"):
                        self.sshd.client_setting(f"StrictHostKeyChecking {strict}")
                        self.sshd.known_hosts.write_text(known)
                        self.write_config([self.spoke(**fields)])
                        before = self.sshd.log.read_text().count("Accepted publickey")
                        self.sync_one(code=1)
                        self.assertEqual(self.sshd.log.read_text().count("Accepted publickey"), before)
                        self.assertEqual(self.sshd.known_hosts.read_text(), known)

    def test_accept_new_by_many_at_once(self):
        """Twenty spokes behind one new key: one line."""
        self.sshd.client_setting("StrictHostKeyChecking accept-new")
        self.sshd.known_hosts.write_text("")
        self.write_config([self.spoke(f"spoke{i}") for i in range(20)])
        self.sync("--jobs", "20")
        self.assertEqual(self.sshd.known_hosts.read_text(), f"{self.name} {self.kind} {self.blob}\n")

    def test_revoked_host_keys(self):
        revoked = self.dir / "revoked"
        self.sshd.client_setting(f"RevokedHostKeys {revoked}")
        self.fails("revoked-keys-unreadable", str(revoked))
        self.assertFalse(self.openssh_trusts())
        revoked.write_text(f"# mine\n{self.kind} {self.other_blob}\n")
        self.works()
        shutil.rmtree(self.mirror)
        revoked.write_text(f"{self.kind} {self.other_blob}\n{self.kind} {self.blob} laptop\n")
        self.assertFalse(self.openssh_trusts())
        self.fails("host-key-revoked", str(revoked))

    def test_a_key_revocation_list(self):
        """A binary format that only OpenSSH's client reads."""
        revoked = self.dir / "revoked.krl"
        self.sshd.client_setting(f"RevokedHostKeys {revoked}")
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, f"{self.dir / 'other_host_key'}.pub"], check=True)
        self.works("OpenSSH", "RevokedHostKeys")
        shutil.rmtree(self.mirror)
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, f"{self.sshd.host_key}.pub"], check=True)
        self.fails("host-key-revoked")

    def test_nothing_is_sent_to_an_unknown_host(self):
        """No login is tried before the host key is checked."""
        self.sshd.known_hosts.write_text("")
        before = len(self.sshd.log.read_text())
        self.fails("host-key-unknown")

        def closed():
            """sshd's log line about the end of the connection, which may come after the hub ends."""
            return [line for line in self.sshd.log.read_text()[before:].splitlines() if "[preauth]" in line]

        harness.wait_for(closed, what="sshd's word on the end of the connection")
        # It says "... by authenticating user NAME ..." if a login was tried.
        for line in closed():
            self.assertNotIn("user", line)


class CertifiedHost(SshCase):
    """A host that proves itself with a certificate."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = cls.class_dir / "certified"
        cls.authority = harness.keygen(cls.class_dir / "authority")
        # The certificate must exist when sshd starts.
        cls.certified = harness.Sshd(directory)
        cls.certified.stop()
        subprocess.run(["ssh-keygen", "-q", "-s", cls.authority, "-I", "laptop", "-h", "-n", "127.0.0.1",
                        f"{cls.certified.host_key}.pub"], check=True)
        shutil.copy(f"{cls.certified.host_key}-cert.pub", cls.class_dir / "cert.pub")
        host_key = cls.class_dir / "certified_key"
        shutil.copy(cls.certified.host_key, host_key)
        host_key.chmod(0o600)
        shutil.rmtree(directory)
        cls.certified = harness.Sshd(directory, [f"HostKey {host_key}", f"HostCertificate {cls.class_dir}/cert.pub"])

    @classmethod
    def tearDownClass(cls):
        cls.certified.stop()
        super().tearDownClass()

    def test_beside_other_entries(self):
        """A stale or revoked key does not keep OpenSSH from verifying the certificate."""
        self.certified.authorize_agent(self.source)
        authority = " ".join(self.public(self.authority).split()[:2])
        other = " ".join(self.public(harness.keygen(self.dir / "other")).split()[:2])
        port = self.certified.port
        for line in (f"@revoked * {other}", f"[127.0.0.1]:{port} {other}", ""):
            for host in (f"[127.0.0.1]:{port}", "127.0.0.1"):
                for key in ({}, {"key": str(self.certified.key)}):
                    with self.subTest(f"{line[:12]} {host} {key}"):
                        self.write_config([self.spoke(**key)], ssh_config=str(self.certified.ssh_config))
                        self.certified.known_hosts.write_text(f"@cert-authority {host} {authority}\n{line}\n")
                        if self.openssh(config=self.certified.ssh_config).stderr.count("verification failed"):
                            self.sync_one(code=1)
                        else:
                            self.works("OpenSSH", "@cert-authority")

    def test_openssh_verifies_it(self):
        self.certified.authorize_agent(self.source)
        authority = " ".join(self.public(self.authority).split()[:2])
        self.certified.known_hosts.write_text(f"@cert-authority [127.0.0.1]:* {authority}\n")
        self.write_config([self.spoke()], ssh_config=str(self.certified.ssh_config))
        self.works("OpenSSH", "@cert-authority")
        shutil.rmtree(self.mirror)
        self.write_config([self.spoke(ssh="libssh2")], ssh_config=str(self.certified.ssh_config))
        self.fails("ssh-config-unsupported", "@cert-authority", "ssh: openssh")


class Keys(SshCase):
    def test_key_types(self):
        self.libssh2_leaks = True
        for kind, transport in (("ed25519", "libssh2"), ("ecdsa", "libssh2"), ("rsa", "")):
            with self.subTest(kind):
                key = harness.keygen(self.dir / kind, kind=kind)
                self.authorize(key)
                self.sshd.configure_client(key=key)
                self.works(transport)

    def test_an_rsa_key_in_pem(self):
        key = self.dir / "pem"
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", key], check=True)
        self.authorize(key)
        self.sshd.configure_client(key=key)
        pathlib.Path(f"{key}.pub").unlink()
        self.works("")

    def test_the_order_of_openssh(self):
        """Of several accepted keys, the one that the real client uses is used."""
        one, two, three, four = (harness.keygen(self.dir / name) for name in ("one", "two", "three", "four"))
        self.authorize(one, two, three, four)
        for in_agent, only, files in (((), "no", (one, two)), ((two,), "no", (one, two)),
                                      ((three,), "no", (one, two)), ((three, two), "no", (one, two)),
                                      ((three, two, one), "no", (one, two)), ((three,), "yes", (one, two)),
                                      ((three, two), "yes", (one, two)), ((four, three), "no", ())):
            with self.subTest(f"{[k.name for k in in_agent]} {only} {[k.name for k in files]}"), \
                    harness.ssh_agent(self.dir, *in_agent) as agent:
                self.sshd.configure_client(key=files[0] if files else "none")
                if len(files) > 1:
                    text = self.sshd.ssh_config.read_text()
                    self.sshd.ssh_config.write_text(text + f"    IdentityFile {files[1]}\n")
                self.sshd.client_setting(f"IdentityAgent {agent}")
                self.sshd.client_setting(f"IdentitiesOnly {only}")
                self.assertEqual(self.key_used(self.openssh), self.key_used(self.works))

    def key_used(self, connect):
        before = len(self.sshd.log.read_text())
        connect()
        accepted = [line for line in self.sshd.log.read_text()[before:].splitlines() if "Accepted publickey" in line]
        self.assertEqual(len(accepted), 1, accepted)
        return accepted[0].split()[-1]

    def test_an_rsa_key_in_an_agent(self):
        key = harness.keygen(self.dir / "rsa", kind="rsa")
        self.authorize(key)
        with harness.ssh_agent(self.dir, key) as agent:
            self.sshd.configure_client(key="none")
            self.sshd.client_setting("IdentitiesOnly no")
            self.sshd.client_setting(f"IdentityAgent {agent}")
            self.works("")

    def test_a_user_certificate(self):
        authority, key = harness.keygen(self.dir / "ca"), harness.keygen(self.dir / "key")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", user, f"{key}.pub"], check=True)
        self.sshd.authorized_keys.write_text(
            f'cert-authority,restrict,command="{harness.AGENT} --root={self.source}" {self.public(authority)}')
        self.sshd.configure_client(key=key)
        self.works("OpenSSH", f"{key} ")
        done = self.pi_brain("sync", "run", "-v")
        self.assertRegex(done.stdout, f" OpenSSH, .*{key} ")
        shutil.rmtree(self.mirror)
        self.set_ssh("libssh2")
        self.fails("key-unusable", f"{key} ", "ssh: openssh")

    def test_the_next_key_is_for_openssh(self):
        """The first key is refused, and only OpenSSH can use the second, which it tries."""
        stranger, key = harness.keygen(self.dir / "stranger"), harness.keygen(self.dir / "key")
        authority = harness.keygen(self.dir / "ca")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", user, f"{key}.pub"], check=True)
        self.authorize(key)
        self.sshd.configure_client(key=stranger)
        self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text() + f"    IdentityFile {key}\n")
        self.works("OpenSSH", f"{key} ")

    def test_a_key_that_others_can_read(self):
        self.sshd.key.chmod(0o644)
        try:
            self.assertNotEqual(self.openssh().returncode, 0)
            self.fails("key-unusable", f"'chmod 600 {self.sshd.key}'")
        finally:
            self.sshd.key.chmod(0o600)
        self.works()

    def test_accepted_algorithms(self):
        self.sshd.client_setting("PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256")
        self.fails("key-unusable", f"{self.sshd.key} ", " ssh-ed25519", "PubkeyAcceptedAlgorithms")
        self.sshd.client_setting("PubkeyAcceptedAlgorithms ssh-ed25519")
        self.works()


class Passphrase(SshCase):
    def setUp(self):
        super().setUp()
        self.key = harness.keygen(self.dir / "locked", passphrase="secret")
        self.authorize(self.key)
        self.sshd.configure_client(key=self.key)

    def on_terminal(self, *typed, spokes=1, hesitation=0):
        """Runs pi-brain on a terminal of its own, and types a line at each prompt."""
        self.write_config([self.spoke(f"laptop{i or ''}") for i in range(spokes)])
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(harness.HUB, [harness.HUB, "sync", "run", "-c", self.config], {**self.environment(), "TERM": "xterm"})
        shown, typed = b"", list(typed)
        while True:
            try:
                ready, _, _ = select.select([terminal], [], [], 60)
                self.assertTrue(ready, shown)
                piece = os.read(terminal, 4096)
            except OSError:
                break
            shown += piece
            if shown.rstrip().endswith(b"locked:") and typed:
                time.sleep(hesitation)
                os.write(terminal, typed.pop(0).encode() + b"\n")
                shown += b"(typed)"
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_it_is_asked_for_on_a_terminal(self):
        code, shown = self.on_terminal("wrong", "secret")
        self.assertEqual(code, 0, shown)
        self.assertEqual(shown.count(f"{self.key}:"), 2, shown)
        self.assertNotIn("secret", shown)
        self.assert_mirrored()

    def test_a_user_may_take_time(self):
        self.sshd.client_setting("ConnectTimeout 2")
        code, shown = self.on_terminal("secret", hesitation=3)
        self.assertEqual(code, 0, shown)

    def test_once_for_several_spokes(self):
        code, shown = self.on_terminal("secret", spokes=3)
        self.assertEqual(code, 0, shown)
        self.assertEqual(shown.count(f"{self.key}:"), 1, shown)

    def test_a_cipher_that_libssh2_lacks(self):
        key = self.dir / "gcm"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-Z", "aes256-gcm@openssh.com", "-N", "secret",
                        "-f", key], check=True)
        self.sshd.configure_client(key=key)
        code, shown = self.on_terminal()
        self.assertEqual(code, 1)
        self.assertIn(f" ssh-add {key}\r\n", shown)
        self.set_ssh("libssh2")
        self.fails("key-unusable", "aes256-gcm@openssh.com", "ssh: openssh")

    def test_an_interrupt_restores_the_terminal(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve("/bin/sh", ["sh", "-c", f"{harness.HUB} sync run -c {self.config}; stty -a; exit 7"],
                      self.environment())
        shown, interrupted = b"", False
        while True:
            try:
                ready, _, _ = select.select([terminal], [], [], 60)
                self.assertTrue(ready, shown)
                shown += os.read(terminal, 4096)
            except OSError:
                break
            if shown.endswith(b"locked: ") and not interrupted:
                interrupted = True
                shown += b"(interrupt)"
                hub, = (child for child in harness.descendants(pid)
                        if os.readlink(f"/proc/{child}/exe") == str(harness.HUB))
                # A signal between the prompt and read(2) would end neither; a person is not that fast.
                harness.wait_for(lambda: harness.sleeps(hub), what="a hub that reads the passphrase")
                os.kill(hub, 2)
        os.close(terminal)
        os.waitpid(pid, 0)
        self.assertRegex(shown.decode(), r"(?s)interrupt.*[^-]echo ", shown)

    def test_three_times_wrong(self):
        code, shown = self.on_terminal("a", "b", "c")
        self.assertEqual(code, 1)
        self.assertEqual(shown.count(f"{self.key}:"), 3, shown)
        self.assertIn(f" ssh-add {self.key}\r\n", shown)

    def test_not_in_batch_mode(self):
        self.sshd.client_setting("BatchMode yes")
        code, shown = self.on_terminal()
        self.assertEqual(code, 1)
        self.assertNotIn(f"{self.key}:", shown)

    def test_not_without_a_terminal(self):
        self.fails("key-has-passphrase", f"'ssh-add {self.key}'")


class Openssh(SshCase):
    """OpenSSH's client as the transport: the same results and the same messages."""

    def setUp(self):
        super().setUp()
        self.set_ssh("openssh")

    def test_a_server_that_stalls_after_its_greeting(self):
        """ssh's ConnectTimeout does not cover what follows; ours does."""
        with harness.relay(self.sshd, "--fault", "stall", "--after", 700, settings=["ConnectTimeout 2"]):
            began = time.monotonic()
            self.fails("login-timeout", "key exchange ", " 2 s (ConnectTimeout)")
            self.assertLess(time.monotonic() - began, 8)

    def test_banners_are_not_taken_for_messages(self):
        for number, (banner, word) in enumerate((("Idle sessions are timed out", "ping -c"),
                                                 ("Access may be revoked", "known_hosts"),
                                                 ("REMOTE HOST IDENTIFICATION HAS CHANGED! SHA256:AAAA", "ssh-keygen -R"))):
            with self.subTest(banner):
                (self.dir / "banner").write_text(banner + "\n")
                sshd = harness.Sshd(self.dir / f"sshd{number}", [f"Banner {self.dir}/banner"])
                try:
                    self.write_config([self.spoke(ssh="openssh")], ssh_config=str(sshd.ssh_config))
                    self.assertNotIn(word, self.fails("permission-denied", "authorized_keys").replace(banner, ""))
                finally:
                    sshd.stop()

    def test_a_shared_connection(self):
        """A master that a user opened is used, and failures behind it are distinguished."""
        control = self.dir / "control"
        self.sshd.configure_client(extra=[f"ControlPath {control}"])
        self.with_master(control, lambda: self.works("OpenSSH"))
        shutil.rmtree(self.mirror)
        self.sshd.authorize("/no/such/agent")
        self.with_master(control, lambda: self.fails("agent-missing"))

    def with_master(self, control, check):
        logins = self.sshd.log.read_text().count("Accepted publickey")
        master = subprocess.Popen(["ssh", "-F", self.sshd.ssh_config, "-M", "-N", "-n", "spoke"])
        try:
            harness.wait_for(control.exists, what="the master")
            check()
            self.assertEqual(self.sshd.log.read_text().count("Accepted publickey"), logins + 1)
        finally:
            # It sometimes misses a SIGTERM.
            master.kill()
            master.wait()
            control.unlink(missing_ok=True)

    def test_a_spoke_that_forges_a_message(self):
        """Output after the login does not count as ssh's own messages."""
        self.sshd.authorize("echo '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! SHA256:AAAA' >&2; exit 255")
        self.assertNotIn("ssh-keygen -R", self.fails("not-the-agent", " 255."))

    def test_it_works(self):
        self.assertEqual(self.works("OpenSSH")["transport"], "OpenSSH")
        self.write("p/a.jsonl", b'{"line":1}\n{"line":2}\n')
        self.write("q/b.jsonl", os.urandom(3_000_000))
        self.works("OpenSSH")

    def test_as_the_hubs_default(self):
        self.write_config([self.spoke()], ssh="openssh")
        self.works("OpenSSH")
        self.write_config([self.spoke(ssh="auto")], ssh="openssh")
        self.works("libssh2")

    def test_settings_that_would_disturb(self):
        for line in ("RemoteCommand echo no", "RequestTTY force", "LocalForward 1 localhost:1", "ForwardAgent yes",
                     f"ControlMaster auto\n    ControlPath {self.dir}/control\n    ControlPersist 30",
                     "PermitLocalCommand yes\n    LocalCommand echo noise", "LogLevel DEBUG3"):
            with self.subTest(line):
                self.sshd.configure_client(extra=[line])
                self.works("OpenSSH")
                self.assertFalse((self.dir / "control").exists())

    def test_a_rate_limit(self):
        self.write("p/large.jsonl", os.urandom(1_500_000))
        began = time.monotonic()
        self.sync("--bwlimit", "500")
        self.assertGreater(time.monotonic() - began, 2.5)
        self.assert_mirrored()

    def test_messages(self):
        key = self.sshd.key
        stranger = harness.keygen(self.dir / "stranger")
        locked = harness.keygen(self.dir / "locked", passphrase="x")
        other = self.public(harness.keygen(self.dir / "other_host_key")).split()[1]
        name, kind, blob = self.sshd.known_hosts.read_text().split()
        for setting, words in (
                (f"Port {harness.free_port()}", ("connection-refused", "127.0.0.1", "systemctl start ssh")),
                ("HostName no-such.invalid", ("name-not-resolved", "no-such.invalid")),
                (f"IdentityFile {stranger}", ("permission-denied", "authorized_keys")),
                (f"IdentityFile {locked}", ("permission-denied", f"'ssh-add {locked}'")),
                (f"UserKnownHostsFile {self.dir}/none", ("host-key-unknown", "ssh-keyscan"))):
            with self.subTest(setting):
                self.sshd.configure_client(key=setting.split()[1] if "Identity" in setting else key)
                self.sshd.client_setting(setting)
                self.fails(*words)
        self.sshd.configure_client()
        self.sshd.known_hosts.write_text(f"{name} {kind} {other}\n")
        self.assertEqual(self.fails("host-key-changed", "ssh-keygen -R").count("SHA256:") >= 2, True)
        self.sshd.known_hosts.write_text(f"@revoked {name} {kind} {blob}\n")
        self.fails("host-key-revoked")
        self.sshd.trust()
        self.sshd.authorize("/no/such/agent")
        self.fails("agent-missing")

    def test_no_answer(self):
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen(5)
            self.sshd.configure_client(port=mute.getsockname()[1], extra=["ConnectTimeout 1"])
            self.fails("login-timeout", "no SSH greeting", " 1 s (ConnectTimeout)")

    def test_no_client(self):
        env = {**self.environment(), "PATH": "/nowhere"}

        def fails():
            done = self.pi_brain("sync", "run", "--json", env=env)
            self.assertEqual(done.returncode, 1, done.stdout)
            failure = json.loads(done.stdout)["spokes"][0]["failure"]
            self.assertEqual(failure["id"], "openssh-missing", failure)
            self.assertEqual([fix["command"] for fix in failure["fixes"]], ["sudo apt install openssh-client"])
            return failure["what"]
        fails()
        # libssh2 does not connect without the configuration, either.
        self.write_config([self.spoke(source=f"127.0.0.7:{self.source}")])
        self.assertTrue(fails().endswith(" 127.0.0.7"))


class Jumps(SshCase):
    """The spoke is reached through other sshds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hops = [harness.Sshd(cls.class_dir / f"hop{i}") for i in range(2)]
        for hop in cls.hops:
            hop.authorized_keys.write_text(pathlib.Path(f"{hop.key}.pub").read_text())

    @classmethod
    def tearDownClass(cls):
        for hop in cls.hops:
            hop.stop()
        super().tearDownClass()

    def configure(self, *settings, trust=True):
        self.sshd.configure_client(extra=settings)
        blocks = []
        for number, hop in enumerate(self.hops):
            if trust:
                hop.trust()
            else:
                hop.known_hosts.write_text("")
            hop.configure_client(host=f"hop{number}")
            blocks.append(hop.ssh_config.read_text())
        self.sshd.ssh_config.write_text(self.sshd.ssh_config.read_text() + "".join(blocks))

    def passed(self, hop):
        """The number of connections that the hop has forwarded."""
        return hop.log.read_text().count("Accepted publickey")

    def test_one_jump(self):
        for mode in ("auto", "openssh"):
            with self.subTest(mode):
                self.set_ssh(mode)
                self.configure("ProxyJump hop0")
                before = [self.passed(hop) for hop in self.hops]
                self.works("libssh2" if mode == "auto" else "OpenSSH")
                self.assertEqual([self.passed(hop) - b for hop, b in zip(self.hops, before)], [1, 0])

    def test_two_jumps(self):
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        self.configure(f"ProxyJump hop1,ssh://{user}@hop0:{self.hops[0].port}")
        before = [self.passed(hop) for hop in self.hops]
        self.works()
        self.assertEqual([self.passed(hop) - b for hop, b in zip(self.hops, before)], [1, 1])
        self.write("p/large.jsonl", os.urandom(5_000_000))
        self.works()

    def test_messages_of_openssh_behind_a_jump(self):
        self.set_ssh("openssh")
        self.configure("ProxyJump hop0")
        known = self.sshd.known_hosts.read_text()
        self.sshd.known_hosts.write_text("")
        self.fails("host-key-unknown", f" [127.0.0.1]:{self.sshd.port} ")
        self.sshd.known_hosts.write_text(known)
        self.sshd.authorized_keys.write_text("")
        self.fails("permission-denied", "authorized_keys")

    def test_tokens_in_proxy_jump(self):
        for mode in ("auto", "openssh"):
            with self.subTest(mode):
                self.set_ssh(mode)
                self.configure("ProxyJump %r@hop0,hop1")
                self.works("libssh2" if mode == "auto" else "OpenSSH")

    def test_a_path_that_needs_quotes(self):
        """Each hop's command is quoted inside that of the next."""
        odd = self.dir / "o'brien \"x\" 100%"
        odd.mkdir()
        self.configure("ProxyJump hop1,hop0,hop1")
        shutil.copy(self.sshd.ssh_config, odd / "config")
        for mode in ("auto", "openssh"):
            with self.subTest(mode):
                self.write_config([self.spoke(ssh=mode)], ssh_config=str(odd / "config"))
                self.works("libssh2" if mode == "auto" else "OpenSSH")

    def test_an_interrupt_ends_the_proxies(self):
        lasting = f"63.{os.getpid()}"
        self.sshd.configure_client(extra=[f"ProxyCommand sleep {lasting}"])
        run = self.start_run()
        harness.wait_for(lambda: subprocess.run(["pgrep", "-fx", f"sleep {lasting}"], capture_output=True).stdout)
        run.send_signal(2)
        run.communicate()
        self.assertEqual(run.returncode, -2)
        harness.wait_for(lambda: not subprocess.run(["pgrep", "-fx", f"sleep {lasting}"], capture_output=True).stdout)

    def test_jumps_never_ask(self):
        """Even on a terminal, no hop asks whether to trust an unknown host."""
        for mode in ("auto", "openssh"):
            with self.subTest(mode):
                self.set_ssh(mode)
                self.configure("ProxyJump hop1,hop0", trust=False)
                pid, terminal = pty.fork()
                if pid == 0:
                    os.execve(harness.HUB, [harness.HUB, "sync", "run", "-c", self.config], self.environment())
                shown = b""
                while True:
                    try:
                        ready, _, _ = select.select([terminal], [], [], 30)
                        self.assertTrue(ready, shown)
                        shown += os.read(terminal, 4096)
                    except OSError:
                        break
                os.close(terminal)
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1, shown)
                self.assertNotIn(b"continue connecting", shown)
                self.assertEqual([hop.known_hosts.read_text() for hop in self.hops], ["", ""])

    def test_two_jumps_by_openssh(self):
        self.set_ssh("openssh")
        self.configure("ProxyJump hop1,hop0")
        before = [self.passed(hop) for hop in self.hops]
        self.works("OpenSSH")
        self.assertEqual([self.passed(hop) - b for hop, b in zip(self.hops, before)], [1, 1])

    def test_a_jump_that_is_down_by_openssh(self):
        self.set_ssh("openssh")
        self.configure("ProxyJump hop0")
        text = self.sshd.ssh_config.read_text()
        self.sshd.ssh_config.write_text(text.replace(f"Port {self.hops[0].port}", f"Port {harness.free_port()}"))
        self.fails("connection-refused", "ProxyJump hop0: ", " 127.0.0.1 ", "systemctl start ssh", "hop0 -G")

    def test_a_jump_that_is_down(self):
        self.configure("ProxyJump hop0")
        text = self.sshd.ssh_config.read_text()
        self.sshd.ssh_config.write_text(text.replace(f"Port {self.hops[0].port}", f"Port {harness.free_port()}"))
        self.fails("connection-refused", "ProxyJump hop0: ")

    def test_an_unknown_jump(self):
        self.configure("ProxyJump hop0", trust=False)
        self.fails("host-key-unknown", "ProxyJump hop0: ", "ssh-keyscan", str(self.hops[0].port))

    def test_a_jump_that_refuses_the_login(self):
        self.configure("ProxyJump hop0")
        text = self.sshd.ssh_config.read_text()
        stranger = harness.keygen(self.dir / "stranger")
        self.sshd.ssh_config.write_text(text.replace(str(self.hops[0].key), str(stranger)))
        self.fails("permission-denied", "ProxyJump hop0: ")

    def test_a_spoke_that_is_down_behind_a_jump(self):
        self.configure("ProxyJump hop0")
        text = self.sshd.ssh_config.read_text()
        port = harness.free_port()
        self.sshd.ssh_config.write_text(text.replace(f"Port {self.sshd.port}", f"Port {port}"))
        self.fails("proxy-failed", " hop0 ", f" 127.0.0.1 port {port}", "Connection refused")

    def test_a_proxy_command(self):
        script = self.dir / "proxy.py"
        script.write_text(
            "import os, socket, sys, threading\n"
            "there = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
            "print('a proxy that talks', file=sys.stderr)\n"
            "def up():\n"
            "    while data := os.read(0, 65536):\n"
            "        there.sendall(data)\n"
            "    there.shutdown(socket.SHUT_WR)\n"
            "threading.Thread(target=up, daemon=True).start()\n"
            "while data := there.recv(65536):\n"
            "    while data:\n"
            "        data = data[os.write(1, data):]\n")
        for mode in ("auto", "openssh"):
            with self.subTest(mode):
                self.set_ssh(mode)
                self.sshd.configure_client(extra=[f"ProxyCommand {sys.executable} {script} %h %p"])
                self.works("libssh2" if mode == "auto" else "OpenSSH")

    def test_proxy_commands_that_fail(self):
        self.sshd.configure_client(extra=["ProxyCommand echo 'no way through' >&2; exit 3"])
        self.fails("proxy-failed", "ProxyCommand", "no way through")
        self.sshd.configure_client(extra=["ProxyCommand /no/such/program %h"])
        self.fails("proxy-failed", "ProxyCommand", "/no/such/program 127.0.0.1")
        # A number of its own, by which the process is found.
        lasting = f"61.{os.getpid()}"
        self.sshd.configure_client(extra=[f"ProxyCommand sleep {lasting}", "ConnectTimeout 2"])
        began = time.monotonic()
        self.fails("login-timeout", "no SSH greeting", " ProxyCommand ", " 2 s (ConnectTimeout)")
        self.assertLess(time.monotonic() - began, 10)
        self.assert_none_runs(f"sleep {lasting}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
