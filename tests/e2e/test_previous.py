"""P12: this hub with an agent of the previous protocol, and that protocol's hub with this agent. In the full tier, since
the previous programs are built from the history of this repository."""
import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import harness
import tiers
from test_live import LINE, LiveCase

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
# The last commit whose programs speak protocol 2 alone.
PREVIOUS = "c31f72390f9fd2ce6951edcebe6d2d74392d459c"
place = None  # of its programs


def setUpModule():
    global place
    if not tiers.FULL:
        return
    place = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-previous-"))
    archive = subprocess.run(["git", "-C", PROJECT, "archive", PREVIOUS], stdout=subprocess.PIPE)
    if archive.returncode != 0:
        raise RuntimeError(f"{PROJECT} does not have the commit {PREVIOUS}, whose programs this test builds: git fetch --unshallow")
    subprocess.run(["tar", "-xC", place], input=archive.stdout, check=True)
    for command in (["cmake", "-S", place, "-B", place / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DPIBRAIN_QUICK_BUILD=ON"],
                    ["ninja", "-C", place / "build", "pi-brain", "pi-brain-agent"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stdout[-3000:])


def tearDownModule():
    if place is not None:
        shutil.rmtree(place)


@unittest.skipUnless(tiers.FULL, "in the full tier: it builds the programs of an older commit")
class Previous(LiveCase):
    def setUp(self):
        super().setUp()
        self.hub, self.agent = place / "build/bin/pi-brain", place / "build/bin/pi-brain-agent"
        self.write("--p--/moves.jsonl", LINE % b"moved" * 50)
        self.write("--p--/goes.jsonl", LINE % b"deleted")
        self.write("--p--/large.jsonl", LINE % b"x" * 50_000)

    @contextlib.contextmanager
    def of_then(self):
        """Runs the previous hub instead of this one."""
        with mock.patch.object(harness, "HUB", self.hub):
            yield

    def change(self):
        """One change of each kind."""
        self.append("--p--/a.jsonl", LINE % b"grown")
        text = bytearray((self.source / "--p--/large.jsonl").read_bytes())
        text[1000:1010] = b"rewritten!"
        self.write("--p--/large.jsonl", bytes(text))
        (self.source / "--p--/goes.jsonl").unlink()
        self.write("--q--/new.jsonl", LINE % b"new")
        (self.source / "--p--/moves.jsonl").rename(self.source / "--q--/moves.jsonl")
        self.age(self.source / "--p--/a.jsonl")

    def syncs(self):
        """Runs, verifies and has the doctor look. Returns the doctor's states by step."""
        self.assertEqual(self.counts(), {"new": 4})
        self.assert_mirrored()
        self.change()
        self.assertEqual(self.counts("--delete"), {"new": 1, "grown": 1, "rewritten": 1, "moved": 1, "deleted": 1})
        self.assert_mirrored()
        self.assertEqual(self.counts(), {})
        verified = json.loads(self.pi_brain("sync", "verify", "--json").stdout)
        self.assertTrue(verified["ok"], verified)
        done = self.pi_brain("sync", "doctor", "--json")
        self.assertEqual(done.returncode, 0, done.stdout)
        return {check["step"]: check["state"] for check in json.loads(done.stdout)["spokes"][0]["checks"]}

    def test_this_hub_with_its_agent(self):
        self.sshd.authorize_agent(self.source, agent=self.agent)
        self.assertIn(self.syncs()["agent"], ("ok", "warning"))

    def test_its_hub_with_this_agent(self):
        with self.of_then():
            self.assertIn(self.syncs()["agent"], ("ok", "warning"))

    def test_each_goes_on_with_the_mirror_of_the_other(self):
        with self.of_then():
            self.assertEqual(self.counts(), {"new": 4})
        self.change()
        self.assertEqual(self.counts("--delete"), {"new": 1, "grown": 1, "rewritten": 1, "moved": 1, "deleted": 1})
        with self.of_then():
            self.assertEqual(self.counts(), {})
        self.assert_mirrored()

    def test_this_hub_polls_its_agent(self):
        """It cannot watch, which is said, and what changes still arrives."""
        self.sshd.authorize_agent(self.source, agent=self.agent)
        self.watch(live="polling")
        self.change()
        began = time.monotonic()
        self.arrives("--p--/a.jsonl")
        self.arrives("--q--/new.jsonl")
        self.assertLess(time.monotonic() - began, 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
