"""Spokes that somebody has taken over, against the hub.

Each case is a spoke of its own, whose forced command is an agent that misbehaves in one way
(tests/e2e/hostile). Whatever it does, the hub says so in words, the mirror is as it was, memory and
time are bounded, and an honest spoke of the same run is synced.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

import harness
from harness import HubCase

AGENT = pathlib.Path(os.environ["PIBRAIN_TEST_HOSTILE_AGENT"])
SANITIZED = "PIBRAIN_TEST_SANITIZED" in os.environ
TIMEOUT = 3  # seconds that the hub waits for a silent spoke
MARGIN = 25  # that the rest may take: processes have to start, perhaps on a busy machine
MAX_MEMORY = 256 << 20

LINE = b"0123456789abcde\n"
OLD = {b"p/a.jsonl": LINE * 2048, **{b"q/%02d.jsonl" % i: b'{"old":%d}\n' % i for i in range(30)}}
NEW = b"p/new.jsonl"

# Case -> what the message has to say.
NOT_A_PATH = r"not a (path|file name)"
FAILED = "of 1 files? could not be synced: "


class Hostile(HubCase):
    maxDiff = 2000

    def setUp(self):
        super().setUp()
        self.names = []
        self.befores = {}
        harness.sessions.make(self.source, 20)
        self.keys = self.dir / "keys"
        self.keys.mkdir()
        self.key = {}
        self.lines = [self.sshd.authorized_keys.read_text()]
        self.hosts = [self.sshd.ssh_config.read_text()]

    def hostile(self, case, **fields):
        """A spoke whose agent does this, and its mirror as earlier runs left it."""
        key = harness.keygen(self.keys / case)
        public = pathlib.Path(f"{key}.pub").read_text()
        self.lines.append(f'restrict,command="{AGENT} {case}" {public}')
        self.hosts.append("\n    ".join([
            f"Host {case}", "HostName 127.0.0.1", f"Port {self.sshd.port}", f"IdentityFile {key}",
            "IdentitiesOnly yes", "IdentityAgent none", f"UserKnownHostsFile {self.sshd.known_hosts}",
            "GlobalKnownHostsFile none"]) + "\n")
        mirror = self.mirror_of(case)
        for path, content in OLD.items():
            file = mirror / os.fsdecode(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            self.age(file)
        self.befores[case] = self.snapshot(mirror)
        options = {"timeout_seconds": TIMEOUT, **fields.pop("rsync_options", {})}
        return self.spoke(case, source=f"{case}:/hostile", rsync_options=options, **fields)

    def mirror_of(self, case):
        return self.dir / "synced" / case

    def outside(self):
        """All that is beside the mirrors, but for the hub's own database."""
        mirrors = self.dir / "synced"
        found = {p for p in self.dir.rglob("*") if mirrors not in p.parents and p.parent.name != "data"}
        return found | set(mirrors.iterdir()) | set(pathlib.Path("/tmp").glob("pi-brain-hostile*"))

    def run_hub(self, *args):
        """Runs to the end; gives the exit code, what was printed, and the peak of memory."""
        out_path = self.dir.parent / (self.dir.name + ".out")
        with open(out_path, "wb") as out:
            process = subprocess.Popen([harness.HUB, "sync", "run", "-c", self.config, *args], stdout=out,
                                       stderr=subprocess.STDOUT, env=self.environment())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, out_path.read_bytes(), usage.ru_maxrss * 1024

    def configure(self, spokes):
        self.sshd.authorized_keys.write_text("".join(self.lines))
        self.sshd.ssh_config.write_text("".join(self.hosts))
        self.write_config([*spokes, self.spoke("honest")])

    def meet(self, spokes, jobs=4, limits=(), code=1):
        """One run with all of these; gives the report of each."""
        self.configure(spokes)
        (self.dir / "data").mkdir(exist_ok=True)
        outside = self.outside()
        code_, out, memory = self.run_hub("--json", "-v", "--jobs", str(jobs))
        self.assert_printable(out)
        self.assertEqual(code_, code, out.decode()[-3000:])
        reports = {spoke["name"]: spoke for spoke in json.loads(out)["spokes"]}
        with self.subTest("honest"):
            self.assertEqual(reports["honest"]["outcome"], "ok")
            self.assert_mirrored(mirror=self.mirror_of("honest"))
        with self.subTest("beside the mirrors"):
            self.assertEqual(self.outside() - outside, {self.mirror_of("honest")})
        with self.subTest("memory"):
            if not SANITIZED:
                self.assertLess(memory, MAX_MEMORY)
        for name, report in reports.items():
            with self.subTest(name, of="time"):
                self.assertLess(report["seconds"], dict(limits).get(name, TIMEOUT + MARGIN))
        if "PIBRAIN_TEST_SHOW" in os.environ:
            print(f"\n{self._testMethodName}: {memory >> 20} MiB")
            for name, report in reports.items():
                print(f"  {name:32} {report['seconds']:5.1f} s {report['outcome']} "
                      f"{(report['error'] or '')[:300]} | {str(report['warnings'])[:200]}")
            sys.stdout.flush()
        return reports

    def assert_printable(self, out):
        """No control character but the newline, neither of one byte nor of UTF-8's two."""
        self.assertIsNone(re.search("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]", out.decode()))

    def refuses(self, cases, **options):
        """Each of these fails, in the words given for it, and its mirror is as it was."""
        reports = self.meet([self.hostile(case) for case in cases], **options)
        for case, words in cases.items():
            with self.subTest(case):
                self.assert_refused(reports[case], words)
                self.assertEqual(self.snapshot(self.mirror_of(case)), self.befores[case])

    def assert_refused(self, report, words):
        self.assertEqual(report["outcome"], "failed")
        error = report["error"]
        self.assertRegex(error, words)
        self.assertNotRegex(error, r"kj::|capnp::|\.(cc|h|c\+\+):\d|std::")
        self.assertLess(len(error), 2000)
        for warning in report["warnings"]:
            self.assertLess(len(warning), 2000)
