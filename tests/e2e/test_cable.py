"""A daemon whose network goes away: a cable that is cut without a word, and one that both ends see. As root, hub and spoke
in network namespaces of their own."""
import contextlib
import ctypes
import pathlib
import subprocess
import time
import unittest

from test_daemon import DaemonCase
from test_live import LINE

CLONE_NEWNET = 0x40000000
HUB_ADDRESS, SPOKE_ADDRESS = "10.99.0.1", "10.99.0.2"
libc = ctypes.CDLL(None, use_errno=True)
spoke = None  # a process in the spoke's namespace


def run(*command):
    subprocess.run(command, check=True)


def on_spoke(*command):
    run("nsenter", f"--net=/proc/{spoke.pid}/ns/net", *command)


def setUpModule():
    global spoke
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    run("ip", "link", "set", "lo", "up")
    spoke = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    spoke.stdout.readline()
    run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(spoke.pid))
    run("ip", "address", "add", f"{HUB_ADDRESS}/30", "dev", "cable")
    run("ip", "link", "set", "cable", "up")
    on_spoke("ip", "link", "set", "lo", "up")
    on_spoke("ip", "address", "add", f"{SPOKE_ADDRESS}/30", "dev", "cable")
    on_spoke("ip", "link", "set", "cable", "up")


def tearDownModule():
    spoke.kill()
    spoke.wait()
    spoke.stdout.close()


@contextlib.contextmanager
def in_spoke():
    """Enters the spoke's namespace."""
    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{spoke.pid}/ns/net") as other:
        for place in (other, own):
            if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            if place is other:
                try:
                    yield
                except BaseException:
                    libc.setns(own.fileno(), CLONE_NEWNET)
                    raise


class CutCable(DaemonCase):
    sshd_options = (f"ListenAddress {SPOKE_ADDRESS}",)

    @classmethod
    def setUpClass(cls):
        with in_spoke():
            super().setUpClass()

    def setUp(self):
        super().setUp()
        kind, blob = pathlib.Path(f"{self.sshd.host_key}.pub").read_text().split()[:2]
        self.sshd.known_hosts.write_text(f"[{SPOKE_ADDRESS}]:{self.sshd.port} {kind} {blob}\n")
        self.sshd.client_setting(f"HostName {SPOKE_ADDRESS}")

    def is_gone(self):
        return self.status().get("state") in ("connecting", "offline")

    def seconds_until(self, condition, most):
        began = time.monotonic()
        while not condition():
            self.assertLess(time.monotonic() - began, most, self.status())
            time.sleep(0.05)
        return time.monotonic() - began

    def test_a_cable_that_is_cut_without_a_word(self):
        """Nobody hears of it, and nothing is being sent."""
        self.daemon()
        time.sleep(15)  # nothing of the beginning is on its way
        on_spoke("ip", "route", "add", "blackhole", HUB_ADDRESS)
        try:
            noticed = self.seconds_until(self.is_gone, 60)
            self.assertLess(noticed, 25)
            self.append("--p--/a.jsonl", LINE % b"meanwhile")
            time.sleep(6)  # an attempt is under way, and the kernel has become patient
        finally:
            on_spoke("ip", "route", "delete", "blackhole", HUB_ADDRESS)
        # The hub's end sees a link come up, as after a suspend or with another network.
        run("ip", "link", "set", "cable", "down")
        run("ip", "link", "set", "cable", "up")
        back = self.seconds_until(lambda: self.status().get("state") == "live", 60)
        print(f"noticed after {noticed:.1f} s, live {back:.1f} s after the link was back")
        self.assertLess(back, 3)
        self.arrives("--p--/a.jsonl", 3)

    def test_a_link_that_goes_down_and_up(self):
        self.daemon()
        run("ip", "link", "set", "cable", "down")
        down = self.seconds_until(self.is_gone, 60)
        self.append("--p--/a.jsonl", LINE % b"meanwhile")
        run("ip", "link", "set", "cable", "up")
        back = self.seconds_until(lambda: self.status().get("state") == "live", 60)
        print(f"noticed after {down:.1f} s, live {back:.1f} s after the link was back")
        self.assertLess(down, 10)
        self.assertLess(back, 3)
        self.arrives("--p--/a.jsonl", 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
