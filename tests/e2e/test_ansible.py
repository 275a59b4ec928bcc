"""deploy/ansible, by the real Ansible, against sshds with homes of their own."""
import json
import os
import pathlib
import re
import subprocess
import unittest

import fleet
import harness
import tiers

ANSIBLE = pathlib.Path(__file__).resolve().parent.parent.parent / "deploy/ansible"


class Ansible(fleet.FleetCase):
    def setUp(self):
        super().setUp()
        for shell in tiers.sweep("shells", ("/bin/bash", "/bin/sh", "/usr/bin/fish"), 1):
            # Ansible cannot copy into a home with spaces in its path, and cannot make directories if a start-up file
            # prints text without a line end.
            self.fleet.add(shell, noise=False, place="home-of-").wait()
        # bash alone reads this.
        (self.fleet.spokes[0].home / ".bashrc").write_text("echo Welcome back; echo 'and mind the step' >&2\n")
        self.key = harness.keygen(self.fleet.home / ".ssh/pi-brain-sync")
        self.public = self.key.with_suffix(".pub").read_text().strip()
        agents = self.dir / "agents"
        agents.mkdir()
        (agents / f"pi-brain-agent-{os.uname().machine}").write_bytes(harness.AGENT.read_bytes())
        self.variables = {"pi_brain_spoke_agents": str(agents), "ansible_python_interpreter": "/usr/bin/python3"}
        self.inventory = self.dir / "inventory"
        self.inventory.write_text("[spokes]\n" + "".join(f"{box.name} ansible_host={box.address} ansible_user=root\n"
                                                         for box in self.fleet.spokes))

    def play(self, *arguments, code=0, **variables):
        """Runs the playbook, and returns the counts of the recap for each host."""
        env = {**self.fleet.environment(), "ANSIBLE_HOME": str(self.dir / "ansible"), "ANSIBLE_NOCOLOR": "1",
               "ANSIBLE_LOCALHOST_WARNING": "0"}
        env["ANSIBLE_SSH_ARGS"] = f"-F {self.fleet.home}/.ssh/config -o UserKnownHostsFile={self.fleet.known_hosts} " \
                                  f"-i {self.fleet.home}/.ssh/id_ed25519 -o ControlMaster=no"
        done = subprocess.run(["ansible-playbook", "-i", self.inventory, ANSIBLE / "spokes.yml", "-e",
                               json.dumps({**self.variables, **variables}), *arguments], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, code, done.stdout)
        recap = re.findall(r"^(\S+) +: (.*)$", done.stdout, re.M)
        self.said = done.stdout
        return {name: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", counts)} for name, counts in recap}

    def expect_changed(self, count, *arguments, **variables):
        """Plays, and expects that many changes to each machine."""
        recap = self.play(*arguments, **variables)
        self.assertEqual({name: one["changed"] for name, one in recap.items()}, {box.name: count for box in self.fleet.spokes}, self.said)

    def test_play(self):
        boxes = self.fleet.spokes
        before = {box.name: box.files() for box in boxes}
        # A play takes a while, so the short tier has two of the plays that must change nothing: the second, and one more.
        others = tiers.sweep("plays", ("--check before", "--check afterwards", "absent twice"), 1)
        if "--check before" in others:
            looked = self.play("--check")
            self.assertEqual({name: one["failed"] for name, one in looked.items()}, {box.name: 0 for box in boxes}, self.said)
            self.assertTrue(all(one["changed"] > 0 for one in looked.values()), self.said)
            for box in boxes:
                self.assertEqual(self.left(box, before), set())
        # The agent's directory, the agent, and the line.
        self.expect_changed(3, **self.options)
        for box in boxes:
            self.assertEqual(self.left(box, before), {".local/lib/pi-brain/pi-brain-agent", ".ssh/authorized_keys"})
            (line,) = box.lines()
            # The line that 'spoke add' writes, which therefore finds nothing to change.
            self.assertTrue(line.startswith(f'restrict,{"from=" if self.options else "command="}"'), line)
        for arguments in ([], ["--check"])[:1 + ("--check afterwards" in others)]:
            self.expect_changed(0, *arguments, **self.options)
        self.hub_finds_nothing_to_change()
        if tiers.FULL:  # in the short tier, self.options have it
            self.expect_changed(1, pi_brain_spoke_from="192.0.2.0/24")
            for box in boxes:
                self.assertIn('restrict,from="192.0.2.0/24",command="', box.lines()[0])
        gone = {"pi_brain_spoke_state": "absent"}
        if tiers.FULL:
            self.expect_changed(1, "--check", **gone)
        self.expect_changed(1, **gone)
        for box in boxes:
            self.assertEqual(self.left(box, before), set())
        if "absent twice" in others:
            self.expect_changed(0, **gone)

    ODD = {"pi_brain_spoke_root": "~/odd place's", "pi_brain_spoke_from": "127.0.0.0/8"}
    # In the short tier, the one machine has the odd root.
    options = {} if tiers.FULL else ODD

    def hub_finds_nothing_to_change(self):
        """'spoke add' changes nothing, and a run syncs."""
        for number, box in enumerate(self.fleet.spokes):
            root = []
            if self.options:
                self.assertIn('restrict,from="127.0.0.0/8",command="', box.lines()[0])
                (box.home / "odd place's").mkdir()
                (box.home / "odd place's/a.jsonl").write_text("{}\n")
                root = ["--root", "~/odd place's"]
            else:
                harness.sessions.make(box.sessions, 2, seed=number)
            change = json.loads(self.fleet.pi_brain("spoke", "add", box.name, f"root@{box.address}", *root, "--json"))["spokes"][0]
            self.assertEqual((change["agent"], change["line"]), ("same", "same"), change)
        self.assertEqual(self.fleet.pi_brain("sync", "run").count("✓ box"), len(self.fleet.spokes))
        for box in self.fleet.spokes if self.options else ():
            (box.home / "odd place's/a.jsonl").unlink()

    @staticmethod
    def left(box, before):
        """The files that are new or changed, without Ansible's own directory."""
        return {path for path, text in box.files().items() if before[box.name].get(path) != text and not path.startswith(".ansible/")
                and not path.startswith((".config/", ".local/share/fish/"))}

    @unittest.skipUnless(tiers.FULL, "in the full tier: e2e.install_spoke covers it in the short one")
    def test_files_of_others_stay(self):
        box, linked, broken = self.fleet.spokes
        other = harness.keygen(self.dir / "other")
        linked.authorized.rename(linked.authorized.with_name("real"))
        linked.authorized.symlink_to("real")
        mine = box.home / ".local/lib/pi-brain/mine"
        mine.parent.mkdir(parents=True, mode=0o755)
        mine.write_text("mine")
        # Lines without an end, of another system, and commented out; and options that the owner added to ours.
        before = self.fleet.public_key.encode() + b"ssh-rsa AAAAother caf\xe9\r\n#" + self.public.encode() + b"\n# no end"
        box.authorized.write_bytes(before)
        self.play("--limit", "box01", pi_brain_spoke_from="127.0.0.0/8")
        self.assertTrue(box.authorized.read_bytes().startswith(before + b"\nrestrict,"))
        (line,) = [line for line in box.lines() if line.startswith("restrict")]
        strict = line.replace('" ssh-ed25519', ' --require-sandbox" ssh-ed25519')
        box.authorized.write_bytes(box.authorized.read_bytes().replace(line.encode(), strict.encode()))
        self.play("--limit", "box01")
        self.assertIn(strict, box.lines())
        self.play("--limit", "box01", pi_brain_spoke_key=(self.dir / "other.pub").read_text().strip())
        gone = {"pi_brain_spoke_state": "absent"}
        self.play("--limit", "box01", **gone)
        self.assertTrue(box.agent.exists(), "the other key starts it")
        self.play("--check", "--limit", "box01", pi_brain_spoke_key=(self.dir / "other.pub").read_text().strip(), **gone)
        self.assertTrue(box.agent.exists())
        self.play("--limit", "box01", pi_brain_spoke_key=(self.dir / "other.pub").read_text().strip(), **gone)
        self.assertEqual([p.name for p in mine.parent.iterdir()], ["mine"])
        self.assertEqual(box.authorized.read_bytes(), before + b"\n")
        # A line that somebody may log in with is neither locked down nor removed.
        before = box.authorized.read_bytes()
        self.play("--limit", "box01", code=2, pi_brain_spoke_key=self.fleet.public_key.strip())
        self.assertFalse(box.agent.exists())
        self.assertIn("--dedicated", re.sub(r"\s+", " ", self.said))
        self.play("--limit", "box01", pi_brain_spoke_key=self.fleet.public_key.strip(), **gone)
        self.assertEqual(box.authorized.read_bytes(), before)
        self.play("--limit", "box01", code=2, pi_brain_spoke_from='1.2.3.4",command="x')
        self.assertIn("--from takes", re.sub(r"\s+", " ", self.said))
        self.play("--limit", "box02", code=2)
        self.assertIn("is a symlink", re.sub(r"\s+", " ", self.said))
        self.assertTrue(linked.authorized.is_symlink())
        # An agent that does not run replaces no other.
        self.play("--limit", "box03")
        agents = self.dir / "broken"
        agents.mkdir()
        (agents / f"pi-brain-agent-{os.uname().machine}").write_text("#!/bin/false\n")
        self.play("--limit", "box03", code=2, pi_brain_spoke_agents=str(agents))
        self.assertEqual(broken.agent.read_bytes(), harness.AGENT.read_bytes())
        # A broken agent is replaced.
        broken.agent.chmod(0o600)
        broken.agent.write_text("broken")
        self.play("--limit", "box03")
        self.assertEqual(broken.agent.read_bytes(), harness.AGENT.read_bytes())

    def test_odd_roots_and_mistakes(self):
        if tiers.FULL:  # in the short tier, test_play has them
            self.options = self.ODD
            self.play(**self.options)
            self.hub_finds_nothing_to_change()
        self.play(pi_brain_spoke_key=self.key.read_text(), code=2)
        self.assertIn("never the private one", re.sub(r"\s+", " ", self.said))


if __name__ == "__main__":
    fleet.main()
