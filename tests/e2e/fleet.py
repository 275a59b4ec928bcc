"""Spokes with addresses, homes and login shells of their own, for tests of setting machines up.

Each spoke is an sshd on port 22 of its own loopback address, in the network namespace of the test and
in a mount namespace in which /etc/passwd has its home and shell. So `~` and ~/.ssh/authorized_keys are
what they would be on a machine of its own. A user other than root gets user namespaces, in which the
name `root` means that user.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import fixes
import harness
import mounts

# The output of a start-up file, in each shell's language.
NOISE = {
    # Ends with the window's title, without a line end.
    "/bin/bash": (".bashrc", "echo Welcome back; echo 'and mind the step' >&2; printf '\\033]0;title\\007'\n"),
    "/bin/sh": (".profile", "echo not read without a login\n"),
    "/usr/bin/fish": (".config/fish/config.fish", "echo Welcome to fish\n"),
    "/bin/tcsh": (".tcshrc", "echo Welcome to tcsh\n"),
    "/bin/zsh": (".zshenv", "print -r -- 'Welcome to zsh %'\n"),
}
SHELLS = tuple(NOISE)


def run(command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def waits_for_lock(pid):
    """Whether the process waits for a lock of flock() (proc_locks(5))."""
    locks = [line.split() for line in pathlib.Path("/proc/locks").read_text().splitlines()]
    return any(lock[1] == "->" and lock[5] == str(pid) for lock in locks)


class Spoke:
    """A machine named `name`, to which the hub's user may log in as root with a key of their own."""

    def __init__(self, fleet, number, shell="/bin/bash", noise=True, options=(), place="places for ",
                 port=22):
        self.name = f"box{number:02}"
        self.address = f"127.0.1.{number}"
        self.port = port
        # A home with spaces in its path.
        self.home = fleet.dir / f"{place}{self.name}" / "user"
        self.home.mkdir(parents=True, mode=0o755)
        self.home.chmod(0o755)
        self.sessions = self.home / ".pi/agent/sessions"
        self.authorized = self.home / ".ssh/authorized_keys"
        self.authorized.parent.mkdir(mode=0o700)
        self.authorized.write_text("# mine\n" + fleet.public_key)
        self.authorized.chmod(0o640)
        self.before = self.authorized.read_bytes()
        if noise:
            path, text = NOISE[shell]
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_text(text)
        etc = mounts.etc_with(fleet.dir / f"etc-{self.name}", shadow=fleet.shadow,
                              passwd=fleet.users_with(f"{self.home}:{shell}"))
        config = fleet.dir / f"sshd_config-{self.name}"
        config.write_text("\n".join([
            f"ListenAddress {self.address}:{port}", f"HostKey {fleet.host_key}", "PidFile none", "UsePAM no",
            "PermitRootLogin yes", "StrictModes yes", "PasswordAuthentication no",
            "Subsystem sftp internal-sftp", *harness.for_tests(options), *options]) + "\n")
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.log = fleet.dir / f"sshd-{self.name}.log"
        self.sshd = subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", f"mount --bind {harness.quote(etc)} /etc; "
             f"exec {sshd} -D -E {harness.quote(self.log)} -f {harness.quote(config)}"],
            stdin=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if k != "SHLVL"})

    @property
    def agent(self):
        return self.home / ".local/lib/pi-brain/pi-brain-agent"

    def age_agent(self):
        """Replaces the agent by a different one that serves; a running agent continues."""
        new = self.agent.with_name("x")
        new.write_bytes(harness.AGENT.read_bytes() + b"\0")
        new.chmod(0o755)
        new.rename(self.agent)

    def lines(self):
        """The lines of the agent in authorized_keys."""
        return [line for line in self.authorized.read_text(errors="surrogateescape").splitlines() if "pi-brain-agent" in line]

    def files(self):
        """Maps the relative path of each file in its home, except the sessions, to its content."""
        return {str(path.relative_to(self.home)): path.read_bytes() for path in sorted(self.home.rglob("*"))
                if path.is_file() and self.sessions not in path.parents}

    def wait(self):
        def ready():
            with open(os.devnull, "w") as null:
                return subprocess.run(["ssh-keyscan", "-T", "1", "-p", str(self.port), self.address], stdout=subprocess.PIPE, stderr=null).stdout
        harness.wait_for(ready, what=self.name)

    def stop(self):
        self.sshd.kill()
        self.sshd.wait()


class Fleet:
    """The hub, with a home that has a user's key and ssh_config, and the spokes."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        run(["ip", "link", "set", "lo", "up"])
        self.users = pathlib.Path("/etc/passwd").read_text()
        self.home = self.dir / "hub"
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        harness.keygen(ssh / "id_ed25519")
        self.public_key = (ssh / "id_ed25519.pub").read_text()
        self.host_key = harness.keygen(self.dir / "host_key")
        self.host_public = " ".join((self.dir / "host_key.pub").read_text().split()[:2])
        self.known_hosts = ssh / "known_hosts"
        self.config = self.home / ".pi-brain/config.yaml"
        # A shadow file that sshd can read, whichever user runs it.
        self.shadow = "root:*:20000:0:99999:7:::\n"
        self.spokes = []
        run(["mount", "--bind", mounts.etc_with(self.dir / "etc-hub", passwd=self.users_with(f"{self.home}:/bin/sh")), "/etc"])
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)

    def users_with(self, entry):
        """An /etc/passwd in which root has this home and shell."""
        return re.sub(r"^root:.*\n", f"root:x:{os.getuid()}:{os.getgid()}::{entry}\n", self.users, flags=re.M)

    def add(self, *arguments, **options):
        spoke = Spoke(self, len(self.spokes) + 1, *arguments, **options)
        self.spokes.append(spoke)
        with open(self.known_hosts, "a") as known:
            known.write(f"{spoke.address},{spoke.name} {self.host_public}\n")
        with open(self.home / ".ssh/config", "a") as config:
            config.write(f"Host {spoke.name}\n    HostName {spoke.address}\n    HostKeyAlias {spoke.address}\n    User root\n")
        return spoke

    def environment(self):
        env = {k: v for k, v in os.environ.items() if k not in ("SSH_AUTH_SOCK", "SHLVL", "XDG_CONFIG_HOME")}
        return {**env, "HOME": str(self.home), "LC_ALL": "C.UTF-8"}

    def completed(self, *arguments, code=0, program=harness.HUB, **options):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env=self.environment(),
                              stdin=subprocess.DEVNULL, timeout=300, **options)
        if code is not None and done.returncode != code:
            raise AssertionError(f"exit {done.returncode} of {arguments}:\n{done.stdout}{done.stderr}")
        if "--json" in arguments:
            fixes.check(done.stdout)
        return done

    def pi_brain(self, *arguments, **options):
        done = self.completed(*arguments, **options)
        return done.stdout + done.stderr

    def stop(self):
        for spoke in self.spokes:
            spoke.stop()
        run(["umount", "-l", "/etc"])


class FleetCase(unittest.TestCase):
    """A fleet for each test; the whole module runs in namespaces of its own."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-fleet-", dir="/dev/shm"))
        self.fleet = Fleet(self.dir)
        self.addCleanup(self.clean_up)

    def clean_up(self):
        self.fleet.stop()
        try:
            shutil.rmtree(self.dir)
        except OSError as error:
            left = [str(path) for path in self.dir.rglob("*")]
            raise AssertionError(f"{error}; somebody made {left}") from error


def main():
    """Called instead of unittest.main()."""
    if os.environ.get("PIBRAIN_TEST_NAMESPACES") == "entered":
        run(["mount", "--make-rprivate", "/"])
        unittest.main()
    os.environ["PIBRAIN_TEST_NAMESPACES"] = "entered"
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    os.execvp("unshare", ["unshare", *user, "-m", "-n", "-p", "-f", "--mount-proc", sys.executable, *sys.argv])
