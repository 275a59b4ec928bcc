"""Whom to trust and which key to offer, asked of all three that connect: libssh2, OpenSSH's client, and the ssh
that rsync starts. What sshd's log has of each has to be the same."""
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
from harness import HubCase

WAYS = {"libssh2": {"ssh": "libssh2"}, "openssh": {"ssh": "openssh"}, "auto": {"ssh": "auto"},
        "rsync": {"sync_method": "rsync"}}


def fingerprint(key):
    return subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True).stdout.split()[1]


class WaysCase(HubCase):
    """A spoke whose key lets in whoever connects."""

    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')
        # What a key may do: start the agent, or rsync for this directory.
        self.either = self.dir / "either"
        self.either.write_text('#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n  rsync*) exec $SSH_ORIGINAL_COMMAND;;\n'
                               f'  *) exec {harness.AGENT} --root={self.source};;\nesac\n')
        self.either.chmod(0o755)
        # The person's own key may do anything.
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
        """The keys, by their fingerprints, that a run logged in with; and that were tried."""
        shutil.rmtree(self.mirror, ignore_errors=True)
        before = len(self.sshd.log.read_text())
        self.write_config([self.spoke(**fields)])
        report = self.sync_one(code=code)
        log = self.sshd.log.read_text()[before:]
        return set(re.findall(r"Accepted publickey .* (SHA256:\S+)", log)), report["error"]

    def agree(self, expected, key=None, words="^", ways=WAYS):
        """All log in with this key (None: not at all)."""
        for way, fields in ways.items():
            with self.subTest(way):
                if key is not None:
                    fields = {**fields, "key": str(key)}
                found, error = self.logins(fields, code=1 if expected is None else 0)
                self.assertEqual(found, set() if expected is None else {fingerprint(expected)}, error)
                self.assertRegex(error or "", words)


class Transports(WaysCase):
    # Identity.

    def test_the_spokes_own_key(self):
        self.agree(self.own, key=self.own)

    def test_without_one_the_persons(self):
        self.sshd.authorized_keys.write_text(
            f'command="{self.either}" ' + pathlib.Path(f"{self.person}.pub").read_text())
        self.agree(self.person)

    def test_a_key_that_is_refused_is_followed_by_no_other(self):
        stranger = harness.keygen(self.dir / "stranger")
        for setting in (f"IdentityFile {self.person}", "IdentitiesOnly no", "PreferredAuthentications publickey,password"):
            self.sshd.client_setting(setting)
        with harness.ssh_agent(self.dir, self.person) as socket:
            self.sshd.client_setting(f"IdentityAgent {socket}")
            self.agree(None, key=stranger, words="(?i)permission denied")

    def test_a_certificate_of_the_persons(self):
        """The person's certificate is beside the person's key, and no way in for a key that is not let in."""
        authority = harness.keygen(self.dir / "authority")
        mine = harness.keygen(self.dir / "mine")
        subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "root", f"{mine}.pub"], check=True)
        self.sshd.client_setting(f"CertificateFile {mine}-cert.pub")
        self.sshd.client_setting(f"IdentityFile {mine}")
        with open(self.sshd.authorized_keys, "a") as out:
            out.write("cert-authority " + pathlib.Path(f"{authority}.pub").read_text())
        stranger = harness.keygen(self.dir / "stranger")
        self.agree(None, key=stranger, words="(?i)permission denied")
        self.agree(self.own, key=self.own)

    def test_a_connection_that_the_person_has_open(self):
        """It is the person's login, whose key it is that counts there."""
        master = self.dir / "master"
        self.sshd.client_setting(f"ControlPath {master}")
        subprocess.run(["ssh", "-F", self.sshd.ssh_config, "-M", "-N", "-f", "-o", "BatchMode=yes", "spoke"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.agree(None, key=harness.keygen(self.dir / "stranger"), words="(?i)permission denied")
            self.agree(self.own, key=self.own)
        finally:
            subprocess.run(["ssh", "-F", self.sshd.ssh_config, "-O", "exit", "spoke"], capture_output=True)

    def test_settings_that_name_no_way_in(self):
        self.sshd.client_setting("PubkeyAuthentication no")
        self.sshd.client_setting("PreferredAuthentications password")
        self.agree(self.own, key=self.own)

    def test_a_key_with_windows_line_ends(self):
        self.own.write_bytes(self.own.read_bytes().replace(b"\n", b"\r\n"))
        self.agree(None, key=self.own, words="line ends of Windows")

    def test_the_public_half_of_another(self):
        shutil.copy(f"{self.person}.pub", f"{self.own}.pub")
        self.agree(None, key=self.own, words="public half of another")

    # Trust. `key` or not: once by a configuration of our own, once by the person's.

    def judge(self, known, expected, *settings, words="^"):
        for key in (self.own, None):
            self.sshd.configure_client(key=self.own)
            for setting in settings:
                self.sshd.client_setting(setting)
            self.sshd.known_hosts.write_text(known)
            with self.subTest(key=bool(key)):
                self.agree(self.own if expected else None, key=key, words=words)

    def test_known_and_not(self):
        good = f"{self.kind} {self.blob}"
        self.judge(f"{self.name} {good}\n", True)
        self.judge("", False, words="(?i)host key verification failed")
        self.judge(f"{self.name} {self.other}\n", False, words="HOST KEY CHANGED")
        self.judge(f"@revoked * {good}\n{self.name} {good}\n", False, words="HOST KEY REVOKED")
        self.judge(f"127.0.0.1 {good}\n", True)  # for the standard port
        self.judge(f"laptop {good}\n", True, "HostKeyAlias laptop")
        self.judge(f"{self.name} {good}\n", False, "HostKeyAlias laptop", words="(?i)host key verification failed")

    def test_no_checking_is_still_some(self):
        good = f"{self.kind} {self.blob}"
        for strict in ("no", "accept-new"):
            for known in (f"{self.name} {self.other}\n", f"@revoked * {good}\n"):
                self.judge(known, False, f"StrictHostKeyChecking {strict}", words="HOST KEY (CHANGED|REVOKED)")
        self.judge(f"@revoked * {good}\n", False, "NoHostAuthenticationForLocalhost yes", words="HOST KEY REVOKED")
        self.judge(f"{self.name} {self.other}\n", False, "NoHostAuthenticationForLocalhost yes", words="HOST KEY CHANGED")

    def test_new_ones(self):
        for way in WAYS:
            self.sshd.configure_client(key=self.own)
            self.sshd.client_setting("StrictHostKeyChecking accept-new")
            self.sshd.known_hosts.write_text("")
            self.agree(self.own, key=self.own, ways={way: WAYS[way]})
            self.assertIn(self.blob, self.sshd.known_hosts.read_text())

    def test_a_file_that_cannot_be_read(self):
        """It may have the host's key, or another one: nothing is new then."""
        unread = self.dir / "directory"
        unread.mkdir()
        good = f"{self.name} {self.kind} {self.blob}\n"
        for known, expected in (("", False), (good, True)):
            self.judge(known, expected, "StrictHostKeyChecking accept-new", f"GlobalKnownHostsFile {unread}")

    def use_a_host_of_two_keys(self):
        """In the place of the other, for this test. Returns the second key."""
        ecdsa = harness.keygen(self.dir / "second_host_key", kind="ecdsa")
        sshd = harness.Sshd(self.dir / "two", [f"HostKey {ecdsa}"])
        self.addCleanup(sshd.stop)
        before, self.sshd = self.sshd, sshd
        self.addCleanup(setattr, self, "sshd", before)
        self.let_in(self.own)
        return ecdsa

    def test_keys_of_several_types(self):
        """The host has to show the one that is known."""
        ecdsa = self.use_a_host_of_two_keys()
        name, kind, blob = self.sshd.known_hosts.read_text().split()
        for key in (" ".join(pathlib.Path(f"{ecdsa}.pub").read_text().split()[:2]), f"{kind} {blob}"):
            self.judge(f"{name} {key}\n", True)

    def test_what_the_host_would_have_us_know(self):
        """UpdateHostKeys: a host that is trusted adds no keys to the files."""
        self.use_a_host_of_two_keys()
        known = self.sshd.known_hosts.read_text()
        self.judge(known, True, "UpdateHostKeys yes")
        self.assertEqual(self.sshd.known_hosts.read_text(), known)


if __name__ == "__main__":
    unittest.main(verbosity=2)
