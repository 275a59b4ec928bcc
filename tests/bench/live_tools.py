"""The tools that tests/bench/live.py compares. Each keeps a mirror like a tree of sessions."""
import json
import os
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree as xml

import harness
from harness import quote

PATIENCE = 60  # seconds


class Tool:
    """Keeps `bench.mirror` like `bench.source`, from start() to stop()."""

    def __init__(self, bench):
        self.bench = bench
        self.processes = []

    def spawn(self, *command, **options):
        self.processes.append(subprocess.Popen([str(c) for c in command], env=self.bench.environment, **options))
        return self.processes[-1]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


class PiBrain(Tool):
    """pi-brain daemon run, with this many spokes, which all have the same sessions."""
    spokes = 1

    def start(self):
        sshd = self.bench.sshd
        sshd.authorize_agent(self.bench.source)
        names = ["laptop", *(f"spoke{number}" for number in range(1, self.spokes))]
        mirrors = [self.bench.mirror, *(self.bench.dir / f"mirrors/{name}" for name in names[1:])]
        self.config = self.bench.dir / "config.yaml"
        self.config.write_text(json.dumps({
            "hub": {"database_dir": str(self.bench.dir / "data"), "archive_dir": str(self.bench.dir / "archive"),
                    "ssh_config": str(sshd.ssh_config)},
            "spokes": [{"name": name, "sync_method": "agent", "source": f"spoke:{self.bench.source}", "path": str(mirror)}
                       for name, mirror in zip(names, mirrors)]}))
        self.daemon = self.spawn(harness.HUB, "daemon", "run", "-c", self.config, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_until_live()

    def status(self):
        done = subprocess.run([harness.HUB, "daemon", "status", "--json", "-c", self.config], capture_output=True, text=True,
                              env=self.bench.environment)
        return json.loads(done.stdout).get("spokes", []) if done.stdout else []

    def wait_until_live(self):
        end = time.monotonic() + PATIENCE * 5
        while time.monotonic() < end:
            states = self.status()
            if len(states) == self.spokes and all(one["state"] == "live" for one in states):
                return
            time.sleep(0.1)
        raise SystemExit(f"pi-brain is not live: {self.status()}")


class PiBrainWatch(PiBrain):
    """pi-brain sync watch, with the time of each event."""

    def start(self):
        self.events, self.news = [], threading.Condition()
        super().start()

    def spawn(self, *command, **options):
        options["stdout"], options["text"] = subprocess.PIPE, True
        process = super().spawn(harness.HUB, "sync", "watch", "--json", "-c", self.config, **options)
        threading.Thread(target=self.read, args=(process,), daemon=True).start()
        return process

    def read(self, process):
        for line in process.stdout:
            with self.news:
                self.events.append((time.perf_counter(), json.loads(line)["event"]))
                self.news.notify_all()

    def wait_until_live(self):
        with self.news:
            if not self.news.wait_for(lambda: any(event in ("live", "polling") for _, event in self.events), PATIENCE):
                raise SystemExit(f"pi-brain is not live: {self.events}")


class ByRsync(Tool):
    """Pushes by rsync over ssh, with a key that may run it."""

    def ssh(self):
        sshd = self.bench.sshd
        sshd.authorized_keys.write_text("restrict " + (sshd.dir / "client_key.pub").read_text())
        return f"ssh -F {sshd.ssh_config}"

    def push(self):
        return f"rsync -az -e {quote(self.ssh())} {quote(self.bench.source)}/ spoke:{quote(self.bench.mirror)}/"


class Inotify(ByRsync):
    """The loop that people write."""

    def start(self):
        script = (f"{self.push()}; while inotifywait -qq -r -e modify,create,move,delete {quote(self.bench.source)}; "
                  f"do {self.push()}; done")
        self.spawn("setsid", "sh", "-c", script, stderr=subprocess.DEVNULL)
        self.bench.wait_for_all()
        time.sleep(3)

    def stop(self):
        for process in self.processes:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


class Lsyncd(ByRsync):
    delay = 15  # s: its default for rsync

    def start(self):
        config = self.bench.dir / "lsyncd.lua"
        config.write_text(f"""
settings {{ nodaemon = true, statusFile = "{self.bench.dir}/lsyncd.status", logfile = "{self.bench.dir}/lsyncd.log" }}
sync {{ default.rsync, source = "{self.bench.source}", target = "spoke:{self.bench.mirror}", delay = {self.delay},
       rsync = {{ archive = true, compress = true, rsh = "{self.ssh()}" }} }}
""")
        self.spawn("lsyncd", config, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.bench.wait_for_all()
        time.sleep(3)


class LsyncdAtOnce(Lsyncd):
    delay = 0


class Syncthing(Tool):
    delay = 10  # s: its default

    def device(self, name, port):
        """Makes the home of one of the two. Returns its device id."""
        home = self.bench.dir / f"syncthing-{name}"
        subprocess.run(["syncthing", "generate", f"--home={home}"], check=True, capture_output=True, env=self.bench.environment)
        tree = xml.parse(home / "config.xml")
        options = tree.getroot().find("options")
        for key, value in {"listenAddress": f"tcp://127.0.0.1:{port}", "globalAnnounceEnabled": "false", "localAnnounceEnabled": "false",
                           "relaysEnabled": "false", "natEnabled": "false", "urAccepted": "-1", "crashReportingEnabled": "false",
                           "startBrowser": "false", "autoUpgradeIntervalH": "0", "reconnectionIntervalS": "2"}.items():
            for old in options.findall(key):
                options.remove(old)
            xml.SubElement(options, key).text = value
        tree.getroot().find("gui").set("enabled", "false")
        tree.write(home / "config.xml")
        done = subprocess.run(["syncthing", f"--home={home}", "--device-id"], check=True, capture_output=True, text=True,
                              env=self.bench.environment)
        return done.stdout.strip()

    def share(self, name, path, kind, peers):
        """Has one share the directory with the other, whose address is a port of this machine."""
        home = self.bench.dir / f"syncthing-{name}"
        tree = xml.parse(home / "config.xml")
        root = tree.getroot()
        for folder in root.findall("folder"):
            root.remove(folder)
        folder = xml.SubElement(root, "folder", id="sessions", label="sessions", path=str(path), type=kind, rescanIntervalS="3600",
                                fsWatcherEnabled="true", fsWatcherDelayS=str(self.delay), ignorePerms="false", autoNormalize="true")
        xml.SubElement(folder, "filesystemType").text = "basic"
        for device, port in peers.items():
            xml.SubElement(folder, "device", id=device)
            if port is not None:
                known = xml.SubElement(root, "device", id=device, name="other", compression="metadata")
                xml.SubElement(known, "address").text = f"tcp://127.0.0.1:{port}"
        tree.write(home / "config.xml")
        self.spawn("syncthing", "serve", f"--home={home}", "--no-browser", "--no-restart", "--no-upgrade",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        ports = harness.free_port(), harness.free_port()
        spoke, hub = self.device("spoke", ports[0]), self.device("hub", ports[1])
        for place in (self.bench.source, self.bench.mirror):
            (place / ".stfolder").mkdir(exist_ok=True)
        self.share("spoke", self.bench.source, "sendonly", {spoke: None, hub: ports[1]})
        self.share("hub", self.bench.mirror, "receiveonly", {hub: None, spoke: ports[0]})
        self.bench.wait_for_all()
        time.sleep(3)


class SyncthingAtOnce(Syncthing):
    delay = 0.01  # the least that it takes


TOOLS = {"pi-brain": PiBrain, "inotify": Inotify, "lsyncd": Lsyncd, "lsyncd-0": LsyncdAtOnce, "syncthing": Syncthing,
         "syncthing-0": SyncthingAtOnce}
