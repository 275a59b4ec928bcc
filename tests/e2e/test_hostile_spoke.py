"""Spokes under an attacker's control, against the hub.

Each case is a spoke of its own, whose forced command is an agent that misbehaves in one way
(tests/e2e/hostile). Whatever it does, the hub reports it, the mirror is unchanged, memory and time
are bounded, and an honest spoke in the same run is synced.
"""
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

import harness
import tiers
from harness import HubCase

AGENT = pathlib.Path(os.environ["PIBRAIN_TEST_HOSTILE_AGENT"])
TIMEOUT = 3  # seconds that the hub waits for a silent spoke
MARGIN = 25  # seconds for the rest: processes must start, perhaps on a busy machine
MAX_MEMORY = 256 << 20

LINE = b"0123456789abcde\n"
OLD = {b"p/a.jsonl": LINE * 2048, **{b"q/%02d.jsonl" % i: b'{"old":%d}\n' % i for i in range(30)}}
NEW = b"p/new.jsonl"


def each(failure, cases):
    """Maps each case to the failure's id, and to a regex for a fragment of its message. Many checks of what a spoke sends fail
    with one id; the fragment tells which of them noticed the case."""
    return {case: f"^{failure}: .*({fragment})" for case, fragment in cases.items()}


NAMES = {**each("protocol-error", {
    **{f"name-{what}": "file name: '" for what in (
        "dotdot", "dot", "empty", "slash", "climbing", "absolute", "nul", "256", "64k", "64k-escapes")},
    **{f"path-{within}{what}": "path: '" for within in ("", "within-") for what in (
        "dotdot", "dot", "climbing", "absolute", "nul", "256", "64k", "64k-escapes")},
    "path-double-slash": "path: 'p//q'", "path-trailing-slash": "path: 'p/'", "path-too-deep": "path: 'd/d/d",
    "duplicates": "twice: 'p/new.jsonl'",
}), **each("files-failed", {
    "staging-file": r" \.pi-brain-staging: ", "staging-directory": r" \.pi-brain-staging/new\.jsonl: ",
})}
LISTINGS = {**each("protocol-error", {
    **{case: "begins" for case in (
        "listing-without-summary", "summary-twice", "described-by-a-summary", "event-amplified")},
    **{case: "more files" for case in ("more-than-announced", "described-by-more", "entries-without-fingerprints")},
    **{case: "belong" for case in ("listing-with-content", "described-with-content")},
    **{case: "not requested" for case in ("entry-not-asked", "described-twice", "described-another")},
    "listing-nothing": "without a summary", "state-unknown": "unknown kind", "differs-always": "did not list",
    "unseen-beyond": "index beyond", "unseen-twice": "directory twice", "described-not": "without an entry",
    "described-climbing": r"file name: '\.\./\.\./x'",
    "described-garbage": "ZSTD_", "described-empty-blocks": "empty block",
    "size-minus-one": "a size", "size-2-63": "a size",
    "hello-megabytes": "hello .* too long", "hello-megabytes-too-old": "hello .* too long",
    "throws-disk-full": "remote exception: x+…x+: No space left on device. ",
    "throws-disk-failing": "remote exception: x+…x+: Input/output error. ",
    "problem-no-path": r"path: '\.\./x'",
    **{f"throws-at-{call}": r"remote exception: \\x1b" for call in ("hello", "scan", "next", "describe", "pull")},
    "bomb": "decompresses",
    "bomb-window": "Frame requires too much memory",
    "no-zstd": "ZSTD_", "zeros": "did not contain a root pointer",
    "block-too-large": "not the protocol",
    "event-bad-pointer": "non-struct pointer", "event-cut-short": "ends prematurely",
    "event-odd-length": "ends inside", "event-many-segments": "ends prematurely",
    "event-empty-messages": "did not contain a root pointer",
}), **each("files-failed", {
    "ids-twice": r" q/new\.jsonl: two", "refused-long": r"\b1 of 1 .* d+…d+/new\.jsonl: reading",
}), **each("root-unreadable", {"hello-root-denied": r" /\\x1b"}), **each("spoke-unreadable", {"problem-long": "'d+…d+'"}),
}
# After a wrong delta, the hub asks again by other methods, which the agent then refuses.
REFUSED = r"\b1 of 1 .* p/(a|new)\.jsonl: reading"
TRANSFERS = {**each("protocol-error", {
    "data-before-begin": "content outside", "end-without-begin": "end outside", "begin-within-begin": "inside a file",
    **{case: "not requested" for case in ("begin-twice", "refused-twice", "not-listed", "out-of-range", "refused-not-listed")},
    "differs-for-whole": "prefix", "differs-always-for-tail": "prefix",
    "never-answered": "every want", "never-ended": "every want",
    "summary-in-pull": "belong", "delta-empty": "empty piece",
    "pull-bomb": "decompresses", "pull-no-zstd": "ZSTD_", "pull-empty-blocks": "empty block",
}), **each("files-failed", {
    "refused-within": "reading", "bad-request-always": "understand",
    "wrong-piece-hash": r"new\.jsonl: content .*hash", "wrong-end-hash": r"new\.jsonl: the file .*hash",
    "whole-short": "less content", "whole-long": "more content", "begin-size-minus-one": "a size", "begin-size-2-63": "a size",
    "tail-short": r"a\.jsonl: less content", "tail-long": r"a\.jsonl: more content", "tail-negative": "ends before",
    "tail-wrong-end": r"a\.jsonl: the file .*hash", "large-tail-wrong-end": r"a\.jsonl: the file .*hash",
    "tail-wrong-piece": r"a\.jsonl: content .*hash",
    **{case: ": not what" for case in (
        "tail-for-new", "whole-for-tail", "delta-for-tail", "unknown-content", "delta-for-new", "delta-always",
        "fork-always")},
    **{f"delta-{what}": REFUSED for what in (
        "copy-beyond", "copy-far-beyond", "copy-negative", "copy-endless", "copy-nothing", "trailing", "no-end",
        "wrong-end", "short", "long", "garbage", "bad-op", "amplified")},
    **{f"fork-{what}": REFUSED for what in (
        "outside", "absolute", "nul", "of-a-directory", "empty-path", "missing", "other-parent", "short-parent",
        "long-parent", "wrong-end")},
}), **each("disk-full", {"begin-size-large": r" 8\.0 EB "})}
SILENT = r"^connection-silent: .* 3 s \(timeout_seconds\)"
# Before the preamble, silence means a login that starts nothing.
UNSTARTED = r"^agent-not-started: .* 3 s \(timeout_seconds\)"
TRICKLED = "^connection-slow: .* 30 s"
NO_MESSAGE = "^protocol-error: .* not the protocol"
BROKEN = "^connection-lost: .* in the middle"
NOISY = "^shell-noisy: .* 64 KB "
CONVERSATIONS = {
    **{case: SILENT for case in (
        "silence-after-preamble", "mute-at-hello", "mute-at-scan",
        "mute-at-next", "mute-at-describe", "mute-at-pull", "described-stalling", "errors-endless", "stalling-listing", "pull-stalling")},
    "silence": UNSTARTED, "silence-within-preamble": UNSTARTED,
    "trickle": TRICKLED, "trickle-of-noise": TRICKLED, "dribbling-entries": TRICKLED,
    **{case: NO_MESSAGE for case in (
        "garbage", "segments-2-32", "segments-many", "segment-of-32-gib", "message-of-nothing", "pointer-nowhere",
        "pointer-to-itself", "pointers-deep", "flood-of-bootstraps", "flood-of-calls", "flood-of-unimplemented")},
    "noise-too-long": NOISY, "noise-endless": NOISY,
    "abort": BROKEN, "return-not-asked": BROKEN,
}
ENDLESS = {**each("listing-too-large", {case: "'listing_mb'" for case in (
    "million-entries", "endless-entries", "endless-long-paths", "endless-fingerprints", "endless-reserved")}),
    **each("protocol-error", {
        "endless-problems": "many problems", "endless-large-problems": "many problems",
        "endless-unseen": "directory twice", "endless-empty-unseen": "says nothing", "endless-empty-directories": "more files",
        "endless-empty-blocks": "empty block", "endless-empty-pieces": "empty piece",
        **{case: "more content" for case in ("endless-after-failure", "endless-empty-copies", "endless-empty-literals")},
    }),
}
# Nothing is deleted: the spoke says that it has nothing, or too little.
DELETIONS = each("deletion-refused", {
    "delete-all": "'pi-brain spoke remove ", "delete-all-uncounted": "'pi-brain spoke remove ",
    "delete-most": " 31 .* 31 .* --max-delete 31 "})
# Files before the violation are verified, and stay.
PUBLISHED = {case: {NEW: LINE} for case in ("begin-twice", "ids-twice", "delete-most", "file-and-directory")}

# Controls of terminals, and bytes that are not UTF-8: stray, overlong, a surrogate, beyond U+10FFFF.
ESCAPES = (b"\x1b]0;owned\x07\x1b[31mred\x1b[0m\r\n\x7f\xc2\x9b1mC1\xff"
           b"\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80")
# Strange, but valid. Maps each case to the files that arrive.
LEGAL = {
    "legal-escapes": {b"p" + ESCAPES + b"/" + ESCAPES: LINE, b"p" + ESCAPES + b"/\xe2\x80\xaegnp.exe": LINE},
    "legal-case-pairs": {b"p/New.jsonl": LINE, NEW: LINE, b"p/NEW.JSONL": LINE},
    "legal-times": {b"p/%c-new.jsonl" % c: LINE for c in b"abc"},
    **{f"legal-{what}": {NEW: LINE} for what in (
        "clock-1970", "clock-first", "clock-last", "root-escapes", "size-announced-large",
        "size-announced-0")},
    "legal-same": {}, "legal-many": {}, "legal-problem-escapes": {}, "changing-always": {},
}
# A file that must go first is not gone, or may not be deleted.
REPLACED = each("files-failed", {
    "file-and-directory": r"\b1 of 2 .* p/new\.jsonl/x\.jsonl: .* 'p/new\.jsonl'\. .* --delete",
    "file-for-directory": r"\b1 of 1 .* p: .* 'p'",
})
VERIFICATIONS = {
    **each("protocol-error", {
        **{case: "not requested" for case in ("digest-of-another", "digest-twice", "digest-and-refusal")},
        "digest-missing": "every file", "digest-differs": "belong among",
        "digest-garbage": "ZSTD_", "digest-empty-blocks": "empty block",
        "signature-garbage": "BLAKE2", "signature-cut": "cut short", "signature-odd": "cut short",
        "signature-of-no-blocks": "block length", "signature-of-huge-blocks": "block length",
        "signature-strong": "strong sum", "signature-endless": "too long",
        **{case: "belong in" for case in ("signature-refused-often", "signature-differs")},
        "signature-of-nothing": "empty piece",
    }),
    "digest-stalling": SILENT, "digest-mute": SILENT, "signature-mute": SILENT,
}


class HostileCase(HubCase):
    maxDiff = 2000
    libssh2_leaks = True

    def setUp(self):
        super().setUp()
        self.befores = {}
        harness.sessions.make(self.source, 20)
        self.keys = self.dir / "keys"
        self.keys.mkdir()
        self.lines = [self.sshd.authorized_keys.read_text()]
        self.hosts = [self.sshd.ssh_config.read_text()]

    def hostile(self, case, **fields):
        """A spoke whose agent does this, and its mirror as earlier runs left it."""
        key = harness.keygen(self.keys / case)
        public = pathlib.Path(f"{key}.pub").read_text()
        self.lines.append(f'restrict,command="{AGENT} {case}" {public}')
        self.hosts.append("\n    ".join([
            f"Host {case}", "HostName 127.0.0.1", f"Port {self.sshd.port}", f"IdentityFile {key}",
            "IdentitiesOnly yes", "IdentityAgent none", "GlobalKnownHostsFile none",
            f"UserKnownHostsFile {self.sshd.known_hosts}"]) + "\n")
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
        """Everything beside the mirrors, without the hub's database."""
        mirrors, data = self.dir / "synced", self.dir / "data"
        found = {p for p in self.dir.rglob("*") if not {mirrors, data} & set(p.parents)}
        return found | set(mirrors.iterdir()) | set(pathlib.Path("/tmp").glob("pi-brain-hostile*"))

    def run_hub(self, *args, command="run"):
        """Runs to the end. Returns the exit code, the output, and the peak memory."""
        out_path = self.dir.parent / (self.dir.name + ".out")
        with open(out_path, "wb") as out:
            process = subprocess.Popen([harness.HUB, "sync", command, "-c", self.config, *args], stdout=out,
                                       stderr=subprocess.STDOUT, env=self.environment())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, out_path.read_bytes(), usage.ru_maxrss * 1024

    def configure(self, spokes):
        self.sshd.authorized_keys.write_text("".join(self.lines))
        self.sshd.ssh_config.write_text("".join(self.hosts))
        self.write_config([*spokes, self.spoke("honest")])

    def meet(self, spokes, jobs=4, limits=(), code=1, command="run"):
        """One run with all of these spokes. Returns the report of each."""
        self.configure(spokes)
        (self.dir / "data").mkdir(exist_ok=True)
        outside = self.outside()
        options = ("-v", "--jobs", str(jobs)) if command == "run" else ("--repair",)
        code_, out, memory = self.run_hub("--json", *options, command=command)
        with self.subTest("printable"):
            self.assert_printable(out)
        self.assertEqual(code_, code, out.decode()[-3000:])
        reports = {spoke["name"]: spoke for spoke in json.loads(out)["spokes"]}
        with self.subTest("honest"):
            self.assertEqual(reports["honest"]["outcome"], "ok")
            self.assert_mirrored(mirror=self.mirror_of("honest"))
        with self.subTest("beside the mirrors"):
            self.assertEqual(self.outside() - outside, {self.mirror_of("honest")})
        with self.subTest("memory"):
            if not harness.SANITIZED:
                self.assertLess(memory, MAX_MEMORY)
        for name, report in reports.items():
            with self.subTest(name, of="time"):
                self.assertLess(report["seconds"], dict(limits).get(name, TIMEOUT + MARGIN))
        if "PIBRAIN_TEST_SHOW" in os.environ:
            print(f"\n{self._testMethodName}: {memory >> 20} MiB")
            for name, report in reports.items():
                print(f"  {name:32} {report['seconds']:5.1f} s {report['outcome']} "
                      f"{self.said(report)[:300]} | {str(report['warnings'])[:200]}")
            sys.stdout.flush()
        return reports

    def said(self, report):
        """The failure's id and its message; empty if there is none."""
        return f"{report['failure']['id']}: {report['error']}" if report["failure"] else ""

    def assert_printable(self, out):
        """Checks that there is no control character but the newline, of one byte or of two in UTF-8."""
        control = "[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]"
        self.assertEqual(re.findall(f".{{0,20}}{control}.{{0,20}}", out.decode()), [])

    def assert_mirror(self, case, news, times=True):
        """Checks that the mirror is unchanged except for these new files."""
        after, before = self.snapshot(self.mirror_of(case)), self.befores[case]
        self.assertEqual({path: content for path, (content, _) in after.items()},
                         {**{path: content for path, (content, _) in before.items()}, **news})
        if times:
            self.assertEqual({path: after[path] for path in before}, before)

    def refuses(self, cases, jobs=4, limits=(), command="run", **fields):
        """Checks that each of these fails as its table says, and that its mirror is unchanged."""
        reports = self.meet([self.hostile(case, **fields) for case in cases], jobs, limits, command=command)
        for case, expected in cases.items():
            with self.subTest(case):
                self.assertEqual(reports[case]["outcome"], "failed")
                error = reports[case]["error"]
                self.assertRegex(self.said(reports[case]), expected)
                self.assertNotRegex(error, r"kj::|capnp::|std::|\.(cc|h|c\+\+):\d|ForTerminal|c_str")
                for text in [error, *reports[case]["warnings"]]:
                    self.assertLess(len(text), 2000)
                # Bytes appended before the end proved wrong were cut off again.
                self.assert_mirror(case, PUBLISHED.get(case, {}), times=case != "large-tail-wrong-end")


class Hostile(HostileCase):
    """Spokes that lie."""

    def test_every_case_is_tested(self):
        known = subprocess.run([AGENT, "--list"], check=True, capture_output=True, text=True).stdout.split()
        tables = [NAMES, LISTINGS, TRANSFERS, CONVERSATIONS, ENDLESS, DELETIONS, LEGAL, REPLACED, VERIFICATIONS]
        self.assertEqual(sorted(known), sorted(case for table in tables for case in table))
        # A message names the spoke, and that must not be what is found in it.
        for table in tables:
            for case, expected in table.items():
                if table is not LEGAL:
                    self.assertNotRegex(f"{expected[1:].partition(':')[0]}: {case} '{case} {case}'", expected)

    def test_names(self):
        self.refuses(NAMES)

    def test_listings(self):
        self.refuses(LISTINGS)

    def test_transfers(self):
        self.refuses(TRANSFERS)

    def test_conversations(self):
        trickles = [case for case, expected in CONVERSATIONS.items() if expected == TRICKLED]
        cases = {case: CONVERSATIONS[case] for case in [*trickles, *CONVERSATIONS]}
        # They start at once, as many as there are jobs. Bytes before the trickle count for the first ten idle
        # limits.
        self.refuses(cases, jobs=len(trickles), limits=[(case, 20 * TIMEOUT + MARGIN) for case in trickles])

    def test_verify(self):
        self.refuses(VERIFICATIONS, command="verify")

    def test_deletion(self):
        self.refuses(DELETIONS, rsync_options={"delete": True})

    def test_a_file_in_place_of_a_directory(self):
        """No filesystem has both, and nothing is deleted without the guards of deletion."""
        self.refuses(REPLACED)


class HostileAtLength(HostileCase):
    """Spokes that do not end, that are odd, or that delay others."""

    def test_endless_output(self):
        """One at a time, so that the peak memory is that of one."""
        # Memory is measured without a sanitizer, with which this is slow.
        share = 5 if harness.SANITIZED else len(ENDLESS)
        self.refuses(dict(tiers.sweep("what does not end", ENDLESS.items(), share)), jobs=1)

    def test_over_openssh(self):
        """The other transport bounds its input, too."""
        tables = {**CONVERSATIONS, **ENDLESS, **LISTINGS}
        cases = {case: tables[case] for case in (
            "silence", "pull-stalling", "garbage", "noise-endless", "flood-of-calls", "endless-entries", "bomb")}
        # ssh may end when nobody reads its errors any more.
        self.refuses({"errors-endless": f"{SILENT}|{BROKEN}", **cases}, ssh="openssh")

    def test_strange_but_valid_spokes(self):
        clocks = [f"legal-clock-{clock}" for clock in ("1970", "first", "last")]
        run = time.strftime("%Y%m%dT%H%M%S.000Z", time.gmtime(time.time() - 86400))
        for case in clocks:
            (self.archive / case / run).mkdir(parents=True)
            (self.archive / case / run / "old.jsonl").write_bytes(LINE)
        reports = self.meet([self.hostile(case, keep_modes=True) for case in LEGAL], code=0,
                            limits=[("legal-many", 60)])
        for case, files in LEGAL.items():
            with self.subTest(case):
                self.assertEqual(reports[case]["outcome"], "ok")
                self.assert_mirror(case, files)
                for path in files:
                    # A mirror has no set-user-id bits and the like.
                    mode = os.stat(os.path.join(os.fsencode(self.mirror_of(case)), path)).st_mode
                    self.assertEqual(mode & 0o7777, 0o777)
                for warning in reports[case]["warnings"]:
                    self.assertLess(len(warning), 2000)
        for case in clocks:
            self.assertRegex(str(reports[case]["warnings"]), rf"\b{case} .* \d{{4,}} days ")
            # Whatever time the spoke claims, yesterday's archive is not old.
            self.assertEqual((self.archive / case / run / "old.jsonl").read_bytes(), LINE)

    def test_what_a_terminal_shows(self):
        cases = ["legal-escapes", "legal-root-escapes", "legal-problem-escapes", "name-64k-escapes",
                 "path-64k-escapes", "hello-root-denied", "throws-at-scan", "abort", "noise-too-long"]
        self.configure([self.hostile(case) for case in cases])
        for args in (["-v", "--dry-run"], ["-v"]):
            code, out, _ = self.run_hub(*args)
            self.assertEqual(code, 1)
            self.assert_printable(out)
            self.assertIn(b"p\\x1b]0;owned\\x07", out)
            for case in cases:
                # Whatever its message says, the spoke's name precedes it.
                sign = "✓" if case.startswith("legal") else "✗"
                self.assertRegex(out.decode(), rf"(?m)^ *{sign} {case}\b")
            self.assertLess(len(out), 60_000)
        for command in (["status"], ["status", "--json"], ["list"], ["doctor"]):
            with self.subTest(command):
                done = self.pi_brain("sync", *command)
                self.assert_printable((done.stdout + done.stderr).encode(errors="surrogateescape"))

    def test_a_trickle_does_not_delay_others(self):
        """The other spokes are synced in the meantime, and the run can be interrupted."""
        self.configure([self.hostile("trickle", rsync_options={"timeout_seconds": 300})])
        run = self.start_run()
        try:
            out = ""
            while "✓ honest" not in out:
                out += run.stdout.readline() or self.fail(out)
            self.assertIsNone(run.poll())
        finally:
            run.send_signal(signal.SIGINT)
        out += run.communicate(timeout=20)[0]
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("✓ honest", out)
        self.assert_mirrored(mirror=self.mirror_of("honest"))
        self.assert_mirror("trickle", {})


def packet(payload):
    """A packet of SSH before the key exchange (RFC 4253, 6)."""
    padding = 4 + -(len(payload) + 9) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


class BeforeLogin(HubCase):
    """A listener in the spoke's place sends endlessly before it has shown a host key."""

    def serve(self, greeting, endless, reads):
        """Accepts one connection after the other, and sends for as long as the hub reads."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        chunk = endless * (1_000_000 // len(endless))

        def run():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if reads:
                        threading.Thread(target=self.drain, args=(connection,), daemon=True).start()
                    try:
                        connection.sendall(greeting)
                        while True:
                            connection.sendall(chunk)
                    except OSError:
                        pass

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]

    def drain(self, connection):
        try:
            while connection.recv(1 << 16):
                pass
        except OSError:
            pass

    def fails(self, greeting, endless, failure, fragment, reads=True, patience=60):
        port = self.serve(greeting, endless, reads)
        self.sshd.configure_client(port=port, extra=[f"ConnectTimeout {patience}"])
        began = time.monotonic()
        with open(self.dir / "out", "w+") as out:
            hub = subprocess.Popen([harness.HUB, "sync", "run", "--json", "-c", self.config], stdout=out,
                                   env=self.environment())
            _, status, usage = os.wait4(hub.pid, 0)
            hub.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            spoke = json.load(out)["spokes"][0]
        self.assertEqual(hub.returncode, 1)
        self.assertEqual(spoke["failure"]["id"], failure)
        self.assertRegex(spoke["error"], fragment)
        self.assertLess(time.monotonic() - began, patience + MARGIN)
        if not harness.SANITIZED:
            self.assertLess(usage.ru_maxrss * 1024, MAX_MEMORY)

    def test_lines_before_the_greeting(self):
        self.fails(b"", b"welcome to this machine\r\n", "login-timeout", "no SSH greeting .* 2 s ", patience=2)

    def test_packets_of_an_unknown_type(self):
        self.fails(b"SSH-2.0-Evil\r\n", packet(b"\xc8"), "connection-lost", "was not requested")

    def test_requests_whose_answers_are_not_read(self):
        self.fails(b"SSH-2.0-Evil\r\n", packet(b"\x50\0\0\0\1x\1"), "connection-lost", "was not requested", reads=False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
