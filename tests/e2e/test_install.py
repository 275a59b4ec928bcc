"""Installation: packages, man pages, completions, and the timer."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import harness
from harness import HUB, HubCase

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = harness.BIN.parent
DEPLOY = PROJECT / "deploy"


def commands_of(program, *path):
    """The subcommands that --help lists."""
    text = subprocess.run([program, *path, "--help"], capture_output=True, text=True, check=True).stdout
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  ([a-z-]+) ", listed, re.M)


def options_of(program, *path):
    text = subprocess.run([program, *path, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])--[a-z-]+", text))


def flags_of(program, *path):
    """The options that --help lists, each with its short form or "" before it, without --help."""
    text = subprocess.run([program, *path, "--help"], capture_output=True, text=True, check=True).stdout
    return [flag for flag in re.findall(r"^  (?:(-\w),)?(--[a-z-]+)", text, re.M) if flag[1] != "--help"]


def all_commands(program, *path):
    found = []
    for name in commands_of(program, *path):
        below = all_commands(program, *path, name)
        found += below or [(*path, name)]
    return found


class Packages(HubCase):
    def test_packages_can_be_installed_run_and_removed(self):
        subprocess.run(["cpack", "-G", "DEB", "-B", self.dir / "packages"], cwd=BUILD, check=True, capture_output=True)
        packages = sorted((self.dir / "packages").glob("*.deb"), key=lambda p: p.name.partition("_"))
        self.assertEqual([p.name.partition("_")[0] for p in packages], ["pi-brain", "pi-brain-agent"])
        synopses = [subprocess.check_output(["dpkg-deb", "-f", p, "Description"], text=True).split("\n")[0] for p in packages]
        self.assertIn("hub", synopses[0])
        self.assertIn("agent of a spoke", synopses[1])
        depends = [subprocess.check_output(["dpkg-deb", "-f", p, "Depends"], text=True) for p in packages]
        self.assertRegex(depends[0], r"libc6 .*libssh2-1")
        if "-static" in (BUILD / "build.ninja").read_text():
            self.assertEqual(depends[1].strip(), "", "the agent is static")
        # Into a root of its own, without the packages' dependencies.
        root = self.dir / "root"
        (root / "var/lib/dpkg/updates").mkdir(parents=True)
        (root / "var/lib/dpkg/info").mkdir()
        (root / "var/lib/dpkg/status").touch()
        dpkg = ["dpkg", f"--root={root}", "--force-depends", "--force-not-root", "--log=/dev/null"]
        subprocess.run([*dpkg, "-i", *packages], check=True, capture_output=True)
        hub, agent = root / "usr/bin/pi-brain", root / "usr/bin/pi-brain-agent"
        self.sshd.authorize_agent(self.source, agent=agent)
        self.write("a.jsonl", b"x\n")
        done = subprocess.run([hub, "sync", "run", "-c", self.config], env=self.environment(), capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_mirrored()
        for path in ("man/man1/pi-brain.1.gz", "man/man1/pi-brain-agent.1.gz", "man/man5/pi-brain-config.5.gz",
                     "bash-completion/completions/pi-brain", "zsh/vendor-completions/_pi-brain",
                     "fish/vendor_completions.d/pi-brain.fish", "doc/pi-brain/README.md",
                     "doc/pi-brain/copyright", "doc/pi-brain-agent/copyright"):
            self.assertTrue((root / "usr/share" / path).exists(), path)
        self.check_links(root / "usr/share/doc/pi-brain")
        subprocess.run([*dpkg, "-r", "pi-brain", "pi-brain-agent"], check=True, capture_output=True)
        self.assertEqual([p for p in (root / "usr").rglob("*") if p.is_file()], [])

    def check_links(self, documents):
        """Each link of an installed document leads to an installed file."""
        links = [(document, link) for document in documents.rglob("*.md")
                 for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())]
        self.assertGreater(len(links), 10)
        for document, link in links:
            self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")

    def test_cmake_install(self):
        subprocess.run(["cmake", "--install", BUILD, "--prefix", self.dir / "prefix"], check=True, capture_output=True)
        version = subprocess.check_output([self.dir / "prefix/bin/pi-brain", "--version"], text=True)
        self.assertRegex(version, r"^pi-brain \d")
        self.assertTrue((self.dir / "prefix/bin/pi-brain-agent").exists())
        self.check_links(self.dir / "prefix/share/doc/pi-brain")


# What a person's new shell says of pi-brain's completions, each with nothing but what Debian sets up.
SHELLS = {
    "bash": ("source /usr/share/bash-completion/bash_completion; "
             "{ __load_completion pi-brain || _comp_load pi-brain; } 2>/dev/null; complete -p pi-brain", "-F _pi_brain"),
    "zsh": ("autoload -Uz compinit; compinit -u -D; print -r -- $_comps[pi-brain]", "_pi-brain"),
    "fish": ("complete -C 'pi-brain sync ver'", "verify"),
}


class FoundByShells(HubCase):
    """The shells of this system find the completions, wherever they were installed. Needs root, for a namespace in which
    the installed files lie over those of the machine."""

    def check(self, installed, program):
        home = self.dir / "someone"
        home.mkdir()
        tops = sorted(path.name for path in installed.iterdir())
        mounts = "".join(f"mount -t overlay overlay -o lowerdir={installed}/{top}:/{top} /{top}\n" for top in tops)
        for shell, (script, expected) in SHELLS.items():
            # Nothing of whoever runs this: no XDG_DATA_DIRS, no start-up files.
            command = ["env", "-i", f"HOME={home}", f"PATH={program}:/usr/bin:/bin", "TERM=dumb", "LC_ALL=C.UTF-8", shell, "-c", script]
            done = subprocess.run(["unshare", "-m", "sh", "-euc", mounts + 'exec "$@"', "sh", *command], capture_output=True,
                                  text=True)
            self.assertIn(expected, done.stdout, (shell, done.stderr))

    def test_after_cmake_install(self):
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr/local"], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": str(self.dir / "installed")})
        self.check(self.dir / "installed", "/usr/local/bin")

    def test_from_the_package(self):
        subprocess.run(["cpack", "-G", "DEB", "-B", self.dir / "packages"], cwd=BUILD, check=True, capture_output=True)
        (package,) = (self.dir / "packages").glob("pi-brain_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, self.dir / "installed"], check=True)
        self.check(self.dir / "installed", "/usr/bin")


class ManPages(unittest.TestCase):
    def test_they_are_well_formed(self):
        for page in (DEPLOY / "man").iterdir():
            done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
            self.assertEqual(done.stderr, "", page)

    def text(self, name):
        rendered = subprocess.run(["groff", "-mandoc", "-Tascii", "-P-c", "-P-b", "-P-u", DEPLOY / "man" / name],
                                  capture_output=True, text=True, check=True).stdout
        return re.sub(r".\x08", "", rendered)

    def test_they_have_every_command_and_option(self):
        text = self.text("pi-brain.1")
        source = (DEPLOY / "man/pi-brain.1").read_text()
        synopsis = source.partition(".Sh SYNOPSIS")[2].partition(".Sh ")[0]
        described = {}
        for part in synopsis.split(".Nm\n")[1:]:
            flags = re.findall(r"Fl (-?[\w-]+)(?: \| (-?[\w-]+)$)?", part, re.M)
            described[re.match(r"\.Cm (.*)", part).group(1)] = {flag for pair in flags for flag in pair if flag}
        self.assertEqual(set(described), {" ".join(command) for command in all_commands(HUB)})
        for command in all_commands(HUB):
            flags = flags_of(HUB, *command)
            for short, long in flags:
                self.assertTrue({short[1:], long[1:]} & described[" ".join(command)], (command, long))
                self.assertIn(long, text, command)
            self.assertEqual(len(described[" ".join(command)]), len(flags), command)
        text = self.text("pi-brain-agent.1")
        for option in options_of(harness.AGENT) - {"--help", "--version"}:
            self.assertIn(option, text)


class Completions(HubCase):
    def setUp(self):
        super().setUp()
        self.write_config([self.spoke("laptop"), self.spoke("lab server"), self.spoke("desk")])
        (self.home / ".pi-brain").mkdir()
        shutil.copy(self.config, self.home / ".pi-brain/config.yaml")

    def env(self):
        return {**self.environment(), "PATH": f"{harness.BIN}:{os.environ['PATH']}", "TERM": "dumb"}

    def bash(self, *words):
        script = f"""
            source {DEPLOY}/completions/pi-brain.bash
            COMP_WORDS=({' '.join(map(harness.quote, words))}); COMP_CWORD={len(words) - 1}
            _pi_brain
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "--norc", "-c", script], env=self.env(), capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return set(filter(None, done.stdout.splitlines()))

    def fish(self, *words):
        return self.fish_each([words])[0]

    def fish_each(self, lines):
        """What one fish offers for each of these; fish takes half a second to start."""
        script = f"source {DEPLOY}/completions/pi-brain.fish\n"
        script += "".join(f"complete -C {harness.quote(' '.join(words))}; echo ----\n" for words in lines)
        done = subprocess.run(["fish", "--no-config", "-c", script], env=self.env(), capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return [{line.split("\t")[0] for line in part.splitlines()} for part in done.stdout.split("----\n")[:-1]]

    def zsh(self, *words):
        return self.zsh_each([words])[0]

    def zsh_each(self, lines):
        """What one zsh shows for a Tab at the end of each of these lines."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**self.env(), "PS1": "", "TERM": "xterm", "COLUMNS": "500"})

        def read(until, seconds=20):
            seen = b""
            end = time.monotonic() + seconds
            while until not in seen and time.monotonic() < end:
                if select.select([fd], [], [], 0.2)[0]:
                    seen += os.read(fd, 65536)
            self.assertIn(until.decode(), seen.decode(errors="replace"))
            text, _, _ = seen.decode(errors="replace").partition(until.decode())
            return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

        def shown(line):
            # ^U empties the line; the widget of ^X runs after the Tab, and prints a mark.
            os.write(fd, ("\x15" + " ".join(line) + "\t\x18").encode())
            return read(b"theend")

        try:
            setup = ("said-all() { zle -R; print -n 'the''end'; }; zle -N said-all; bindkey '^X' said-all; "
                     f"stty -echo columns 300; fpath=({DEPLOY}/completions $fpath); autoload -Uz compinit; compinit -u -D; "
                     "LISTMAX=1000; bindkey '^I' list-choices; setopt no_beep list_rows_first; unset zle_bracketed_paste; "
                     "echo ready''now\n")
            os.write(fd, setup.encode())
            read(b"readynow")
            return [shown(line) for line in lines]
        finally:
            os.close(fd)
            harness.kill(pid)
            os.waitpid(pid, 0)

    def test_every_command_and_option(self):
        commands = all_commands(HUB)
        lines = ([("pi-brain", *command[:-1], "") for command in commands] +
                 [("pi-brain", *command, "--") for command in commands])
        in_fish, in_zsh = iter(self.fish_each(lines)), iter(self.zsh_each(lines))
        for command in commands:
            self.assertIn(command[-1], self.bash("pi-brain", *command[:-1], ""), command)
            self.assertIn(command[-1], next(in_fish), command)
            self.assertIn(command[-1], next(in_zsh), command)
        for command in commands:
            options = options_of(HUB, *command) - {"--help"}
            self.assertEqual(options, self.bash("pi-brain", *command, "--") - {"--help"}, command)
            self.assertEqual(options, next(in_fish) - {"--help"}, command)
            self.assertEqual(options, set(re.findall(r"(?<![\w-])--[a-z-]+", next(in_zsh))) - {"--help"}, command)

    def test_zsh(self):
        for line in (["--spoke", ""], ["--spoke="]):
            shown = self.zsh("pi-brain", "sync", "run", *line)
            self.assertIn("laptop", shown, line)
            self.assertIn("desk", shown, line)
        self.write_config([self.spoke("elsewhere")])
        for line in (["-c", str(self.config), "-s", ""], [f"--config={self.config}", "-s", ""]):
            self.assertIn("elsewhere", self.zsh("pi-brain", "sync", "run", *line), line)

    def test_spokes(self):
        for line in (["sync", "run", "--spoke", ""], ["sync", "list", "-s", ""], ["sync", "archive", "list", "-s", ""]):
            self.assertEqual(self.bash("pi-brain", *line), {"laptop", "lab\\ server", "desk"})
            self.assertEqual(self.fish("pi-brain", *line), {"laptop", "lab server", "desk"})
        self.assertEqual(self.bash("pi-brain", "sync", "run", "-s", "la"), {"laptop", "lab\\ server"})
        for command in ("upgrade", "rotate-key", "rename", "enable", "disable", "remove"):
            self.assertEqual(self.bash("pi-brain", "spoke", command, ""), {"laptop", "lab\\ server", "desk"})
            self.assertEqual(self.fish("pi-brain", "spoke", command, ""), {"laptop", "lab server", "desk"})
            self.assertIn("desk", self.zsh("pi-brain", "spoke", command, ""))
        self.assertEqual(self.bash("pi-brain", "sync", "run", "--spoke", "=", "de"), {"desk"})
        self.assertEqual(self.bash("pi-brain", "sync", "run", "--spoke", "="), {"laptop", "lab\\ server", "desk"})
        self.write_config([self.spoke("elsewhere")])
        self.assertEqual(self.bash("pi-brain", "sync", "run", "--config", "=", str(self.config), "-s", ""), {"elsewhere"})
        self.assertEqual(self.bash("pi-brain", "sync", "run", "-c", str(self.config), "-s", ""), {"elsewhere"})
        for line in (["-c", str(self.config)], [f"--config={self.config}"]):
            self.assertEqual(self.fish("pi-brain", "sync", "run", *line, "-s", ""), {"elsewhere"})

    def test_names_are_not_run(self):
        name = f"$(touch {self.dir}#ran)".replace("/", "#")
        self.write_config([self.spoke(name)])
        shutil.copy(self.config, self.home / ".pi-brain/config.yaml")
        before = sorted(os.listdir())
        for shell in (self.bash, self.fish):
            self.assertEqual(len(shell("pi-brain", "sync", "run", "-s", "")), 1)
        self.assertEqual(sorted(os.listdir()), before)

    def test_a_broken_config_completes_nothing(self):
        (self.home / ".pi-brain/config.yaml").write_text("spokes: [")
        self.assertEqual(self.bash("pi-brain", "sync", "run", "--spoke", ""), set())


class UnitsCase(HubCase):
    def setUp(self):
        super().setUp()
        self.units = self.home / ".config/systemd/user"
        # systemd's user manager cannot run in a test, so a stand-in records the calls.
        self.told = self.dir / "told"
        programs = self.dir / "bin"
        programs.mkdir()
        (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >> {self.told}\n')
        (programs / "systemctl").chmod(0o755)
        self.path = f"{programs}:{os.environ['PATH']}"

    def run_command(self, *arguments, code=0, path=None, config=True):
        env = {**self.environment(), "PATH": path or self.path}
        env.pop("XDG_CONFIG_HOME", None)
        done = self.pi_brain(*arguments, env=env, config=config)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def are_accepted(self, *units, exposure):
        """systemd-analyze finds no mistake, and the service is confined."""
        runtime = self.dir / "runtime"
        runtime.mkdir(mode=0o700)
        env = {**self.environment(), "XDG_RUNTIME_DIR": str(runtime)}
        done = subprocess.run(["systemd-analyze", "--user", "--man=no", "verify", *units], env=env, capture_output=True,
                              text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        done = subprocess.run(["systemd-analyze", "--user", "security", "--offline=true", units[0]], env=env,
                              capture_output=True, text=True)
        level = float(re.search(r"exposure level for \S+: ([\d.]+)", done.stdout).group(1))
        print(f"exposure level {level}")
        self.assertLessEqual(level, exposure)


class Timer(UnitsCase):
    def timer(self, *arguments, **more):
        return self.run_command("sync", *arguments, **more)

    def test_install_and_uninstall(self):
        said = self.timer("install-timer", "--every", "30min")
        self.assertIn(str(self.units / "pi-brain-sync.timer"), said)
        self.assertIn("list-timers", said)
        self.assertEqual(self.told.read_text().splitlines(),
                         ["--user daemon-reload", "--user enable --now pi-brain-sync.timer"])
        service = (self.units / "pi-brain-sync.service").read_text()
        self.assertIn(f'ExecStart="{HUB}" sync run -c "{self.config}"\n', service)
        # A spoke that never ends delays the next run by no more than that.
        self.assertIn("\nTimeoutStartSec=6h\n", service)
        timer = (self.units / "pi-brain-sync.timer").read_text()
        self.assertIn("OnUnitActiveSec=30min\n", timer)
        self.assertNotIn("@", timer + service.replace("@system-service", ""))
        (self.units / "pi-brain-sync.timer").write_text("# mine\n")
        self.assertIn("pi-brain-sync.timer.old", self.timer("install-timer", "--due"))
        self.assertEqual((self.units / "pi-brain-sync.timer.old").read_text(), "# mine\n")
        (self.units / "pi-brain-sync.timer.old").unlink()
        self.assertIn("OnUnitActiveSec=1min\n", (self.units / "pi-brain-sync.timer").read_text())
        self.assertIn("sync run --due", (self.units / "pi-brain-sync.service").read_text())
        self.timer("uninstall-timer", config=False)
        self.assertEqual(list(self.units.iterdir()), [])
        self.assertIn("--user disable --now pi-brain-sync.timer", self.told.read_text())
        self.assertIn("no timer is installed", self.timer("uninstall-timer", config=False))

    def test_the_command_line_of_the_unit_is_what_runs(self):
        """A config with odd characters in its name, unquoted by the rules of systemd.service(5)."""
        odd = self.dir / 'a "b" %h $HOME \\ c.yaml'
        shutil.copy(self.config, odd)
        self.config = odd
        self.timer("install-timer")
        (line,) = re.findall(r"^ExecStart=(.*)$", (self.units / "pi-brain-sync.service").read_text(), re.M)
        words = [re.sub(r"\\(.)", r"\1", word).replace("%%", "%").replace("$$", "$")
                 for word in re.findall(r'"((?:[^"\\]|\\.)*)"', line)]
        self.assertEqual(words, [str(HUB), str(odd)])

    def test_systemd_accepts_the_units(self):
        self.timer("install-timer")
        self.are_accepted(self.units / "pi-brain-sync.service", self.units / "pi-brain-sync.timer", exposure=6.5)

    def test_mistakes(self):
        for span in ("15", "min", "0min", "30s", "8d", "-5min", "5 min", "1e3min", "99999999min"):
            self.assertIn("between 1min and 7d", self.timer("install-timer", f"--every={span}", code=2))
        self.config.write_text("spokes: [")
        self.timer("install-timer", code=2)
        self.assertFalse(self.units.exists())

    def test_without_a_user_manager(self):
        broken = self.dir / "broken"
        broken.mkdir()
        (broken / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n")
        (broken / "systemctl").chmod(0o755)
        said = self.timer("install-timer", code=1, path=f"{broken}:{os.environ['PATH']}")
        for words in ("units are in place", "Failed to connect to bus", "systemctl --user enable --now", "crontab -e"):
            self.assertIn(words, said)
        os.chdir(self.config.parent)
        said = self.timer("install-timer", "--every", "2h", "-c", self.config.name, code=1, config=False,
                          path=f"{broken}:{os.environ['PATH']}")
        self.assertIn("0 */2 * * * ", said)
        self.assertIn(f"-c {self.config} --quiet", said)
        said = self.timer("install-timer", code=1, path="/nowhere")
        self.assertIn("systemctl", said)


class DaemonUnit(UnitsCase):
    def test_install_and_uninstall(self):
        self.run_command("sync", "install-timer")
        said = self.run_command("daemon", "install")
        unit = self.units / "pi-brain-daemon.service"
        self.assertIn(str(unit), said)
        self.assertIn("loginctl enable-linger", said)
        # Nobody can be asked.
        self.assertIn("sync uninstall-timer", said)
        self.assertEqual(self.told.read_text().splitlines()[-3:],
                         ["--user daemon-reload", "--user enable pi-brain-daemon.service", "--user restart pi-brain-daemon.service"])
        self.assertIn(f'ExecStart="{HUB}" daemon run -c "{self.config}"\n', unit.read_text())
        self.assertNotIn("@", unit.read_text().replace("@system-service", ""))
        self.run_command("daemon", "install")
        self.assertEqual([path.name for path in self.units.iterdir() if path.name.endswith(".old")], [])
        self.run_command("daemon", "uninstall", config=False)
        self.assertFalse(unit.exists())
        self.assertIn("--user disable --now pi-brain-daemon.service", self.told.read_text())
        self.assertIn("no daemon is installed", self.run_command("daemon", "uninstall", config=False))

    def test_systemd_accepts_the_unit(self):
        self.run_command("daemon", "install")
        self.are_accepted(self.units / "pi-brain-daemon.service", exposure=6.5)

    def test_without_a_user_manager(self):
        said = self.run_command("daemon", "install", code=1, path="/nowhere")
        for words in ("systemctl was not found on PATH", "crontab -e", "@reboot "):
            self.assertIn(words, said)

    def test_systemd_hears_that_it_is_ready(self):
        """By the protocol of sd_notify(3), in the environment that the unit gives."""
        import socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.dir / "notify"))
            manager.settimeout(30)
            env = {**self.environment(), "NOTIFY_SOCKET": str(self.dir / "notify"), "WATCHDOG_USEC": "400000"}
            daemon = subprocess.Popen([HUB, "daemon", "run", "-c", self.config], env=env, stdout=subprocess.DEVNULL)
            try:
                told = [manager.recv(100) for _ in range(5)]
                self.assertIn(b"READY=1", told)
                self.assertGreaterEqual(told.count(b"WATCHDOG=1"), 2)
                daemon.terminate()
                while told[-1] != b"STOPPING=1":
                    told.append(manager.recv(100))
                self.assertEqual(daemon.wait(20), 0)
            finally:
                daemon.kill()
                daemon.wait()


if __name__ == "__main__":
    unittest.main()
