"""The SSH stream under stress: re-keying, tiny buffers, and peers that trickle, stall or disconnect.

As root, in a network namespace of its own, so that the size of socket buffers can be set.
"""
import ctypes
import json
import os
import pathlib
import subprocess
import time
import unittest

import harness
import tiers
from harness import HubCase

CLONE_NEWNET = 0x40000000


def setUpModule():
    if os.geteuid() == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def set_buffers(sizes):
    if os.geteuid() == 0:
        for name in ("tcp_wmem", "tcp_rmem"):
            pathlib.Path(f"/proc/sys/net/ipv4/{name}").write_text(sizes)


class Stress(HubCase):
    libssh2_leaks = True
    sshd_options = ("RekeyLimit 1M", "LogLevel DEBUG1")

    def tearDown(self):
        set_buffers("4096 131072 4194304")
        super().tearDown()

    def test_a_gibibyte_under_rekeying(self):
        mebibytes = tiers.rounds(1024, 64)
        path = self.source / "p" / "large.jsonl"
        path.parent.mkdir()
        with open(path, "wb") as out:
            for _ in range(mebibytes // 16):
                out.write(os.urandom(16 << 20))
        self.age(path)
        self.assertEqual(self.sync_one()["bytesLiteral"], mebibytes << 20)
        self.assertGreater(self.sshd.log.read_text().count("SSH2_MSG_NEWKEYS received"), mebibytes * 0.9 - 20)
        subprocess.run(["cmp", path, self.mirror / "p" / "large.jsonl"], check=True)

    def test_tiny_buffers_while_rekeying(self):
        """Much is sent to the spoke, too: the signatures of rewritten files."""
        set_buffers("4096 4096 4096")
        for number in range(4):
            self.write(f"p/{number}.jsonl", os.urandom(24 << 20))
        self.sync()
        for number in range(4):
            path = self.source / f"p/{number}.jsonl"
            content = path.read_bytes()
            self.write(f"p/{number}.jsonl", content[:9_000_000] + b"changed" + content[9_000_100:])
        report = self.sync_one()
        self.assertEqual(report["counts"]["rewritten"], 4)
        self.assertGreater(report["wireUp"], 300_000)
        self.assertLess(report["wireDown"], 2_000_000)
        self.assert_mirrored()


class Faults(HubCase):
    def setUp(self):
        super().setUp()
        self.write("p/a.jsonl", b'{"line":1}\n')
        self.sync()
        self.before = self.snapshot()
        self.write("p/large.jsonl", os.urandom(3 << 20))
        self.write_config([self.spoke(rsync_options={"timeout_seconds": 3})])

    def relay(self, fault, after, *settings):
        return harness.relay(self.sshd, "--fault", fault, "--after", after, settings=settings)

    # Offsets in the server's output: in its greeting, the key exchange, the login, and a file.
    PLACES = (5, 700, 1700, 2_000_000)

    def fails_in_time(self, seconds):
        """The failure's id and its message, as one text."""
        began = time.monotonic()
        report = self.sync_one(code=1)
        message = f"{report['failure']['id']}: {report['error']}"
        self.assertLess(time.monotonic() - began, seconds)
        self.assertNotIn("kj::", message)
        # An interrupted file stays in the staging directory.
        mirrored = {path: v for path, v in self.snapshot().items() if b".pi-brain-staging" not in path}
        self.assertEqual(mirrored, self.before)
        return message

    def breaks(self, fault, *settings, seconds=15):
        messages = []
        for after in self.PLACES:
            with self.subTest(f"{fault} after {after}"), self.relay(fault, after, *settings):
                messages.append(self.fails_in_time(seconds))
        self.sync()
        self.assert_mirrored()
        return messages

    def test_resets(self):
        messages = self.breaks("reset")
        self.assertIn("Connection reset", messages[1])
        self.assertRegex(messages[-1], "^connection-lost: .*was lost in the middle of the run")

    def test_an_end_without_a_message(self):
        """The spoke sends FIN while the other direction stays open."""
        messages = self.breaks("fin")
        self.assertRegex(messages[-1], "^connection-lost: .*was lost in the middle of the run")

    def test_a_cut_at_any_place(self):
        """From the greeting to the agent's first bytes: neither the key nor the agent is blamed."""
        stages = {"before its SSH greeting", "'key exchange'", "'login'", "was lost after the login", "was lost in the middle"}
        for fault, after in self.cuts("libssh2", range(0, 3800, 60), 24, lambda: not stages):
            with self.subTest(f"{fault} after {after}"), self.relay(fault, after):
                message = self.fails_in_time(15)
                self.assertRegex(message, r"^server-busy: .*closed the connection before its SSH greeting, several times|"
                                          r"^connection-lost: .*(was lost at the step '.*': Connection reset by peer\.|"
                                          r"was lost (after the login, before pi-brain-agent started|in the middle of the run) "
                                          r"\(Connection reset by peer\)\.)")
                stages = {stage for stage in stages if stage not in message.split(":")[1]}
        self.assertEqual(stages, set(), "of each stage there was to be one")
        self.sync()
        self.assert_mirrored()

    def cuts(self, what, places, most, enough):
        """Goes through as many (fault, place) pairs as the tier has, and more until `enough`."""
        cases = [(fault, after) for fault in ("reset", "fin") for after in places]
        chosen = tiers.sweep(f"cuts of {what}", cases, most)
        yield from chosen
        for case in cases:
            if enough():
                break
            if case not in chosen:
                yield case

    def test_a_cut_at_any_place_of_openssh(self):
        self.write_config([self.spoke(ssh="openssh", rsync_options={"timeout_seconds": 3})])
        lost = 0
        for fault, after in self.cuts("openssh", range(0, 3800, 200), 10, lambda: lost > 2):
            with self.subTest(f"{fault} after {after}"), self.relay(fault, after):
                message = self.fails_in_time(15)
                self.assertRegex(message, "^ssh-client-failed: ssh could not connect to|"
                                          "^server-busy: .* before its SSH greeting|"
                                          "^connection-lost: .*(was lost at the step 'command'|"
                                          "was lost (after the login|in the middle of the run))")
                lost += "was lost" in message
        self.assertGreater(lost, 2)

    def test_a_cut_at_the_second_key(self):
        """The first key needs a passphrase, and was never offered."""
        locked = harness.keygen(self.dir / "locked", passphrase="x")
        for after in tiers.sweep("reset at the second key", range(1200, 2000, 50), 4):
            with self.subTest(after), self.relay("reset", after):
                config = self.sshd.ssh_config
                config.write_text(config.read_text().replace("IdentityFile", f"IdentityFile {locked}\n    IdentityFile", 1))
                self.assertRegex(self.fails_in_time(15), "^connection-lost: ")

    def test_stalls(self):
        messages = self.breaks("stall", "ConnectTimeout 2")
        for message in messages[:-1]:
            self.assertRegex(message, r"^login-timeout: .*2 s \(ConnectTimeout\)")
        self.assertRegex(messages[-1], r"^connection-silent: .*3 s \(timeout_seconds\)")

    def test_a_peer_that_vanishes(self):
        """Without FIN or acknowledgement: as root, the link goes down; otherwise, the peer is stopped."""
        run = self.start_run("--json", "--bwlimit", "1000")
        agent = harness.wait_for(lambda: harness.agents_below(self.sshd.process.pid), what="the agent")[0]
        harness.wait_for(lambda: (self.mirror / ".pi-brain-staging").exists(), what="data")
        link = ["ip", "link", "set", "lo"] if os.geteuid() == 0 else ["true"]
        subprocess.run([*link, "down"], check=True)
        if os.geteuid() != 0:
            os.kill(agent, 19)
        try:
            out, _ = run.communicate(timeout=20)
        finally:
            subprocess.run([*link, "up"], check=True)
            harness.kill(agent)
        self.assertEqual(run.returncode, 1, out)
        failure = json.loads(out)["spokes"][0]["failure"]
        self.assertRegex(f"{failure['id']}: {failure['what']}", "^connection-silent: |^connection-lost: .*in the middle")
        self.sync()
        self.assert_mirrored()

    def test_stalls_of_openssh(self):
        self.write_config([self.spoke(ssh="openssh", rsync_options={"timeout_seconds": 3})])
        # Bytes that arrived are not sent again, so the next run breaks earlier.
        for fault, after in (("stall", 2_000_000), ("reset", 400_000), ("fin", 200_000)):
            with self.subTest(fault), self.relay(fault, after):
                self.fails_in_time(15)
        self.sync()
        self.assert_mirrored()

    def test_single_bytes(self):
        for after in (0, 2_900_000):
            with self.subTest(after), self.relay("trickle", after):
                self.write("p/large.jsonl", os.urandom(3 << 20) if after else b"{}\n" * 500)
                self.sync()
                self.assert_mirrored()

    def test_keep_alive_notices_a_dead_peer(self):
        self.write_config([self.spoke(rsync_options={"timeout_seconds": 300})])
        with self.relay("stall", 2_000_000, "ServerAliveInterval 1", "ServerAliveCountMax 2"):
            began = time.monotonic()
            self.assertRegex(self.fails_in_time(20), "^connection-lost: ")
            self.assertGreater(time.monotonic() - began, 2)

    def test_keep_alive_does_not_excuse_a_silent_agent(self):
        """sshd answers, the agent does not."""
        self.sshd.configure_client(extra=["ServerAliveInterval 1"])
        self.sshd.authorize(f"sleep 30; exec {harness.AGENT} --root={self.source}")
        self.assertRegex(self.fails_in_time(15), "^agent-not-started: .* within 3 s")

    def test_keep_alive_does_no_harm(self):
        self.sshd.configure_client(extra=["ServerAliveInterval 1", "ServerAliveCountMax 1"])
        self.sshd.authorize(f"sleep 6; exec {harness.AGENT} --root={self.source}")
        self.write_config([self.spoke(rsync_options={"timeout_seconds": 60})])
        self.sync()
        self.assert_mirrored()


if __name__ == "__main__":
    unittest.main(verbosity=2)
