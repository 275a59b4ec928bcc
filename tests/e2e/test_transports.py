"""Which host to trust and which key to offer, for all three that connect: libssh2, OpenSSH's client, and the ssh that
rsync starts. sshd's log of each must be the same."""
import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import harness
import tiers
from harness import HubCase

WAYS = {"libssh2": {"ssh": "libssh2"}, "openssh": {"ssh": "openssh"}, "auto": {"ssh": "auto"},
        "rsync": {"sync_method": "rsync"}}


def fingerprint(key):
    return subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True).stdout.split()[1]


class WaysCase(HubCase):
    """A spoke with a key that all ways can log in with."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hardened = cls.harden(cls.class_dir / "hardened", cls.sshd)

    @classmethod
    def tearDownClass(cls):
        cls.hardened.stop()
        super().tearDownClass()

    @staticmethod
    def harden(directory, sshd, *options):
        """The same host at another port, without a cipher for libssh2, so that `auto` continues with ssh."""
        hardened = harness.Sshd(directory, ["Ciphers aes256-gcm@openssh.com", *options],
                                host_key=sshd.host_key)
        hardened.authorized_keys.unlink()
        hardened.authorized_keys.symlink_to(sshd.authorized_keys)
        return hardened

    @contextlib.contextmanager
    def at(self, sshd):
        before, self.sshd = self.sshd, sshd
        try:
            yield
        finally:
            self.sshd = before

    def setUp(self):
        super().setUp()
        self.hardened.trust()
        self.hardened.configure_client()
        self.write("p/a.jsonl", b'{"line":1}\n')
        # A key may start the agent, or rsync for this directory.
        self.either = self.dir / "either"
        self.either.write_text('#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n  rsync*) exec $SSH_ORIGINAL_COMMAND;;\n'
                               f'  *) exec {harness.AGENT} --root={self.source};;\nesac\n')
        self.either.chmod(0o755)
        # The user's own key may do anything.
        self.person = self.sshd.key
        self.own = harness.keygen(self.dir / "own_key")
        self.let_in(self.own)
        kind, self.blob = self.sshd.known_hosts.read_text().split()[1:3]
        self.kind = kind
        self.other = " ".join(pathlib.Path(f"{harness.keygen(self.dir / 'other')}.pub").read_text().split()[:2])
        self.name = f"[127.0.0.1]:{self.sshd.port}"

    def let_in(self, *keys):
        lines = [pathlib.Path(f"{self.person}.pub").read_text()]
        lines += [f'restrict,command="{self.either}" ' + pathlib.Path(f"{key}.pub").read_text() for key in keys]
        self.sshd.authorized_keys.write_text("".join(lines))

    def logins(self, fields, code):
        """The fingerprints of the keys that a run logged in with, and its report."""
        shutil.rmtree(self.mirror, ignore_errors=True)
        shutil.rmtree(self.dir / "data", ignore_errors=True)
        before = len(self.sshd.log.read_text())
        self.write_config([self.spoke(**fields)])
        report = self.sync_one(code=code)
        log = self.sshd.log.read_text()[before:]
        return set(re.findall(r"Accepted publickey .* (SHA256:\S+)", log)), report

    def agree(self, expected, key=None, words="^", ways=WAYS, warnings="^$", fails=None):
        """Checks that all ways log in with this key, or fail with this id (or one of these), and give the same warnings."""
        self.assertNotEqual(expected is None, fails is None)
        for way, fields in ways.items():
            with self.subTest(way):
                if key is not None:
                    fields = {**fields, "key": str(key)}
                found, report = self.logins(fields, code=1 if expected is None else 0)
                error = report["error"]
                if fails is not None:
                    self.assertIn(report["failure"]["id"], fails.split("|"), report["failure"])
                self.assertEqual(found, set() if expected is None else {fingerprint(expected)}, error)
                self.assertRegex(error or "", words)
                self.assertRegex("\n".join(report["warnings"]), warnings)


class Transports(WaysCase):
    # Identity.

    def test_the_spokes_own_key(self):
        self.agree(self.own, key=self.own)

    def test_without_one_the_users_key(self):
        self.sshd.authorized_keys.write_text(
            f'command="{self.either}" ' + pathlib.Path(f"{self.person}.pub").read_text())
        self.agree(self.person)

    def test_after_a_refused_key_no_other_is_tried(self):
        stranger = harness.keygen(self.dir / "stranger")
        for setting in (f"IdentityFile {self.person}", "IdentitiesOnly no", "PreferredAuthentications publickey,password"):
            self.sshd.client_setting(setting)
        with harness.ssh_agent(self.dir, self.person) as socket:
            self.sshd.client_setting(f"IdentityAgent {socket}")
            self.agree(None, key=stranger, fails="permission-denied")

    def test_a_certificate_of_the_user(self):
        """The certificate is beside the user's key, and does not let in a key that is refused."""
        authority = harness.keygen(self.dir / "authority")
        mine = harness.keygen(self.dir / "mine")
        subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "root", f"{mine}.pub"], check=True)
        self.sshd.client_setting(f"CertificateFile {mine}-cert.pub")
        self.sshd.client_setting(f"IdentityFile {mine}")
        with open(self.sshd.authorized_keys, "a") as out:
            out.write("cert-authority " + pathlib.Path(f"{authority}.pub").read_text())
        stranger = harness.keygen(self.dir / "stranger")
        self.agree(None, key=stranger, fails="permission-denied")
        self.agree(self.own, key=self.own)

    def test_a_connection_that_the_user_has_open(self):
        """It is the user's login, so the user's key counts there."""
        master = self.dir / "master"
        self.sshd.client_setting(f"ControlPath {master}")
        subprocess.run(["ssh", "-F", self.sshd.ssh_config, "-M", "-N", "-f", "-o", "BatchMode=yes", "spoke"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.agree(None, key=harness.keygen(self.dir / "stranger"), fails="permission-denied")
            self.agree(self.own, key=self.own)
        finally:
            subprocess.run(["ssh", "-F", self.sshd.ssh_config, "-O", "exit", "spoke"], capture_output=True)

    def test_settings_that_do_not_select_a_login(self):
        self.sshd.client_setting("PubkeyAuthentication no")
        self.sshd.client_setting("PreferredAuthentications password")
        self.agree(self.own, key=self.own)

    def test_a_key_with_windows_line_ends(self):
        self.own.write_bytes(self.own.read_bytes().replace(b"\n", b"\r\n"))
        self.agree(None, key=self.own, fails="key-unusable", words="Windows line ends")

    def test_names_of_keys(self):
        """A name is literal, whatever ssh would expand in it."""
        for name in tiers.sweep("names", ("own%key", "own%d", "own%%", "own key", 'own"\\key', "~own"), 3):
            key = self.dir / name
            shutil.copy(self.own, key)
            shutil.copy(f"{self.own}.pub", f"{key}.pub")
            with self.subTest(name):
                self.agree(self.own, key=key)
                with self.at(self.hardened):
                    self.agree(self.own, key=key, ways={"auto": WAYS["auto"]})
        variable = self.dir / "own${HOME}"
        shutil.copy(self.own, variable)
        self.agree(None, key=variable, fails="key-unusable", words=re.escape(f"{variable}, has '${{' in it"))

    def test_names_of_certificates(self):
        authority = harness.keygen(self.dir / "authority")
        mine = harness.keygen(self.dir / "mine")
        subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "root", f"{mine}.pub"], check=True)
        os.rename(f"{mine}-cert.pub", self.dir / "a%d cert.pub")
        self.sshd.client_setting(f'CertificateFile "{self.dir}/a%%d cert.pub"')
        self.sshd.authorized_keys.write_text(
            f'restrict,cert-authority,command="{self.either}" ' + pathlib.Path(f"{authority}.pub").read_text())
        for way in ("openssh", "auto", "rsync"):
            with self.subTest(way):
                self.logins({**WAYS[way], "key": str(mine)}, code=0)

    def test_the_public_half_of_another(self):
        shutil.copy(f"{self.person}.pub", f"{self.own}.pub")
        self.agree(None, key=self.own, fails="key-unusable", words="public half of another")

    # Trust. With and without `key`: by a configuration of our own, and by the user's.

    def judge(self, known, fails, *settings, words="^", warnings="^$"):
        """Checks for this failure, or none, by each way, and by `auto` with ssh, in which the host has another port."""
        cases = [(falls_back, own, way) for falls_back in (False, True) for own in (True, False)
                 for way in (("auto",) if falls_back else WAYS)]
        for falls_back, own, way in tiers.sweep("ways", cases, 3):
            sshd, key = self.hardened if falls_back else self.sshd, self.own if own else None
            sshd.configure_client(key=self.own)
            for setting in settings:
                sshd.client_setting(setting)
            # Written again, since a run may have added to it.
            sshd.known_hosts.write_text(known.replace(f"]:{self.sshd.port}", f"]:{sshd.port}"))
            with self.subTest(known=known[:80], settings=settings, falls_back=falls_back, key=own), self.at(sshd):
                self.agree(None if fails else self.own, key=key, words=words, ways={way: WAYS[way]}, warnings=warnings, fails=fails)

    def test_known_and_not(self):
        good = f"{self.kind} {self.blob}"
        self.judge(f"{self.name} {good}\n", None)
        self.judge("", "host-key-unknown")
        self.judge(f"{self.name} {self.other}\n", "host-key-changed")
        self.judge(f"@revoked * {good}\n{self.name} {good}\n", "host-key-revoked")
        self.judge(f"127.0.0.1 {good}\n", None)  # for the standard port
        self.judge(f"laptop {good}\n", None, "HostKeyAlias laptop")
        self.judge(f"{self.name} {good}\n", "host-key-unknown", "HostKeyAlias laptop")

    def test_without_checking_some_checks_remain(self):
        good = f"{self.kind} {self.blob}"
        for strict in ("no", "accept-new"):
            self.judge(f"{self.name} {self.other}\n", "host-key-changed", f"StrictHostKeyChecking {strict}")
            self.judge(f"@revoked * {good}\n", "host-key-revoked", f"StrictHostKeyChecking {strict}")
        self.judge(f"@revoked * {good}\n", "host-key-revoked", "NoHostAuthenticationForLocalhost yes")
        self.judge(f"{self.name} {self.other}\n", "host-key-changed", "NoHostAuthenticationForLocalhost yes")

    def shown(self):
        return re.escape(fingerprint(self.sshd.host_key)) + r" \(ssh-ed25519\)"

    def test_new_keys(self):
        """Every way adds the key, and reports it in the same words."""
        for sshd in (self.sshd, self.hardened):
            added = (rf"^the key of \[127\.0\.0\.1\]:{sshd.port}, {self.shown()}, was unknown and has been added to "
                     rf"{sshd.known_hosts}, as StrictHostKeyChecking allows$")
            for way in WAYS if sshd is self.sshd else ("auto",):
                sshd.configure_client(key=self.own)
                sshd.client_setting("StrictHostKeyChecking accept-new")
                sshd.known_hosts.write_text("")
                with self.at(sshd):
                    self.agree(self.own, key=self.own, ways={way: WAYS[way]}, warnings=added)
                    self.assertIn(self.blob, sshd.known_hosts.read_text())
                    self.agree(self.own, key=self.own, ways={way: WAYS[way]})

    def test_new_keys_of_hosts_that_refuse_the_login(self):
        """The key is added nevertheless."""
        stranger = harness.keygen(self.dir / "stranger")
        for way in WAYS:
            self.sshd.configure_client(key=stranger)
            self.sshd.client_setting("StrictHostKeyChecking accept-new")
            self.sshd.known_hosts.write_text("")
            self.agree(None, key=stranger, ways={way: WAYS[way]}, fails="permission-denied", warnings="and has been added to")

    def test_new_keys_that_cannot_be_saved(self):
        # rsync's ssh does not name the key.
        place = self.sshd.authorized_keys / "known_hosts"
        self.judge("", None, "StrictHostKeyChecking accept-new", f"UserKnownHostsFile {place}",
                   warnings=rf"^the key of \[127\.0\.0\.1\]:\d+(, {self.shown()},)? was accepted, but cannot be added to {place}: "
                            "Not a directory$")
        self.judge("", None, "StrictHostKeyChecking accept-new", "UserKnownHostsFile /dev/null")
        # Like ssh: a key that has no file to be saved in is not accepted.
        self.judge("", "host-key-unknown", "StrictHostKeyChecking accept-new", "UserKnownHostsFile none", words="set a UserKnownHostsFile")

    def test_revoked_for_the_standard_port(self):
        """It is the host's key, at every port."""
        good = f"{self.kind} {self.blob}"
        for strict in ("accept-new", "no", "yes"):
            self.judge(f"@revoked 127.0.0.1 {good}\n", "host-key-revoked", f"StrictHostKeyChecking {strict}")
        # ssh does not distinguish the two.
        self.judge(f"@revoked 127.0.0.1 {self.other}\n", "host-key-unknown", "StrictHostKeyChecking accept-new")
        self.judge(f"@revoked * {self.other}\n", None, "StrictHostKeyChecking accept-new", warnings="and has been added to")
        self.judge(f"@revoked 127.0.0.1 {self.other}\n{self.name} {good}\n", None, "StrictHostKeyChecking accept-new")

    def test_unusual_lines(self):
        good = f"{self.kind} {self.blob}"
        accept = "StrictHostKeyChecking accept-new"
        many = ",".join(["some-other-host.example"] * 1000)
        self.judge(f"@revoked {many},{self.name} {good}\n", "host-key-revoked", accept)
        self.judge(f"@revoked * {good} a\0b\n", "host-key-revoked", accept)
        self.judge(f"{many},{self.name} {good}\n", None)
        self.judge(f"@revoked {self.name} 256 {good}\n", "known-hosts-unreadable", accept,
                   words="known_hosts:1 cannot be read: it is not a valid known_hosts line", warnings="is not a valid known_hosts line")
        # Truncated in a way that only ssh notices.
        self.judge(f"{self.name} {self.kind} AAAAC3NzaC1lZDI1NTE5AAAAIAAA\n", "host-key-changed|host-key-unknown", accept)
        self.judge(f"other.example 256 {good}\n", None, accept, warnings="is ignored; to see it[^\n]*\n.*and has been added to")

    def test_a_file_that_cannot_be_read(self):
        """It may have the host's key, or another, so no key counts as new."""
        unread = self.dir / "directory"
        unread.mkdir()
        good = f"{self.name} {self.kind} {self.blob}\n"
        settings = "StrictHostKeyChecking accept-new", f"GlobalKnownHostsFile {unread}"
        self.judge("", "known-hosts-unreadable", *settings, words=rf"{unread} cannot be read: Is a directory")
        self.judge(good, None, *settings)

    def test_paths_that_are_not_files(self):
        """No way waits for input from a pipe."""
        pipe = self.dir / "pipe"
        os.mkfifo(pipe)
        good = f"{self.name} {self.kind} {self.blob}\n"
        began = time.monotonic()
        for setting in ("GlobalKnownHostsFile", "UserKnownHostsFile", "RevokedHostKeys"):
            self.judge(good, "ssh-config-invalid", f"{setting} {pipe}", words=f"{setting} names {pipe}, .* a pipe")
        self.judge(good, "ssh-config-invalid", f"Include {pipe}", words=f"the ssh configuration names {pipe}, .* a pipe")
        self.sshd.configure_client(key=self.own)
        self.agree(None, key=pipe, fails="key-unusable", words=f"the spoke's 'key' in the config names {pipe}, .* a pipe")
        for name, ending in (("one", ".pub"), ("two", "-cert.pub")):
            key = self.dir / name
            shutil.copy(self.own, key)
            os.mkfifo(f"{key}{ending}")
            self.agree(None, key=key, fails="key-unusable", words=f"the spoke's 'key' in the config names {key}{ending}, .* a pipe")
        for setting in ("IdentityFile", "CertificateFile"):
            self.sshd.configure_client(key=self.own)
            self.sshd.client_setting(f"{setting} {pipe}")
            self.agree(None, fails="ssh-config-invalid", words=f"{setting} names {pipe}, .* a pipe")
        self.assertLess(time.monotonic() - began, 60)

    def use_a_host_of_two_keys(self):
        """Replaces the class's servers for this test. Returns the second key."""
        ecdsa = harness.keygen(self.dir / "second_host_key", kind="ecdsa")
        sshd = harness.Sshd(self.dir / "two", [f"HostKey {ecdsa}"])
        self.addCleanup(sshd.stop)
        hardened = self.harden(self.dir / "two_hardened", sshd, f"HostKey {ecdsa}")
        self.addCleanup(hardened.stop)
        # Without these attributes, the class's are visible again.
        self.sshd, self.hardened = sshd, hardened
        self.addCleanup(delattr, self, "sshd")
        self.addCleanup(delattr, self, "hardened")
        self.let_in(self.own)
        return ecdsa

    def test_keys_of_several_types(self):
        """The host must show the known one."""
        ecdsa = self.use_a_host_of_two_keys()
        name, kind, blob = self.sshd.known_hosts.read_text().split()
        second = " ".join(pathlib.Path(f"{ecdsa}.pub").read_text().split()[:2])
        for key in (second, f"{kind} {blob}"):
            for place in (name, "127.0.0.1"):
                self.judge(f"{place} {key}\n", None)
                self.judge(f"{place} {key}\n", None, "HostKeyAlgorithms ssh-ed25519,ecdsa-sha2-nistp256")
        # The standard port may lead to another machine.
        self.judge(f"127.0.0.1 {self.other}\n", None, "StrictHostKeyChecking accept-new", warnings="and has been added to")

    def test_a_hop(self):
        """Hops are checked in the same way, even with a user at the terminal."""
        hop = self.sshd.ssh_config.read_text().replace("Host spoke", "Host hop")
        known = self.dir / "known_by_hop"
        good = f"{self.name} {self.kind} {self.blob}\n"
        known.write_text(f"@revoked * {self.kind} {self.blob}\n{good}")
        hop = hop.replace(str(self.sshd.known_hosts), str(known))
        self.sshd.client_setting("ProxyJump hop")
        self.sshd.ssh_config.write_text(
            f"{self.sshd.ssh_config.read_text()}{hop}    NoHostAuthenticationForLocalhost yes\n    StrictHostKeyChecking no\n")
        self.sshd.authorized_keys.write_text(f'command="{self.either}" ' + pathlib.Path(f"{self.person}.pub").read_text())
        agents = self.dir / "agents"
        agents.mkdir()
        shutil.copy(harness.AGENT, agents / f"pi-brain-agent-{os.uname().machine}")
        self.config.write_text(f"hub:\n  ssh_config: {self.sshd.ssh_config}\n  database_dir: {self.dir}/data\nspokes:\n")
        command = [str(harness.HUB), "spoke", "add", "new", "spoke", "--dry-run", "--agents", str(agents), "-c", str(self.config)]
        before = self.sshd.log.read_text().count("Accepted publickey")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(command[0], command, self.environment())
        shown = b""
        with contextlib.suppress(OSError):
            while select.select([terminal], [], [], 60)[0]:
                shown += os.read(terminal, 4096)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1, shown)
        self.assertIn(b"ProxyJump hop: HOST KEY REVOKED", shown)
        self.assertEqual(self.sshd.log.read_text().count("Accepted publickey"), before)
        # And is used if it shows the known key.
        known.write_text(good)
        self.agree(self.person)

    def test_keys_that_the_host_offers(self):
        """UpdateHostKeys: not even a trusted host may add keys to the files."""
        self.use_a_host_of_two_keys()
        known = self.sshd.known_hosts.read_text()
        self.judge(known, None, "UpdateHostKeys yes")
        self.assertEqual(self.sshd.known_hosts.read_text(), known)


if __name__ == "__main__":
    unittest.main(verbosity=2)
