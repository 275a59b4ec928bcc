"""A hostile hub: a stolen key used for everything but its purpose, and every kind of hostile request
(tests/e2e/hostile-*.cc). Whatever it does, it gets nothing from outside the root and changes nothing
on the spoke, and the agent stays within its memory and ends with the connection."""
import os
import pathlib
import random
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import tiers
from harness import AGENT, HubCase, agents_below, free_port, keygen, kill, ssh_agent, wait_for

HOSTILE_HUB = os.environ["PIBRAIN_TEST_HOSTILE_HUB"]
MARKER = b"CANARY-5be1c2"
MIB = 1024 * 1024


def tree_of(*roots):
    """Each entry, and when it last changed in any way."""
    found = {}
    for root in roots:
        for directory, _, files in os.walk(root):
            for path in [directory] + [os.path.join(directory, name) for name in files]:
                st = os.lstat(path)
                found[path] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


class Watch(threading.Thread):
    """Watches all agents below a process, for as long as there are any."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.cpu, self.seen, self.ending = pid, 0, {}, set(), False

    def run(self):
        while not self.ending:
            for agent in agents_below(self.pid):
                self.look(agent)
            time.sleep(0.02)

    def look(self, agent):
        try:
            status = pathlib.Path(f"/proc/{agent}/status").read_text()
            fields = pathlib.Path(f"/proc/{agent}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return
        peak = re.search(r"VmPeak:\s+(\d+) kB", status)
        if peak:
            self.seen.add(agent)
            self.peak = max(self.peak, int(peak[1]) * 1024)
            self.cpu[agent] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.join()


class HostileHub(HubCase):
    sshd_options = ("PermitUserEnvironment yes", "AcceptEnv *")

    def setUp(self):
        super().setUp()
        noise = random.Random(1)
        self.write("a", b"tiny\n")
        self.write("large", noise.randbytes(32 * MIB))
        self.write("small.jsonl", noise.randbytes(100_000))
        self.write("zeros", bytes(4 * MIB))
        self.write("d/e/f.jsonl", b"{}\n")
        (self.home / "secret").write_bytes(MARKER)
        (self.dir / "secret").write_bytes(MARKER)
        (self.source / "link").symlink_to(self.dir / "secret")
        (self.source / "out").symlink_to(self.home)
        self.before = tree_of(self.source, self.home)

    # The requests.

    def command(self, ssh, limit):
        agent = [str(AGENT), f"--root={self.source}", f"--memory-limit={limit}"]
        if not ssh:
            return agent
        # A shell that records how the agent ended.
        self.ended = self.dir / "ended"
        self.ended.unlink(missing_ok=True)
        script = self.dir / "start.sh"
        script.write_text(f"#!/bin/sh\n{' '.join(agent)} 2>{self.dir}/stderr\necho $? >{self.ended}\n")
        script.chmod(0o755)
        public = pathlib.Path(f"{self.sshd.key}.pub").read_text()
        self.sshd.authorized_keys.write_text(f'restrict,environment="HOME={self.home}",command="{script}" {public}')
        return ["ssh", "-F", str(self.sshd.ssh_config), "-o", "BatchMode=yes", "-T", "spoke"]

    def hostile(self, case, ssh=False, limit=512, at_pause=None):
        """Runs a case, and checks what must hold for every case. Returns its output, by name."""
        received = self.dir / "received"
        errors = open(self.dir / "errors", "wb")
        hub = subprocess.Popen([HOSTILE_HUB, case, received, *self.command(ssh, limit)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=errors, text=True, env=self.environment())
        says = {}
        top = self.sshd.process.pid if ssh else hub.pid
        with Watch(top) as watch:
            for line in hub.stdout:
                name, _, value = line.rstrip("\n").partition(": ")
                says[name] = value
                if name == "ready":
                    wait_for(lambda: watch.seen, what="the agent")
                    hub.stdin.write("on\n")
                    hub.stdin.flush()
                elif name == "done":
                    if at_pause:
                        at_pause(agents_below(top))
                    hung_up = time.monotonic()
                    hub.stdin.write("on\n")
                    hub.stdin.flush()
            hub.wait()
            wait_for(lambda: not agents_below(top), 20, "the agent's end")
            self.assertLess(time.monotonic() - hung_up, 4, says)
        hub.stdin.close()
        hub.stdout.close()
        errors.close()
        self.assertIn("done", says)
        self.assertTrue(watch.seen, "no agent was seen")
        self.assertLessEqual(watch.peak, limit * MIB)
        if ssh:
            code = int(wait_for(lambda: self.ended.exists() and self.ended.read_text().strip(), what="its code"))
            self.assertLess(code, 128, "ended by a signal")
        else:
            self.assertRegex(says["command"], r"^exit [01]$", says)
            self.assertLess(float(says["seconds"]), 2)
        self.assertEqual(tree_of(self.source, self.home), self.before)
        self.assertNotIn(MARKER, received.read_bytes())
        self.assertNotIn(MARKER, (self.dir / "errors").read_bytes())
        says["cpu"] = max(watch.cpu.values())
        return says

    def hostile_both(self, case):
        ways = ({}, {"limit": 64}, {"ssh": True})
        return [self.hostile(case, **way) for way in tiers.sweep(f"ways of {case}", ways, 2)]

    @staticmethod
    def outcome(says, name):
        return says[name].split(", ", 1)[1].strip()

    def test_malformed_signatures(self):
        for says in self.hostile_both("malformed-signatures"):
            self.assertIn("end 1", says["good"])
            for name in ("cut short", "cut in the header", "empty", "wrong magic", "weak hash", "no block length",
                         "huge block length", "no strong sum", "strong sum of 33"):
                self.assertEqual(self.outcome(says, name), "badRequest 1", name)
            self.assertEqual(self.outcome(says, "afterwards"), "begin 1 data 1 end 1")

    def test_huge_signatures(self):
        says = self.hostile("huge-signatures")
        self.assertEqual(self.outcome(says, "millions of blocks"), "badRequest 1")
        self.assertEqual(self.outcome(says, "afterwards"), "begin 1 data 1 end 1")
        self.hostile("huge-signatures", limit=64)
        # The agent hangs up before everything is sent: its message may or may not arrive first.
        self.assertRegex(self.hostile("too-huge-signature")["too huge"], "not a message|Broken pipe|reset by peer")

    def test_sums_made_to_be_equal(self):
        says = self.hostile("equal-sums")
        self.assertEqual(self.outcome(says, "all equal"), "badRequest 1")
        for name in ("every position, 64 KiB", "every position, 1 MiB"):
            self.assertIn("badRequest 1", self.outcome(says, name))
        self.assertEqual(self.outcome(says, "afterwards"), "begin 1 data 1 end 1")
        # Five hostile signatures, of files of 4 and 32 MiB: a few seconds each.
        self.assertLess(says["cpu"], 30)
        # At least one of the other delta.
        for case, ways in tiers.sweep("other ways", (("equal-sums", {"limit": 64}), ("slow-delta", {}), ("slow-delta", {"ssh": True})), 2):
            self.hostile(case, **ways)

    def test_invalid_ids(self):
        for says in self.hostile_both("strange-ids"):
            asked = [value for name, value in says.items() if name.split()[0] in ("pull", "signature", "digest")]
            self.assertGreater(len(asked), 20)
            self.assertEqual({value.split(", ")[1].strip() for value in asked}, {"badRequest 1"})

    def test_strange_arguments(self):
        says = self.hostile("strange-arguments")
        for size in (2**63, 2**64 - 1, 2**40):
            self.assertEqual(self.outcome(says, f"prefix of {size}"), "differs 1")
        for block in (2**31, 2**32 - 1):
            self.assertEqual(self.outcome(says, f"signature of {block}, 0"), "badRequest 1")
        self.hostile("strange-arguments", ssh=True)

    def test_lists_and_structs_without_size_or_end(self):
        for case in ("empty-elements", "deep-parameters"):
            for limit in tiers.sweep(f"limits of {case}", (512, 64), 1):
                says = self.hostile(case, limit=limit)
                if limit == 512:
                    self.assertEqual(self.outcome(says, "afterwards"), "begin 1 data 1 end 1")

    def test_millions(self):
        says = self.hostile("million-wants")
        self.assertEqual(self.outcome(says, "of no file"), "badRequest 600000")
        self.assertEqual(self.outcome(says, "of a tiny file"), "begin 100000 data 100000 end 100000")
        says = self.hostile("million-ids")
        self.assertEqual(self.outcome(says, "digest of none"), "badRequest 1000000")
        for case in tiers.sweep("millions with little memory", ("million-wants", "million-ids"), 1):
            self.hostile(case, limit=64)

    def test_too_much_at_once(self):
        cases = ("many-scans", "many-pulls", "many-sessions", "unread-answers", "unread-hellos", "prefix-lies")
        for case in cases:
            for limit in tiers.sweep(f"limits of {case}", (512, 64), 1):
                with self.subTest(case, limit=limit):
                    self.hostile(case, limit=limit)
        for case in tiers.sweep("too much over ssh", ("many-sessions", "unread-answers"), 1):
            self.hostile(case, ssh=True)

    def test_bytes_that_are_not_a_message(self):
        for case in ("garbage", "all-ones", "many-segments", "enormous-message", "nesting-bomb", "strange-numbers"):
            for ssh in tiers.sweep(f"whether {case} over ssh", (False, True), 1):
                with self.subTest(case, ssh=ssh):
                    says = self.hostile(case, ssh=ssh)
                    self.assertLess(float(says["hung up"].split()[0]), 5)

    def test_half_a_message(self):
        def idle(agents):
            self.assertEqual(len(agents), 1)  # it waits
        for case in ("half-a-message", "half-a-table", "promised-message", "nothing"):
            for ssh in tiers.sweep(f"whether {case} over ssh", (False, True), 1):
                with self.subTest(case, ssh=ssh):
                    self.hostile(case, ssh=ssh, at_pause=idle)

    def test_hanging_up_in_a_large_pull(self):
        for ssh in (False, True):
            self.hostile("large-pull", ssh=ssh)

    def test_not_reading_costs_no_processor_time(self):
        def waits(agents):
            def used():
                fields = pathlib.Path(f"/proc/{agents[0]}/stat").read_text().rsplit(")", 1)[1].split()
                return int(fields[11]) + int(fields[12])
            self.assertEqual(len(agents), 1)
            time.sleep(1)  # for work that had begun
            before = used()
            time.sleep(2)
            self.assertLessEqual(used() - before, 1)
        for ssh in (False, True):
            self.hostile("stops-reading", ssh=ssh, at_pause=waits)

    # The stolen key.

    def ssh(self, *args, env=None, seconds=30, program=("ssh",), data=b""):
        return subprocess.run([*program, "-F", self.sshd.ssh_config, "-o", "BatchMode=yes", *args], input=data,
                              capture_output=True, timeout=seconds, env={**os.environ, **(env or {})})

    def assert_nothing_but_the_agent(self, done):
        said = done.stdout + done.stderr
        for word in (MARKER, b"uid=", b"root:", b"SSH-2.0", b"HOME="):
            self.assertNotIn(word, said)
        if done.stdout:
            self.assertTrue(done.stdout.startswith(b"\n\0pi-brain-agent/1\n"), done.stdout[:80])
        self.assertEqual(tree_of(self.source, self.home), self.before)
        wait_for(lambda: not agents_below(self.sshd.process.pid), 5, "the agent's end")

    def test_no_command_but_the_agent(self):
        made = self.dir / "made"
        for command in ("id", "cat /etc/passwd", f"cat {self.dir}/secret", f"touch {made}", "-- --root=/etc",
                        f"pi-brain-agent --root={self.home}", f"$(touch {made})", f"; touch {made}", "sh -i", ""):
            for terminal in tiers.sweep(f"terminals of {command[:9]}", ("-T", "-tt"), 1):
                with self.subTest(command, terminal=terminal):
                    self.assert_nothing_but_the_agent(self.ssh(terminal, "spoke", command))
        self.assertFalse(made.exists())

    def test_no_copying(self):
        here = self.dir / "here"
        there = self.home / "there"
        for old in ((), ("-O",)):
            done = self.ssh(*old, f"spoke:{self.dir}/secret", here, program=("scp",))
            self.assertNotEqual(done.returncode, 0)
            self.assertFalse(here.exists() and MARKER in here.read_bytes())
            done = self.ssh(*old, self.config, f"spoke:{there}", program=("scp",))
            self.assertNotEqual(done.returncode, 0)
        done = self.ssh("spoke", program=("sftp",), data=f"get {self.dir}/secret {here}\nput {self.config} {there}\n"
                        .encode())
        self.assertNotEqual(done.returncode, 0)
        self.assert_nothing_but_the_agent(self.ssh("-s", "spoke", "sftp"))
        self.assertFalse(there.exists())

    def forwarding(self, *options, port=None, check=None):
        """Keeps a connection open with these options, and calls `check` with its process."""
        said = self.dir / "said"
        with open(said, "wb") as errors:
            client = subprocess.Popen(["ssh", "-F", self.sshd.ssh_config, "-o", "BatchMode=yes", "-o",
                                       "ExitOnForwardFailure=no", "-v", *options, "spoke"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=errors)
        try:
            # By then, ssh listens, and the server has answered.
            signs = ["Entering interactive session", *["remote forward "] * ("-R" in options)]
            wait_for(lambda: all(sign in said.read_text().replace("remote port forwarding failed", "remote forward ") for sign in signs),
                     what="the forwarding")
            if check:
                check()
        finally:
            kill(client.pid)
        out, _ = client.communicate(timeout=20)
        self.assertNotIn(MARKER, out)
        return said.read_text()

    def connect_through(self, port, first=b""):
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            s.sendall(first)
            try:
                return s.recv(100)
            except ConnectionResetError:
                return b""

    def test_no_forwarding(self):
        sshd, local = self.sshd.port, free_port()
        self.forwarding("-N", "-L", f"{local}:127.0.0.1:{sshd}",
                        check=lambda: self.assertEqual(self.connect_through(local), b""))
        local = free_port()
        socks = b"\x04\x01" + sshd.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + b"x\0"
        self.forwarding("-N", "-D", str(local), check=lambda: self.assertNotIn(
            b"SSH-2.0", self.connect_through(local, socks)))
        remote = free_port()
        said = self.forwarding("-N", "-R", f"127.0.0.1:{remote}:127.0.0.1:{sshd}", check=lambda: self.assertRaises(
            ConnectionRefusedError, self.connect_through, remote))
        self.assertIn("remote port forwarding failed", said)
        path = self.dir / "forwarded.sock"
        self.forwarding("-N", "-R", f"{path}:127.0.0.1:{sshd}")
        self.assertFalse(path.exists())
        self.assert_nothing_but_the_agent(self.ssh("-W", f"127.0.0.1:{sshd}", "spoke"))
        self.assert_nothing_but_the_agent(self.ssh("-w", "0:0", "spoke"))
        # Checks that without 'restrict', these would work.
        self.sshd.authorized_keys.write_text(self.sshd.authorized_keys.read_text().replace("restrict,", ""))
        local, remote, ways = free_port(), free_port(), []

        def both():
            for port in (local, remote):
                ways.append(self.connect_through(port))

        self.forwarding("-N", "-L", f"{local}:127.0.0.1:{sshd}", "-R", f"127.0.0.1:{remote}:127.0.0.1:{sshd}",
                        check=both)
        self.assertEqual([way[:8] for way in ways], [b"SSH-2.0-"] * 2)
        local = free_port()
        self.forwarding("-N", "-D", str(local),
                        check=lambda: self.assertIn(b"\0\x5a", self.connect_through(local, socks)))
        self.assertIn(b"SSH-2.0-", self.ssh("-W", f"127.0.0.1:{sshd}", "spoke").stdout)

    def test_no_terminal(self):
        said = "PTY allocation request failed"
        self.assertIn(said, self.ssh("-tt", "spoke").stderr.decode())
        self.sshd.authorized_keys.write_text(self.sshd.authorized_keys.read_text().replace("restrict,", ""))
        self.assertNotIn(said, self.ssh("-tt", "spoke").stderr.decode())

    def test_neither_agent_nor_x11_forwarding(self):
        said = self.dir / "environment"
        script = self.dir / "print.sh"
        script.write_text(f"#!/bin/sh\nenv >{said}\n")
        script.chmod(0o755)
        line = self.sshd.authorized_keys.read_text()
        self.assertIn("restrict,", line)
        self.sshd.authorized_keys.write_text(re.sub('command="[^"]*"', f'command="{script}"', line))
        self.sshd.client_setting("ForwardAgent yes")
        for restrict in (True, False):
            if not restrict:  # checks that it would work without the line
                self.sshd.authorized_keys.write_text(self.sshd.authorized_keys.read_text().replace("restrict,", ""))
            # Short, since a socket's path must be short.
            with tempfile.TemporaryDirectory() as short, ssh_agent(short, keygen(self.dir / f"held{restrict}")) as held:
                self.ssh("-X", "-o", f"IdentityAgent={held}", "spoke",
                         env={"DISPLAY": ":9", "SSH_AUTH_SOCK": str(held)})
            environment = said.read_text()
            self.assertEqual("SSH_AUTH_SOCK=" in environment, not restrict)
            if restrict:
                self.assertNotIn("DISPLAY=", environment)
                self.assertNotIn("SSH_TTY=", environment)

    def test_environment_of_the_hubs_choice(self):
        """Even if sshd accepts every variable, the agent reads sshd's own: sshd sets HOME and
        SSH_ORIGINAL_COMMAND after those of the client."""
        evil = self.dir / "evil"
        (evil / "sessions").mkdir(parents=True)
        (evil / "sessions" / "evil.jsonl").write_bytes(MARKER)
        (self.home / "sessions").symlink_to(self.source)
        self.before = tree_of(self.source, self.home)
        public = pathlib.Path(f"{self.sshd.key}.pub").read_text()
        names = {"HOME": evil, "LD_PRELOAD": evil / "x.so", "SSH_ORIGINAL_COMMAND": "evil", "PATH": evil,
                 "PIBRAIN_ESCAPE_ROOT": evil, "USER": "nobody", "PWD": evil, "GLIBC_TUNABLES": "x", "MALLOC_CHECK_": 3}
        sent = [f"SetEnv={' '.join(f'{name}={value}' for name, value in names.items())}"]
        self.sshd.authorized_keys.write_text(f'restrict,environment="HOME={self.home}",'
                                             f'command="{AGENT} --root=~/sessions" {public}')
        self.assert_nothing_but_the_agent(self.ssh("-o", *sent, "spoke"))
        self.sshd.client_setting(sent[0].replace("=", " ", 1))
        self.write_config([self.spoke(source="spoke:~/sessions", ssh="openssh")])
        self.sync()
        self.assert_mirrored(source=self.source)
        # Without an environment option in authorized_keys, HOME is the account's.
        self.sshd.authorized_keys.write_text(f'restrict,command="printenv HOME" {public}')
        self.assertEqual(self.ssh("spoke").stdout.decode().strip(), os.path.expanduser("~"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
