"""deploy/fleet.sh over many machines, three of them broken; then runs, upgrades, new keys and removals."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import unittest

import fleet
import harness
import tiers
from test_install_spoke import on_terminal

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "deploy/fleet.sh"
MACHINES = tiers.rounds(20, 9)  # at least 6: three are broken at first, and later three of the others


# These tests need fewer machines.
FEWER = {"test_inventories": 3, "test_where_it_reads_from_and_writes_to": 1, "test_a_silent_machine": 1, "test_on_a_terminal": 1,
         "test_how_long_it_takes": tiers.rounds(MACHINES, len(fleet.SHELLS))}


class TwentySpokes(fleet.FleetCase):
    def setUp(self):
        super().setUp()
        for number in range(FEWER.get(self._testMethodName, MACHINES)):
            self.fleet.add(fleet.SHELLS[number % len(fleet.SHELLS)])
        for box in self.fleet.spokes:
            box.wait()
            box.sessions.mkdir(parents=True)
        self.home = self.fleet.home
        self.inventory = self.dir / "inventory"
        self.inventory.write_text("# name  login  [root]\n\n" + "".join(f"{box.name}  root@{box.address}\n" for box in self.fleet.spokes))

    def script_environment(self):
        env = self.fleet.environment()
        return {**env, "PATH": f"{harness.BIN}:{env['PATH']}"}

    def script(self, *arguments, code=0, inventory=None):
        began = time.monotonic()
        done = subprocess.run([SCRIPT, "--inventory", inventory or self.inventory, *map(str, arguments)],
                              env=self.script_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.took = time.monotonic() - began
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def outcomes(self, path=None):
        report = json.loads((path or self.home / ".pi-brain/logs/fleet.json").read_text())
        return {one["spokes"][0]["name"]: one["spokes"][0] for one in report}

    def expect(self, outcome, but=()):
        for name, one in self.outcomes().items():
            self.assertEqual(one["outcome"], "failed" if name in but else outcome, one)
        self.assertEqual(len(self.outcomes()), len(self.fleet.spokes))

    def sync(self, *arguments, code=0):
        said = self.fleet.pi_brain("sync", "run", "--jobs", 8, "--json", *arguments, code=code)
        return {one["name"]: one for one in json.loads(said)["spokes"]}

    def assert_mirrored(self, boxes):
        for box in boxes:
            mirror = self.home / ".pi-brain/synced" / box.name
            theirs = harness.files_below(box.sessions)
            self.assertEqual(set(theirs), set(harness.files_below(mirror)), box.name)
            for path in theirs:
                self.assertEqual(harness.read_below(box.sessions, path), harness.read_below(mirror, path))

    def test_deploy_run_upgrade_rotate_remove(self):
        boxes = self.fleet.spokes
        before = {box.name: box.files() for box in boxes}
        # Three that cannot be set up: one is off, one has a symlink for its keys, one runs no programs from its home.
        off, linked, noexec = boxes[1], boxes[len(boxes) // 2], boxes[-1]
        off.stop()
        linked.authorized.rename(linked.authorized.with_name("real"))
        linked.authorized.symlink_to("real")
        (noexec.home / ".local").mkdir()
        subprocess.run(["nsenter", f"--mount=/proc/{noexec.sshd.pid}/ns/mnt", f"--root=/proc/{noexec.sshd.pid}/root", "mount", "-t", "tmpfs", "-o", "noexec", "none",
                        noexec.home / ".local"], check=True)
        broken = {off.name: ("connection-refused", off.address), linked.name: ("install-failed", "symlink"),
                  noexec.name: ("install-failed", "noexec")}

        said = self.script("--dry-run", code=1)
        self.assertIn(f"2 failed, {len(boxes) - 2} would be added (nothing was changed)", said)
        self.expect("added", but=[off.name, linked.name])  # whether programs may run shows only in a real run
        self.assertFalse(self.fleet.config.exists())
        said = self.script(code=1)
        self.expect("added", but=broken)
        self.assertIn(f"{len(boxes)} machines: {len(boxes) - 3} added, 3 failed", said)
        for name, (failure, words) in broken.items():
            self.assertEqual(self.outcomes()[name]["failure"]["id"], failure)
            self.assertIn(words, self.outcomes()[name]["error"])
            (row,) = [line for line in said.splitlines() if line.startswith(name)]
            self.assertIn(words, row)
            box = next(box for box in boxes if box.name == name)
            if box is not linked:
                self.assertEqual(box.files(), before[name])
        well = [box for box in boxes if box.name not in broken]
        for box in well:
            after = box.files()
            self.assertEqual(set(after) - set(before[box.name]), {".local/lib/pi-brain/pi-brain-agent"})
            self.assertEqual(len(box.lines()), 1)
        config = self.fleet.config.read_text()
        self.script(code=1)
        self.expect("unchanged", but=broken)
        self.assertEqual(self.fleet.config.read_text(), config)

        # A machine that was fixed can be added.
        linked.authorized.unlink()
        linked.authorized.with_name("real").rename(linked.authorized)
        self.script("--limit", "*" + linked.name[-2:])
        self.assertEqual({name: one["outcome"] for name, one in self.outcomes().items()}, {linked.name: "added"})
        well.append(linked)

        # Three whose sync fails: one is off, one lost its sessions, one its agent.
        for number, box in enumerate(well):
            harness.sessions.make(box.sessions, 3 + number % 4, seed=number)
        dead, emptied, bare = well[0], well[1], well[-2]
        sound = [box for box in well if box not in (dead, emptied, bare)]
        dead.stop()
        shutil.rmtree(emptied.home / ".pi")
        bare.agent.unlink()
        results = self.sync(code=1)
        self.assertEqual({name: one["failure"]["id"] for name, one in results.items() if one["outcome"] != "ok"},
                         {dead.name: "connection-refused", emptied.name: "root-missing", bare.name: "agent-missing"})
        self.assert_mirrored(sound)

        # An upgrade restores the missing agent, and replaces old ones.
        old = sound[:3]
        for box in old:
            box.age_agent()
        emptied.sessions.mkdir(parents=True)
        changes = json.loads(self.fleet.pi_brain("spoke", "upgrade", "--all", "--json", code=1))["spokes"]
        self.assertEqual({one["name"]: one["outcome"] for one in changes},
                         {box.name: "failed" if box is dead else "upgraded" if box in [bare, *old] else "unchanged"
                          for box in well})
        alive = [box for box in well if box is not dead]
        for box in alive:
            self.assertEqual(box.agent.read_bytes(), harness.AGENT.read_bytes())
        for box in alive[::4]:
            self.fleet.pi_brain("spoke", "rotate-key", box.name)
        results = self.sync(code=1)
        self.assertEqual({name for name, one in results.items() if one["outcome"] != "ok"}, {dead.name})
        self.assert_mirrored(alive)

        listed = json.loads(self.fleet.pi_brain("spoke", "list", "--json"))["spokes"]
        self.assertEqual(len({one["fingerprint"] for one in listed}), 1 + len(alive[::4]))
        for box in alive:
            self.fleet.pi_brain("spoke", "remove", box.name)
            self.assertEqual(box.files(), before[box.name])
        self.fleet.pi_brain("spoke", "remove", dead.name, "--force")
        self.assertEqual(json.loads(self.fleet.pi_brain("spoke", "list", "--json"))["spokes"], [])

    def test_how_long_it_takes(self):
        before = {box.name: box.files() for box in self.fleet.spokes}
        self.script()
        deploy = self.took
        self.expect("added")
        began = time.monotonic()
        self.sync()
        run = time.monotonic() - began
        self.script()
        self.expect("unchanged")
        left = [{path: text for path, text in box.files().items() if before[box.name].get(path) != text}
                for box in self.fleet.spokes]
        extra = [sum(map(len, files.values())) - len(box.before) for files, box in zip(left, self.fleet.spokes)]
        print(f"\n{len(left)} fresh spokes: deployed in {deploy:.1f} s, first run {run:.1f} s, deployed again in {self.took:.1f} s; "
              f"left on each: {sorted(left[0])}, {min(extra)} to {max(extra)} bytes more than before")
        self.assertEqual({len(files) for files in left}, {2})

    def test_inventories(self):
        config = self.dir / "ssh_config"
        config.write_text("Include more/*\nUser nobody\nHost *\n  ServerAliveInterval 5\n  Ciphers aes256-gcm@openssh.com\n"
                          "  ControlPath ~/.ssh/%r@%h\n  SetEnv A=b@c\nHost box01 box02 # both\n  User root\n"
                          "Host !x box-*\nhost=\"box03\"\nHost box01 # ask admin@example.com\n  Port 22\n")
        self.script("--dry-run", inventory=config)
        self.assertEqual(set(self.outcomes()), {"box01", "box02", "box03"})
        report = self.dir / "deep/report.json"
        self.script("--dry-run", "--limit=*[12]", "--report", report, inventory=config)
        self.assertEqual(set(self.outcomes(report)), {"box01", "box02"})
        other = self.dir / "other"
        (self.fleet.spokes[0].home / "my sessions").mkdir()
        other.write_text("one root@127.0.1.1 ~/my sessions   # of the first\r\n")
        self.script(inventory=other)
        self.assertRegex(self.fleet.spokes[0].lines()[0], r'/my%20sessions"')
        self.script(inventory=other, code=2, *["--report", self.dir])
        for text, words in [("one\n", ":1: expected NAME USER@HOST"), ("# x\na b\na c\n", ":3: the name a is already used in line 2"),
                            ("# nothing\n", "no machine"), ("a root@b\nhost c\n", ":1: this line looks like a machine"),
                            ("a b\rc d\n", ":1: this line has a control character")]:
            other.write_text(text)
            self.assertIn(words, self.script(inventory=other, code=2))
        for arguments in (["--jobs", "0"], ["--jobs", "99999999999999"], ["--report", "/proc/none/x"], ["--limit", "nobody"], ["--frob"], ["--inventory", "/nowhere"]):
            self.script(*arguments, code=2)
        other.write_text("../x root@127.0.1.1\nquo\"te root@127.0.1.2\nba\"d -x\\y\n")
        said = self.script(inventory=other, code=1)
        self.assertIn('the name "../x" cannot be used', said.replace("'", '"'))
        outcomes = self.outcomes()
        self.assertEqual(outcomes['ba"d']["outcome"], "failed")
        self.assertEqual(outcomes["../x"]["outcome"], "failed")
        self.assertEqual(outcomes['quo"te']["outcome"], "added")

    def test_where_it_reads_from_and_writes_to(self):
        """From a pipe, a file of Windows, a name that awk would take for a variable; to a pipe, a symlink."""
        inventory = b"\xef\xbb\xbfone root@127.0.1.1\r\n"
        named = self.dir / "in=v"
        named.write_bytes(inventory)
        logs = self.dir / "logs"
        fifo, real, link = self.dir / "fifo", self.dir / "real", self.dir / "link"
        os.mkfifo(fifo)
        reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
        real.write_text("before")
        dangling = self.dir / "dangling"
        dangling.symlink_to(logs)
        link.symlink_to(real)
        for source, report in (("in=v", fifo), ("in=v", link), ("in=v", dangling), ("/dev/stdin", "/dev/stdout")):
            done = subprocess.run([SCRIPT, "--inventory", source, "--report", report], env=self.script_environment(), cwd=self.dir,
                                  input=inventory, capture_output=True)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn(b"1 machine:", done.stdout)
            if report == "/dev/stdout":
                self.assertIn(b'"name": "one"', done.stdout)
        self.assertIn(b'"name": "one"', reader.communicate()[0])
        self.assertTrue(fifo.is_fifo())
        self.assertTrue(link.is_symlink())
        self.assertEqual(set(self.outcomes(logs)), {"one"})
        with open(self.dir / "all", "w") as out:
            subprocess.run([SCRIPT, "--inventory", "in=v", "--report", "/dev/stdout"], env=self.script_environment(), cwd=self.dir,
                           stdin=subprocess.DEVNULL, stdout=out, check=True)
        self.assertRegex((self.dir / "all").read_text(), r"(?s)^NAME .*\n\[\n.*1 machine: ")
        self.assertEqual(set(self.outcomes(real)), {"one"})
        self.assertEqual(sorted(p.name for p in self.dir.glob("link*")), ["link"])

    def test_port_and_exclusions(self):
        inventory = self.dir / "ports"
        inventory.write_text("one root@127.0.1.1:22\n")
        self.script("--exclude", "*.tmp", "--exclude", "node modules/", inventory=inventory)
        self.assertIn("port: 22\n", self.fleet.config.read_text())
        (line,) = self.fleet.spokes[0].lines()
        self.assertIn("--exclude=bytes:%2A.tmp --exclude=bytes:node%20modules/", line)

    def test_a_mistake_in_the_config(self):
        self.fleet.config.parent.mkdir(exist_ok=True)
        self.fleet.config.write_text("spokes: 7\n")
        self.script(code=1)
        for outcome in self.outcomes().values():
            self.assertEqual((outcome["outcome"], outcome["failure"]["id"]), ("failed", "config-invalid"))

    def test_on_a_terminal(self):
        """A failure stands below its row, with the texts broken between words, and each command whole on its line."""
        inventory = self.dir / "some"
        inventory.write_text("one root@127.0.1.1\noff root@127.0.1.99\nba\"d -x\\y\n")

        def seen(columns, *arguments, code):
            return on_terminal(columns, [SCRIPT, "--inventory", inventory, *arguments], code, env=self.script_environment())

        said = seen(80, code=1)
        failure = self.outcomes()["off"]["failure"]
        below = said[said.index("off  "):].split("\n")[1:]
        self.assertEqual(below[0], f"  {failure['what']}")
        self.assertTrue(below[1].startswith("    Why: ") and below[2].startswith(" " * 9), said)
        commands = {f"      {fix['command']}" for fix in failure["fixes"]}
        self.assertGreater(len(commands), 1)
        self.assertLessEqual(commands, set(below))
        self.assertIn("root@127.0.1.1                 added ", said)
        self.assertIn("  '-x\\\\y' is not user@host", said)  # with the hub's own escape
        self.assertTrue(all(len(line) <= 80 for line in said.split("\n") if line not in commands and "/" not in line), said)
        # Elsewhere, a failure stands in its row.
        row = self.script("--limit=off", code=1, inventory=inventory).splitlines()[1]
        self.assertTrue(row.endswith(self.outcomes()["off"]["error"]), row)
        # A failure of the config is a failure of each machine.
        self.fleet.config.write_text("spokes: 7\n")
        self.assertIn("\n    Fix: ", seen(80, code=1))
        (self.dir / "some").write_text("a root@b\nhost c\n")
        self.assertRegex(seen(60, code=2), r"^fleet.sh: .*:1: .*\n  .*")

    def test_a_silent_machine(self):
        inventory = self.dir / "silent"
        inventory.write_text("silent root@127.0.1.99\none root@127.0.1.1\n")
        with open(self.fleet.known_hosts, "a") as known:
            known.write(f"127.0.1.99 {self.fleet.host_public}\n")
        with socket.create_server(("127.0.1.99", 22)):
            said = self.script(inventory=inventory, code=1)
        self.assertLess(self.took, 40)
        outcomes = self.outcomes()
        self.assertEqual((outcomes["silent"]["outcome"], outcomes["one"]["outcome"]), ("failed", "added"), said)


if __name__ == "__main__":
    fleet.main()
