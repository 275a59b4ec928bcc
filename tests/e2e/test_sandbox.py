"""The sandbox of the agent: what an intruder in it would try, what a whole run opens, and machines that
cannot confine it."""
import json
import os
import pathlib
import re
import subprocess
import unittest

from harness import AGENT, HubCase, sessions, wait_for

ESCAPER = os.environ["PIBRAIN_TEST_ESCAPER"]
WITHOUT_LANDLOCK, WITHOUT_SECCOMP = (os.environ["PIBRAIN_TEST_WITHOUT_SYSCALLS"] + " " + what
                                     for what in ("landlock", "seccomp"))


class Sandbox(HubCase):
    def agent_says(self):
        done = self.pi_brain("sync", "doctor", "--json")
        return next(check for check in json.loads(done.stdout)["spokes"][0]["checks"] if check["step"] == "agent")

    def changed(self):
        """When anything in the tree, or the status of its files, last changed."""
        return self.source.stat().st_ctime_ns, (self.source / "session.jsonl").stat().st_ctime_ns

    def attempts(self, *wrapper):
        """Maps the name of each attempt of tests/e2e/escape.cc, made inside the agent that sshd started, to its outcome."""
        (self.dir / "outside").write_text("secret\n")
        if not (self.source / "session.jsonl").exists():
            self.write("session.jsonl", b"{}\n")
        log = self.dir / "attempts"
        script = self.dir / "start.sh"
        script.write_text(f"#!/bin/sh\nexport PIBRAIN_ESCAPE_ROOT={self.source}\n"
                          f"{{ {' '.join(wrapper)} {ESCAPER} --root={self.source} 2>&1 >&3 | cat >{log}; }} 3>&1\n")
        script.chmod(0o755)
        self.sshd.authorize(str(script))
        self.assertEqual(self.counts(), {"new": 1})  # it serves nevertheless
        self.assertEqual((self.source / "session.jsonl").read_bytes(), b"{}\n")
        # The hub does not wait for the script's end.
        wait_for(lambda: log.read_text().endswith("\nall tried\n"), what=f"the end of {log}")
        return dict(line.split(": ") for line in log.read_text().splitlines()[:-1])

    def test_what_an_intruder_would_try(self):
        self.write("session.jsonl", b"{}\n")
        before = self.changed()
        attempts = self.attempts()
        self.assertEqual(self.changed(), before)
        self.assertGreaterEqual(len(attempts), 54)
        # What the agent may watch. Otherwise, the attempts to watch more show nothing.
        self.assertEqual(attempts.pop("watch the root"), "ESCAPED")
        # fanotify_mark(2) refuses a descriptor that was not opened for reading.
        self.assertEqual(attempts.pop("watch outside by O_PATH"), "EBADF")
        self.assertEqual({name: how for name, how in attempts.items() if how not in ("EACCES", "EPERM", "ENOMEM")}, {})

    def test_without_landlock_the_filter_still_holds(self):
        escaped = {name for name, how in self.attempts(WITHOUT_LANDLOCK).items() if how == "ESCAPED"}
        # Landlock alone forbids reading elsewhere.
        self.assertEqual(escaped, {"read outside", "read /etc/passwd", "list outside", "watch the root", "watch outside"})

    def test_without_the_filter_landlock_still_holds(self):
        attempts = self.attempts(WITHOUT_SECCOMP)
        for what in ("read outside", "read /etc/passwd", "read by openat2 outside", "list outside", "write inside",
                     "write by openat2 inside", "truncate", "create", "mkdir", "unlink", "rename", "link", "symlink",
                     "exec", "TCP connection"):
            self.assertIn(attempts[what], ("EACCES", "EPERM", "EXDEV"), what)
        self.assertEqual(attempts["fork"], "ESCAPED")  # otherwise, this test shows nothing

    def test_limits_and_inherited_descriptors(self):
        """Those that the kernel shows for an agent that waits for a hub."""
        with open(self.dir / "open", "w+b") as other:
            agent = subprocess.Popen([AGENT, f"--root={self.source}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     pass_fds=[other.fileno()])
            try:
                self.assertTrue(agent.stdout.read(1))  # it greets once it is confined
                of = pathlib.Path("/proc") / str(agent.pid)
                limits = {line[:26].strip(): line[26:].split()[:2]
                          for line in (of / "limits").read_text().splitlines()}
                for limit, most in (("Max address space", 512 << 20), ("Max open files", 64),
                                    ("Max file size", 0), ("Max core file size", 0)):
                    self.assertEqual(limits[limit], [str(most)] * 2, limit)
                self.assertRegex((of / "status").read_text(), r"NoNewPrivs:\t1\nSeccomp:\t2\n")
                self.assertNotIn(str(self.dir / "open"), [os.readlink(fd) for fd in (of / "fd").iterdir()])
            finally:
                agent.stdin.close()
                self.assertEqual(agent.wait(timeout=20), 0)
                agent.stdout.close()

    def test_the_doctor_reports_what_is_in_force(self):
        self.write("session.jsonl", b"{}\n")
        says = self.agent_says()
        self.assertRegex(says["detail"], r"sandbox: Landlock \d+, seccomp, limits")
        self.assertEqual(says["state"], "ok")
        self.sshd.authorize(f"{WITHOUT_LANDLOCK} {AGENT} --root={self.source}")
        says = self.agent_says()
        self.assertIn("no Landlock, seccomp, limits", says["detail"])
        self.assertEqual((says["state"], says["failure"]["id"]), ("warning", "sandbox-incomplete"))
        self.sshd.authorize(f"{WITHOUT_SECCOMP} {AGENT} --root={self.source}")
        says = self.agent_says()
        self.assertRegex(says["detail"], r"Landlock \d+, no seccomp, limits")
        self.assertEqual((says["state"], says["failure"]["id"]), ("warning", "sandbox-incomplete"))
        self.assertEqual(self.counts(), {"new": 1})
        self.assert_mirrored()

    def test_require_sandbox(self):
        self.write("session.jsonl", b"{}\n")
        self.sshd.authorize(f"{AGENT} --root={self.source} --require-sandbox")
        self.assertEqual(self.counts(), {"new": 1})
        for kernel, has in ((WITHOUT_LANDLOCK, "no Landlock, seccomp"), (WITHOUT_SECCOMP, r"Landlock \d+, no seccomp")):
            self.sshd.authorize(f"{kernel} {AGENT} --root={self.source} --require-sandbox")
            error = self.sync_one(code=1)["error"]
            self.assertRegex(error, rf"this machine cannot fully confine the agent \({has}, limits\)")
            self.assertIn("Linux 5.13", error)
        self.assert_mirrored()

    def test_bounds_of_the_memory_limit(self):
        for value in ("0", "63", "-1", "64k", "", "1048577", "99999999999999999999"):
            done = subprocess.run([AGENT, f"--memory-limit={value}"], stdin=subprocess.PIPE, capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 2, value)
            self.assertIn("from 64 to 1048576", done.stderr)

    def test_what_a_run_opens(self):
        """strace of every kind of answer: nothing is opened for writing, and once the filter is loaded, nothing
        is opened or examined that is not beneath the root."""
        log = self.dir / "strace"
        self.sshd.authorize(f"strace -f -y -q -e signal=none -o {log} {AGENT} --root={self.source}")
        sessions.make(self.source, 60, seed=5)
        self.assertEqual(self.counts(), {"new": 60})

        def trace():
            # The hub does not wait for strace's end. The first thread is the last to end.
            wait_for(lambda: re.fullmatch(r"(\d+) .*\n\1 +\+\+\+ exited with \d+ \+\+\+\n", log.read_text(), re.S),
                     what=f"the end of {log}")
            return log.read_text()
        traces = [trace()]
        for change in (lambda: sessions.grow(self.source, 10, 3, seed=6),
                       lambda: sessions.rewrite(self.source, 10, seed=7),
                       lambda: sessions.fork(self.source, 10, seed=8)):
            change()
            self.sync_one()
            traces.append(trace())
        self.assert_mirrored()
        # And the requests of a comparison: digests, and the signature of a file that differs.
        rotten = max(self.mirror.rglob("*.jsonl"), key=lambda p: p.stat().st_size)
        times = rotten.stat()
        with open(rotten, "r+b") as out:
            out.write(b"!")
        os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertEqual(self.pi_brain("sync", "verify").returncode, 1)
        traces.append(trace())
        for trace in traces:
            before, after = re.split(r"\bseccomp\(SECCOMP_SET_MODE_FILTER[^\n]*= 0\n", trace, maxsplit=1)
            self.assertTrue("landlock_restrict_self(" in before, "landlocked before the filter")
            self.assertFalse("read(0<" in before, "input read outside of the sandbox")
            self.assertTrue("read(0<" in after, "input read in the sandbox")
            # Except the counters of a build with coverage (tests/coverage.sh).
            trace = re.sub(r"(?m)^.*\.profraw.*\n", "", trace)
            self.assertEqual(re.findall(r".*(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC).*", trace), [])
            calls = set(re.findall(r"^\d+ +(\w+)\(", after, re.M))
            self.assertFalse(calls & {"execve", "socket", "connect", "bind", "listen", "fork", "vfork", "ptrace",
                                      "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat",
                                      "open", "creat", "truncate", "ftruncate", "kill", "chdir"}, calls)
            named = re.findall(r"\b(?:openat2?|newfstatat|statx|readlinkat)\(([^,]*), \"([^\"]*)\"", after)
            self.assertTrue(named)
            for directory, path in named:
                if path == "":
                    continue  # about the descriptor itself
                self.assertRegex(directory, rf"^\d+<{re.escape(str(self.source))}(/.*)?>$", path)
                self.assertFalse(path.startswith("/") or ".." in path.split("/"), path)
            self.assertEqual(re.findall(r"\+\+\+ exited with (\d+)", trace)[-1], "0")


if __name__ == "__main__":
    unittest.main(verbosity=2)
