"""deploy/GUIDE.md and README.md, followed to the letter.

Every shell, YAML, ssh-config and crontab block is run or used in the order in which it stands, on a
machine made for it: namespaces in which the list of users, and so the home directory, /usr, /var/lib and the host
names are throw-away ones, and 'laptop' is an sshd on a loopback address, with a home of its own.
The guide is followed twice, with the packages and with 'cmake --install'.
Stand-ins are sudo (whoever runs this is root there already), apt (which only unpacks: what the packages depend on is
there) and systemctl (there is no systemd that serves this user). Needs root, for the namespaces.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
import mounts
from harness import sessions

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
SPOKES = ("laptop", "laptop.local", "old-box")
# Commands that other tests run: e2e.demo, and the run of all tests.
ELSEWHERE = ("deploy/demo.sh ", "tests/run.sh ")
# What belongs to the other way of installing, and where things are with this one.
OTHERS = {"packages": "cmake --install", "cmake": "cpack"}
MOVED = {"packages": "/usr", "cmake": "/usr/local"}
METRICS = pathlib.Path("/var/lib/prometheus/node-exporter")


def blocks(document):
    """(language, text) of each fenced block with a language."""
    return re.findall(r"^```([a-z-]+)\n(.*?)^```$", document.read_text(), re.M | re.S)


def run(command, **options):
    return subprocess.run(command, check=True, **options)


def bind(source, target):
    run(["mount", "--bind", source, target])


class Machine:
    """The machine inside the namespaces; this process is the hub."""

    def __init__(self, work, way):
        self.work, self.way = work, way
        run(["ip", "link", "set", "lo", "up"])
        self.cover("/usr")
        self.cover("/var/lib")
        METRICS.mkdir(parents=True, exist_ok=True)
        self.hub_home, self.spoke_home = self.make("hub-home"), self.make("spoke-home")
        self.users = pathlib.Path("/etc/passwd").read_text()
        bind(self.make("usr-local"), "/usr/local")
        for name in ("bin", "share"):
            pathlib.Path("/usr/local", name).mkdir()
        for name, script in (("sudo", 'exec "$@"'), ("systemctl", f'echo "$*" >> {work}/systemctl'),
                             ("apt", '[ "$1" = install ] && shift && for deb; do dpkg-deb -x "$deb" /; done')):
            program = work / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        self.start_spoke()
        bind(self.etc_with(self.hub_home), "/etc")

    def make(self, name):
        directory = self.work / name
        directory.mkdir(mode=0o700)
        return directory

    def cover(self, place):
        """What is written there from now on is gone with the machine."""
        upper, spare = (self.make(f"{kind}{place.replace('/', '-')}") for kind in ("upper", "spare"))
        upper.chmod(0o755)
        run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={place},upperdir={upper},workdir={spare}", place])

    def etc_with(self, home):
        """An /etc in which root has this home, with the host names of the documents."""
        entry = f":x:0:0::{home}:/bin/bash\n"
        return mounts.etc_with(self.work / f"etc-{home.name}", hosts=f"127.0.0.1 localhost\n127.0.0.2 {' '.join(SPOKES)}\n",
                               passwd=re.sub(r"^root:.*\n", "root" + entry, self.users, flags=re.M) + "will" + entry + "user" + entry)

    def start_spoke(self):
        """Starts sshd with the spoke's home, where the user can log in already."""
        ssh = self.hub_home / ".ssh"
        ssh.mkdir(mode=0o700)
        harness.keygen(ssh / "id_ed25519")
        host_key = harness.keygen(self.work / "host_key")
        kind, blob = (self.work / "host_key.pub").read_text().split()[:2]
        (ssh / "known_hosts").write_text("".join(f"{name} {kind} {blob}\n" for name in SPOKES))
        (self.spoke_home / ".ssh").mkdir(mode=0o700)
        shutil.copy(ssh / "id_ed25519.pub", self.spoke_home / ".ssh/authorized_keys")
        self.sessions = self.spoke_home / ".pi/agent/sessions"
        sessions.make(self.sessions, 40, seed=5)
        config = self.work / "sshd_config"
        config.write_text(f"ListenAddress 127.0.0.2:22\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
                          f"PermitRootLogin yes\nSubsystem sftp internal-sftp\nStrictModes yes\n"
                          f"SetEnv PATH=/usr/bin:/bin\nLogLevel VERBOSE\n" + "\n".join(harness.for_tests()) + "\n")
        os.makedirs("/run/sshd", exist_ok=True)
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.sshd = subprocess.Popen(["unshare", "-m", "sh", "-ec", f"mount --bind {self.etc_with(self.spoke_home)} /etc; "
                                      f"exec {sshd} -D -E {self.work}/sshd.log -f {config}"])

        def ready():
            scan = subprocess.run(["ssh-keyscan", "-T", "1", "127.0.0.2"], capture_output=True)
            return scan.stdout
        harness.wait_for(ready, what="the spoke")

    def shell(self, text):
        path = f"{self.work}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        env = {"HOME": str(self.hub_home), "PATH": path, "LC_ALL": "C.UTF-8", "USER": "root", "TERM": "dumb"}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=PROJECT, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"exit {done.returncode} of:\n{text}\n{done.stdout}\n{(self.work / 'sshd.log').read_text()[-2000:]}")
        return done.stdout

    def follow(self, document):
        """Returns the output of all shell blocks."""
        said = []
        for language, text in blocks(document):
            if language == "sh" and (text.startswith(ELSEWHERE) or OTHERS[self.way] in text):
                continue
            for directory in ("share/pi-brain/", "lib/pi-brain", "bin/pi-brain "):
                text = text.replace(f"/usr/{directory}", f"{MOVED[self.way]}/{directory}")
            print(f"--- {document.name}: {language}\n{text}", flush=True)
            said.append(getattr(self, language.replace("-", "_"))(text))
        return "\n".join(said)

    def sh(self, text):
        return self.shell(text)

    def ssh_config(self, text):
        with open(self.hub_home / ".ssh/config", "a") as config:
            config.write(text)
        return ""

    def yaml(self, text):
        """Checks that each is a valid config; one for the laptop alone must find nothing to fetch again."""
        config = self.work / "other.yaml"
        config.write_text(text)
        names = self.shell(f"pi-brain sync list --names -c {config}").split()
        assert names, text
        if names == ["laptop"]:
            said = self.shell(f"pi-brain sync run -c {config}")
            assert "✓ laptop: nothing new" in said, said
        return ""

    def crontab(self, text):
        """Runs the line as cron does, by sh with hardly any environment."""
        for line in text.splitlines():
            command = line.split(None, 5)[5]
            run(["env", "-i", f"HOME={self.hub_home}", "PATH=/usr/bin:/bin", "sh", "-c", command])
        return ""

    def expect_mirrored(self):
        run(["diff", "-r", self.sessions, self.hub_home / ".pi-brain/synced/laptop"])


def follow_the_guide(machine):
    said = machine.follow(PROJECT / "deploy/GUIDE.md")
    machine.expect_mirrored()
    for words in ("✓ laptop: 40 new", "Total: 40 sessions from 1 spoke", "Last sync:"):
        assert words in said, words
    metrics = {path.name: path.read_text() for path in METRICS.glob("pi-brain*")}
    assert list(metrics) == ["pi-brain.prom"], metrics
    assert 'pi_brain_sync_last_run_success{spoke="laptop"} 1' in metrics["pi-brain.prom"], metrics
    assert machine.shell("command -v pi-brain") == f"{MOVED[machine.way]}/bin/pi-brain\n"
    # The key that the guide made can do nothing else.
    for key in ("pi-brain-sync", "pi-brain-sync-laptop"):
        done = subprocess.run(["ssh", "-i", machine.hub_home / ".ssh" / key, "-o", "IdentitiesOnly=yes", "will@laptop.local", "id"],
                              capture_output=True, stdin=subprocess.DEVNULL)
        assert b"uid=" not in done.stdout, done
    assert '"outcome": "unchanged"' in (machine.hub_home / ".pi-brain/logs/fleet.json").read_text()
    assert "enable --now pi-brain-sync.timer" in (machine.work / "systemctl").read_text()
    assert "✓ laptop" in (machine.hub_home / ".pi-brain/logs/sync.log").read_text()
    assert sorted(p.name for p in machine.spoke_home.rglob("pi-brain*")) == ["pi-brain", "pi-brain-agent"]


def follow_the_readme(machine):
    said = machine.follow(PROJECT / "README.md")
    machine.expect_mirrored()
    assert "✓ laptop: 40 new" in said, said


def inside(what, way):
    with tempfile.TemporaryDirectory(prefix="pi-brain-guide-", dir="/dev/shm") as work:
        machine = Machine(pathlib.Path(work), way)
        try:
            globals()[what](machine)
        finally:
            machine.sshd.kill()
            machine.sshd.wait()
            for target in ("/usr/local", "/usr", "/var/lib", "/etc"):
                subprocess.run(["umount", "-l", target])


class Guide(unittest.TestCase):
    def follow(self, *what):
        done = subprocess.run(["unshare", "-m", "-n", sys.executable, __file__, *what], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])

    def test_the_guide_with_packages(self):
        self.follow("follow_the_guide", "packages")

    def test_the_guide_with_cmake(self):
        self.follow("follow_the_guide", "cmake")

    def test_the_readme(self):
        self.follow("follow_the_readme", "cmake")

    def test_every_block_has_a_known_language(self):
        languages = {language for name in ("deploy/GUIDE.md", "README.md") for language, _ in blocks(PROJECT / name)}
        self.assertLessEqual(languages, {"sh", "yaml", "ssh-config", "crontab"})


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].startswith("follow_"):
        inside(*sys.argv[1:])
    else:
        unittest.main()
