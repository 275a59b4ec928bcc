"""Shared by the end-to-end tests: a private sshd, a hub with a home of its own, and checks.

The real programs are driven through a real sshd on a free loopback port. PIBRAIN_BIN names the
directory of the built programs. Nothing outside a temporary directory is touched.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
import fixes  # noqa: E402
import sessions  # noqa: E402  (the generator of session trees)

BIN = pathlib.Path(os.environ["PIBRAIN_BIN"]).resolve()
# The program that the script AGENT has an emulator run; this is the path that the program itself sees.
EMULATED = os.environ.get("PIBRAIN_TEST_EMULATED")
SANITIZED = "PIBRAIN_TEST_SANITIZED" in os.environ  # programs built with a sanitizer
HUB, AGENT = BIN / "pi-brain", BIN / "pi-brain-agent"
LONG_AGO = 1_700_000_000 * 10**9


def quote(text):
    return "'" + str(text).replace("'", "'\\''") + "'"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=20, what="condition"):
    began = now = time.monotonic()
    while now < began + seconds:
        result = condition()
        if result:
            return result
        # The longer it takes, the less a moment more matters.
        time.sleep(min(max(0.02, (now - began) / 50), 0.5))
        now = time.monotonic()
    raise AssertionError("timed out waiting for " + what)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as s:
        return s.recv(4) == b"SSH-"
    return False


# ssh's usual key exchange (sntrup761) costs each client 80 ms of CPU. The tests of kinds of servers
# (test_servers.py) and the benchmarks have it; elsewhere it would show nothing.
QUICK_KEY_EXCHANGE = "KexAlgorithms -sntrup761*,mlkem*"
USUAL_KEY_EXCHANGE = "KexAlgorithms +curve25519-sha256"


def openssh_version():
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr
    return tuple(map(int, re.search(r"OpenSSH_(\d+)\.(\d+)", version).groups()))


def for_tests(options=()):
    """Options for an sshd that all tests log in to from one address, without the keywords that `options` set."""
    ours = [QUICK_KEY_EXCHANGE, "MaxStartups 100"]
    if openssh_version() >= (9, 8):
        ours.append("PerSourcePenalties no")  # it would turn away addresses that failed to log in
    theirs = {option.split()[0] for option in options}
    return [option for option in ours if option.split()[0] not in theirs]


def keygen(path, passphrase="", kind="ed25519"):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", path],
                   check=True)
    return path


class Sshd:
    """A private sshd for this user, with host keys, authorized_keys and a client's ssh_config."""

    def __init__(self, directory, options=(), host_key_type="ed25519", host_key=None):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True)
        self.port = free_port()
        self.host_key = host_key or keygen(self.dir / "host_key", kind=host_key_type)
        self.key = keygen(self.dir / "client_key")
        self.authorized_keys = self.dir / "authorized_keys"
        self.authorized_keys.write_text("")
        self.known_hosts = self.dir / "known_hosts"
        self.trust()
        self.log = self.dir / "sshd.log"
        config = self.dir / "sshd_config"
        config.write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.authorized_keys}", "PidFile none", "UsePAM no",
            "StrictModes no", "PermitRootLogin prohibit-password", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", *for_tests(options), *options,
            # When sshd starts bash, bash reads ~/.bashrc unless it believes it is nested.
            "SetEnv SHLVL=1"]) + "\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-E", self.log, "-f", config],
            stdin=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port), what="sshd")
        self.ssh_config = self.dir / "ssh_config"
        self.configure_client()

    def configure_client(self, host="spoke", extra=(), key=None, port=None, known_hosts=None):
        """Writes the hub's ssh_config, for one host."""
        self.ssh_config.write_text("\n    ".join([
            f"Host {host}", "HostName 127.0.0.1", f"Port {port or self.port}",
            f"IdentityFile {key or self.key}", "IdentitiesOnly yes", "IdentityAgent none",
            f"UserKnownHostsFile {known_hosts or self.known_hosts}", "GlobalKnownHostsFile none",
            *extra]) + "\n")

    def trust(self, port=None):
        kind, blob = pathlib.Path(f"{self.host_key}.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{port or self.port} {kind} {blob}\n")

    def authorize(self, command, key=None):
        """Lets the key run this command and nothing else."""
        public = pathlib.Path(str(key or self.key) + ".pub").read_text()
        escaped = command.replace('"', '\\"')
        self.authorized_keys.write_text(f'restrict,command="{escaped}" {public}')

    def authorize_agent(self, root, agent=AGENT):
        """Uses the line that the agent itself prints."""
        line = subprocess.run(
            [agent, f"--root={root}", "--authorized-keys-line", str(self.key) + ".pub"],
            check=True, capture_output=True, text=True).stdout
        if EMULATED:
            line = line.replace(EMULATED, str(agent))
        self.authorized_keys.write_text(line)

    def client_setting(self, line):
        """Adds a line to the client's ssh_config, before the others, since ssh takes the first."""
        first, rest = self.ssh_config.read_text().split("\n", 1)
        self.ssh_config.write_text(f"{first}\n    {line}\n{rest}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def relay(sshd, *options, settings=()):
    """Runs tests/relay.py between the hub and sshd, and configures the client to go through it."""
    process = subprocess.Popen(
        [sys.executable, TESTS / "relay.py", "--to", f"127.0.0.1:{sshd.port}", *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(process.stdout.readline())
        sshd.trust(port)
        sshd.configure_client(port=port, extra=settings)
        yield
    finally:
        process.terminate()
        process.communicate()
        sshd.trust()
        sshd.configure_client()


@contextlib.contextmanager
def ssh_agent(directory, *keys, passphrase=""):
    """Runs an ssh-agent with these keys, and yields its socket."""
    socket_path = pathlib.Path(directory) / "agent.sock"
    out = subprocess.run(["ssh-agent", "-s", "-a", socket_path], check=True, capture_output=True,
                         text=True).stdout
    pid = int(out.split("SSH_AGENT_PID=")[1].split(";")[0])
    try:
        ask = pathlib.Path(directory) / "askpass"
        ask.write_text(f"#!/bin/sh\necho {quote(passphrase)}\n")
        ask.chmod(0o700)
        env = {**os.environ, "SSH_AUTH_SOCK": str(socket_path), "SSH_ASKPASS_REQUIRE": "force",
               "SSH_ASKPASS": str(ask), "DISPLAY": ":0"}
        for key in keys:
            subprocess.run(["ssh-add", "-q", key], check=True, env=env, stdin=subprocess.DEVNULL,
                           capture_output=True)
        yield socket_path
    finally:
        kill(pid)
        socket_path.unlink(missing_ok=True)


def files_below(root):
    """Maps the relative path of every regular file to its lstat."""
    found = {}
    root = os.fsencode(root)
    stack = [b""]
    while stack:
        directory = stack.pop()
        # By descriptor, since a path may be longer than PATH_MAX.
        fd = open_directory(root, directory)
        try:
            for entry in os.scandir(fd):
                path = os.path.join(directory, os.fsencode(entry.name))
                if entry.is_dir(follow_symlinks=False):
                    stack.append(path)
                elif entry.is_file(follow_symlinks=False):
                    found[path] = entry.stat(follow_symlinks=False)
        finally:
            os.close(fd)
    return found


def open_directory(root, path):
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in [p for p in path.split(b"/") if p]:
        below = os.open(part, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


def read_below(root, path):
    directory = open_directory(os.fsencode(root), os.path.dirname(path))
    try:
        with open(os.open(os.path.basename(path), os.O_RDONLY, dir_fd=directory), "rb") as f:
            return f.read()
    finally:
        os.close(directory)


def libfaketime():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise AssertionError("libfaketime is missing: deploy/install-build-deps.sh --test installs it")
    return found[0]


class HubCase(unittest.TestCase):
    """A hub with a spoke behind sshd, both in a temporary directory."""

    sshd_options = ()
    libssh2_leaks = False  # whether libssh2 is known to leak memory in these tests

    @classmethod
    def setUpClass(cls):
        cls.class_dir = pathlib.Path(tempfile.mkdtemp(prefix="pi-brain-test-"))
        cls.sshd = Sshd(cls.class_dir / "sshd", cls.sshd_options)

    @classmethod
    def tearDownClass(cls):
        cls.sshd.stop()
        shutil.rmtree(cls.class_dir)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self._testMethodName[:40] + "-", dir=self.class_dir))
        self.home = self.dir / "home"
        self.home.mkdir()
        self.source = self.dir / "sessions"
        self.source.mkdir()
        self.mirror = self.dir / "synced" / "laptop"
        self.archive = self.dir / "archive"
        self.config = self.dir / "config.yaml"
        self.sshd.trust()
        self.sshd.configure_client()
        self.sshd.authorize_agent(self.source)
        self.write_config([self.spoke()])

    def tearDown(self):
        # Directories that a test made unreadable.
        subprocess.run(["chmod", "-R", "u+rwX", self.dir], check=False)

    def spoke(self, name="laptop", **fields):
        return {"name": name, "sync_method": "agent", "source": f"spoke:{self.source}",
                "path": str(self.dir / "synced" / name), **fields}

    def write_config(self, spokes, **hub):
        # JSON is YAML.
        self.config.write_text(json.dumps({
            "hub": {"database_dir": str(self.dir / "data"), "archive_dir": str(self.archive),
                    "sessions_dir": str(self.dir / "hub-sessions"),
                    "ssh_config": str(self.sshd.ssh_config), **hub},
            "spokes": spokes}, indent=2))

    def environment(self):
        env = {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}
        env["HOME"] = str(self.home)
        if self.libssh2_leaks:
            env["LSAN_OPTIONS"] = f"suppressions={TESTS / 'libssh2-leaks.supp'}:print_suppressions=0"
        return env

    def pi_brain(self, *args, config=True, env=None, cwd=None, timeout=600):
        command = [HUB, *args] + (["-c", self.config] if config else [])
        done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape",
                              env=env or self.environment(), cwd=cwd, timeout=timeout)
        if "--json" in args:
            fixes.check(done.stdout)
        return done

    def start_run(self, *args):
        return subprocess.Popen([HUB, "sync", "run", "-c", self.config, *args],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=self.environment())

    def sync(self, *args, code=0):
        """Runs, checks the exit code, and returns the JSON report."""
        done = self.pi_brain("sync", "run", "--json", "-v", *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def sync_one(self, *args, code=0):
        return self.sync(*args, code=code)["spokes"][0]

    def counts(self, *args, code=0):
        """The counts that are not zero, without the number of files."""
        counts = self.sync_one(*args, code=code)["counts"]
        return {k: v for k, v in counts.items() if v and k != "files"}

    def write(self, name, content, age=True):
        """Writes a session; with `age`, it has been untouched for long."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if age:
            self.age(path)
        return path

    def age(self, *paths):
        """Gives each file a different time in the past."""
        for path in paths:
            HubCase.clock += 1_000_000_007
            os.utime(path, ns=(HubCase.clock, HubCase.clock))

    clock = LONG_AGO

    def assert_mirrored(self, besides=(), source=None, mirror=None):
        """Checks that the mirror has every regular file of the spoke, byte for byte and with its time, and
        nothing else but `besides`."""
        source, mirror = source or self.source, mirror or self.mirror
        theirs, ours = files_below(source), files_below(mirror)
        self.assertEqual(set(theirs), set(ours) - {os.fsencode(b) for b in besides})
        for path, their in theirs.items():
            self.assertEqual(read_below(source, path), read_below(mirror, path), path)
            our = ours[path]
            # A file that was fresh when it was read gets a time 1 ns earlier, so that the next run checks it.
            self.assertIn(their.st_mtime_ns - our.st_mtime_ns, (0, 1), path)
            self.assertEqual(stat.S_IMODE(our.st_mode), 0o600, path)
        self.assert_private_directories(mirror)

    def assert_private_directories(self, mirror):
        stack = [b""]
        while stack:
            directory = stack.pop()
            fd = open_directory(os.fsencode(mirror), directory)
            try:
                self.assertEqual(stat.S_IMODE(os.fstat(fd).st_mode), 0o700, directory)
                for entry in os.scandir(fd):
                    self.assertFalse(entry.is_symlink(), entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(os.path.join(directory, os.fsencode(entry.name)))
            finally:
                os.close(fd)

    def snapshot(self, mirror=None):
        mirror = mirror or self.mirror
        return {path: (read_below(mirror, path), st.st_mtime_ns)
                for path, st in files_below(mirror).items()}

    def archived(self):
        """Maps the mirror's path of each archived file to its content; of several versions, the first."""
        found = {}
        for path in sorted(files_below(self.archive)) if self.archive.exists() else ():
            found.setdefault(b"/".join(path.split(b"/")[2:]), read_below(self.archive, path))
        return found

    def reasons(self):
        """Path in the mirror and why it was archived, for each file, in the order of the list."""
        listed = json.loads(self.pi_brain("sync", "archive", "list", "--json").stdout)["files"]
        return [(file["path"], file["reason"]) for file in listed]


def sleeps(pid):
    """Whether the main thread of a process waits for something (proc(5))."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants(pid):
    """Finds them by their parents, since the lists of children in /proc omit some while others end (proc(5))."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:  # called often, so kept simple
            fd = os.open(f"/proc/{name}/stat", os.O_RDONLY)
        except OSError:
            continue
        try:
            parent = int(os.read(fd, 4096).rpartition(b")")[2].split(None, 2)[1])
        except OSError:
            continue
        finally:
            os.close(fd)
        children.setdefault(parent, []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def name_of(pid):
    """The process's name in /proc; empty if it has ended."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def agents_below(pid):
    """The pids of running agents among the descendants of a process."""
    agents = []
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{child}/exe") == str(AGENT):
                agents.append(child)
    return agents


def kill(pid, sig=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)
