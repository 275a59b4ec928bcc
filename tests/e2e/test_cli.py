"""The command line: output, refusals, exit codes."""
import contextlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import unittest
import urllib.parse

import harness
from harness import HubCase


class CommandLine(HubCase):
    def config_text(self, text):
        self.config.write_text(text)

    def refused(self, text, *words, command=("sync", "run")):
        """Checks that this config is refused: exit 2, and one message with file, line and these words."""
        self.config_text(text)
        done = self.pi_brain(*command)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn(str(self.config), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(self.mirror.exists())

    def test_config_mistakes(self):
        spoke = "spokes:\n  - name: laptop\n    sync_method: agent\n    source: u@h:~/s\n    path: /m\n"
        for text, words in [
            ("spokes: [", [":1:", "not YAML"]),
            ("spokes:\n\t- name: x\n", [":2:", "indented with a tab"]),
            ("# \tnot this one\nhub:\n  \tsessions_dir: /x\n", [":3:", "indented with a tab"]),
            ("- a\n- b\n", [":1:", "mapping"]),
            ("hub: 3\n", [":1:", "hub", "mapping"]),
            ("hub:\n  session_dir: /x\n", [":2:", "session_dir", "Write 'sessions_dir'"]),
            ("hub:\n  web_ui_port: 0\n", [":2:", "hub.web_ui_port", "1 to 65535", "'0'"]),
            ("spokes: laptop\n", [":1:", "spokes", "list"]),
            ("spokes:\n  - sync_method: agent\n", [":2:", "spokes[0].name", "missing"]),
            (spoke.replace("agent", "ftp"), [":3:", "spokes[0].sync_method", "ftp", "agent, rsync, syncthing"]),
            (spoke.replace("agent", "api"), [":3:", "api", "not implemented", "agent, rsync, syncthing"]),
            (spoke.replace("path: /m", "path: m"), [":5:", "spokes[0].path", "absolute"]),
            (spoke.replace("    source: u@h:~/s\n", ""), [":2:", "spokes[0].source", "required"]),
            (spoke.replace("u@h:~/s", "just-a-name"), [":4:", "spokes[0].source", "user@host:path"]),
            (spoke.replace("u@h:~/s", "-oProxyCommand=x:~/s"), [":4:", "'-'"]),
            (spoke + "    enabled: maybe\n", [":6:", "enabled", "true or false", "maybe"]),
            (spoke + "    pth: /m\n", [":6:", "pth", "Write 'path'"]),
            (spoke + "    zzzzzz: 1\n", [":6:", "zzzzzz", "sync_method", "source"]),
            (spoke + "    name: again\n", [":6:", "twice"]),
            (spoke + "    rsync_options:\n      bw_limit: -1\n", [":7:", "bw_limit", "'-1'"]),
            (spoke + "    rsync_options:\n      timeout_seconds: 0\n", [":7:", "timeout_seconds", "from 1"]),
            (spoke + "    rsync_options:\n      extra_args: -v\n", [":7:", "extra_args", "list"]),
            (spoke + spoke[8:], [":6:", "laptop", "another spoke"]),
            (spoke + spoke[8:].replace("laptop", "two"), [":9:", "path", "laptop"]),
            (spoke.replace("laptop", "../x"), [":2:", "name"]),
            (spoke + spoke.replace("laptop", "two"), ["'spokes:' is given twice"]),
            (spoke + spoke[8:].replace("laptop", "two").replace("/m", "/m/./two"),
             [":9:", "spokes[1].path", "/m/two", "laptop", "inside"]),
            (spoke.replace("path: /m", "path: /"), [":5:", "spokes[0].path", "inside"]),
            (spoke.replace("path: /m", "path: ~"), [":5:", "spokes[0].path", "is empty"]),
            (spoke + "    schedule: */5 * * * *\n", [":6:", "not YAML", "quotes"]),
            (spoke + "    schedule: '61 * * * *'\n", [":6:", "spokes[0].schedule", "'61' is not a valid minute", "0 to 59"]),
            ("hub:\n  archive_dir: /m/archive\n" + spoke, ["hub.archive_dir", "/m/archive"]),
            (spoke.replace("u@h:~/s", "/m"), ["its source", "'/m'"]),
            (spoke.replace("u@h:~/s", "my host:~/s"), [":4:", "user@host:path"]),
            (spoke.replace("u@h:~/s", "ssh://u@h:2222/s"), [":4:", "spokes[0].source", "URL", "'port: 2222'"]),
            (spoke.replace("u@h:~/s", "u@h:2222:~/s"), [":4:", "a port", "Write u@h:~/s", "'port: 2222'"]),
            (spoke.replace("u@h:~/s", "h::s"), [":4:", "rsync daemon", "h:s"]),
            (spoke.replace("u@h:~/s", "fe80::1:~/s"), [":4:", "IPv6", "[fe80::1]:~/s"]),
            (spoke.replace("u@h:~/s", "C:/s"), [":4:", "Windows"]),
            (spoke.replace("u@h:~/s", "~"), [":4:", "spokes[0].source is empty", "user@host:path"]),
            (spoke.replace("spokes", "spoke"), [":1:", "'spoke' is not read", "'spokes'"]),
            ("hub: {}\n---\n" + spoke, [":2:", "second YAML document"]),
            (spoke.replace("  ", "\u00a0\u00a0"), [":2:", "U+00A0"]),
            ("sync:\n  " + spoke.replace("\n", "\n  ").rstrip(" "), [":2:", "beneath 'sync'", "left margin"]),
        ]:
            with self.subTest(text=text):
                self.refused(text, *words)

    def test_other_sections_belong_to_others(self):
        self.config_text("daemon:\n  anything: [1, 2]\nquery: {}\napi: x\n")
        done = self.pi_brain("sync", "run")
        self.assertEqual(done.returncode, 0)
        self.assertIn("sync_method: agent", done.stdout)

    def test_a_section_that_may_be_meant(self):
        """It may belong to another program, so the command continues, but warns."""
        self.config_text("spoke: {role: x}\n")
        for command in (["sync", "run"], ["sync", "status"], ["spoke", "list"], ["sync", "archive", "list"]):
            done = self.pi_brain(*command)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr, f"pi-brain: warning: {self.config}, line 1: the section 'spoke' is not read. "
                                          "If it is the list of spokes, call it 'spokes'.\n")

    def test_no_config_and_an_empty_one(self):
        for prepare in (lambda: None, lambda: (self.home / ".pi-brain/config.yaml").write_text("")):
            (self.home / ".pi-brain").mkdir(exist_ok=True)
            prepare()
            for command in ("run", "status", "list"):
                done = self.pi_brain("sync", command, config=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("No spokes yet", done.stdout)
                self.assertIn("sync_method: agent", done.stdout)
        self.config.unlink()
        done = self.pi_brain("sync", "run")
        self.assertEqual(done.returncode, 2)
        self.assertIn("config.yaml", done.stderr)
        self.assertEqual(json.loads(self.pi_brain("sync", "run", "--json").stdout)["failure"]["id"], "config-unreadable")

    def test_a_home_that_is_not_a_directory(self):
        """Without --config, HOME must be a directory: nothing is guessed."""
        file = self.dir / "file"
        file.write_text("")
        for home, why in (("/nonexistent", "No such file or directory"), (str(file), "it is not a directory"),
                          ("relative", "it is not a directory"), (str(file / "below"), "Not a directory")):
            for command in (["sync", "run"], ["sync", "status"], ["sync", "list"], ["sync", "doctor"], ["sync", "archive", "list"],
                            ["spoke", "list"], ["spoke", "add", "box", "box.invalid"]):
                done = self.pi_brain(*command, config=False, env={**self.environment(), "HOME": home})
                self.assertEqual(done.returncode, 2, (home, command, done.stdout))
                self.assertRegex(done.stderr, rf"HOME .*'{home}' \({why}\)")
        self.assertFalse(os.path.exists("/nonexistent"))
        # HOME is not needed with a config whose paths do not need it.
        done = self.pi_brain("sync", "run", env={**self.environment(), "HOME": "/nonexistent"})
        self.assertNotIn("HOME", done.stderr)

    def test_usage(self):
        for arguments in (["sync", "run", "--no-such-flag"], ["sync", "frobnicate"], ["sync"],
                          ["sync", "run", "--jobs", "0"], ["sync", "run", "--bwlimit", "fast"],
                          ["sync", "run", "--bwlimit", "-5"], ["sync", "run", "-c", ""],
                          ["sync", "run", "--log", ""]):
            done = self.pi_brain(*arguments, config=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr)
        self.assertIn("another program", self.pi_brain("query", "--json", config=False).stderr)
        done = self.pi_brain("--version", config=False)
        self.assertEqual((done.returncode, done.stdout), (0, "pi-brain 0.1.0\n"))
        done = self.pi_brain("sync", "run", "--help", config=False)
        self.assertEqual(done.returncode, 0)
        for flag in ("--config", "--spoke", "--dry-run", "--delete", "--max-delete", "--bwlimit", "--jobs",
                     "--verbose", "--json"):
            self.assertIn(flag, done.stdout)

    def test_unknown_spoke(self):
        done = self.pi_brain("sync", "run", "--spoke", "lapdog")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no spoke 'lapdog'", done.stderr)
        self.assertIn("laptop", done.stderr)

    def test_chosen_and_skipped_spokes(self):
        self.write("p/a.jsonl", b"{}\n")
        self.write_config([self.spoke(), self.spoke("second"), self.spoke("off", enabled=False),
                           {"name": "thing", "sync_method": "syncthing", "path": str(self.dir / "t")}])
        done = self.pi_brain("sync", "run", "-s", "second")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("✓ second", done.stdout)
        self.assertFalse(self.mirror.exists())
        done = self.pi_brain("sync", "run")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, "off: skipped, it is disabled")
        self.assertRegex(done.stdout, "thing: skipped, its sync_method is syncthing")
        self.assert_mirrored()
        outcomes = [s["outcome"] for s in self.sync()["spokes"]]
        self.assertEqual(sorted(outcomes), ["ok", "ok", "skipped", "skipped"])

    def test_run_prints_a_line_a_spoke(self):
        self.write("p/a.jsonl", b"{}\n")
        done = self.pi_brain("sync", "run")
        self.assertRegex(done.stdout, r"^  ✓ laptop: 1 new; 1 file, \d.* on the wire, \d+\.\d s\n")
        self.assertNotIn("a.jsonl", done.stdout)
        self.write("p/b.jsonl", b"{}\n")
        done = self.pi_brain("sync", "run", "-v")
        self.assertRegex(done.stdout, r"new +p/b\.jsonl \(3 B\)")

    def test_dry_run_shows_and_does_nothing(self):
        self.write("p/a.jsonl", b"{}\n" * 10)
        self.write("p/gone.jsonl", b"{}\n" * 10)
        done = self.pi_brain("sync", "run", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"new +p/a\.jsonl \(30 B\)")
        self.assertIn("would sync: 2 new", done.stdout)
        self.assertFalse((self.dir / "synced").exists())
        self.assertIn("never synced", self.pi_brain("sync", "status").stdout)
        self.assertIn("No runs yet", self.pi_brain("sync", "history").stdout)
        self.assertFalse((self.dir / "data").exists(), "who only looks leaves nothing")
        self.sync()
        before = self.snapshot()
        self.write("p/a.jsonl", b"{}\n" * 20)
        (self.source / "p/gone.jsonl").unlink()
        changes = self.sync_one("-n", "--delete")["changes"]
        self.assertEqual([(c["kind"], c["path"]) for c in changes],
                         [("grow", "p/a.jsonl"), ("delete", "p/gone.jsonl")])
        self.assertEqual([(c["size"], c["added"]) for c in changes], [(60, 30), (30, 0)])
        self.assertEqual(self.snapshot(), before)

    def test_status(self):
        hub_sessions = self.dir / "hub-sessions" / "p"
        hub_sessions.mkdir(parents=True)
        (hub_sessions / "own.jsonl").write_text("{}\n")
        self.write("p/a.jsonl", b"{}\n")
        self.write("p/deep/run-1/session.jsonl", b"{}\n")
        self.write("p/notes.txt", b"no session")
        status = json.loads(self.pi_brain("sync", "status", "--json").stdout)
        spoke = status["spokes"][0]
        self.assertEqual((spoke["exists"], spoke["lastSync"], spoke["lastSyncFormatted"]), (False, None, None))
        self.sync()
        status = json.loads(self.pi_brain("sync", "status", "--json").stdout)
        spoke = status["spokes"][0]
        self.assertEqual(
            {k: status[k] for k in ("hubSessionsDir", "hubSessionCount", "rsyncAvailable", "totalSpokeSessionCount")},
            {"hubSessionsDir": str(self.dir / "hub-sessions"), "hubSessionCount": 1,
             "rsyncAvailable": shutil.which("rsync") is not None, "totalSpokeSessionCount": 2})
        self.assertEqual(status["hubName"], os.uname().nodename)
        self.assertEqual(
            {k: spoke[k] for k in ("name", "syncMethod", "path", "source", "enabled", "exists", "sessionCount",
                                   "lastSyncFormatted")},
            {"name": "laptop", "syncMethod": "agent", "path": str(self.mirror),
             "source": f"spoke:{self.source}", "enabled": True, "exists": True, "sessionCount": 2,
             "lastSyncFormatted": "just now"})
        self.assertRegex(spoke["lastSync"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(spoke["state"], "ok")
        text = self.pi_brain("sync", "status").stdout
        self.assertRegex(text, r"(?m)^  ✓ laptop +agent +2 +16 B +just now +ok$")
        self.assertIn("\nTotal: 2 sessions from 1 spoke\n", text)
        for named in (["--long"], ["laptop"], ["--spoke", "laptop"]):
            text = self.pi_brain("sync", "status", *named).stdout
            for part in ("✓ laptop (agent): ok", "Sessions: 2", str(self.mirror), f"spoke:{self.source}", "Last sync: just now"):
                self.assertIn(part, text)

    def test_status_at_a_glance(self):
        """Trouble first, a line for each, in 80 columns."""
        names = ["fine", "a-name-that-is-much-longer-than-others", "off", "never", "gone", *(f"more{n}" for n in range(5))]
        missing = {"source": str(self.dir / "missing")}
        self.write_config([self.spoke(name, enabled=name != "off", **(missing if name == "gone" else {})) for name in names])
        self.pi_brain("sync", "run", *(name for name in names if name != "never"))
        lines = self.pi_brain("sync", "status").stdout.splitlines()
        self.assertLessEqual(max(map(len, lines[2:13])), 80)
        rows = [line.split() for line in lines[3:13]]
        self.assertEqual(rows[0], ["✗", "gone", "agent", "0", "0", "B", "-", "root-missing"])
        self.assertEqual(rows[1][:3] + rows[1][-2:], ["!", "never", "agent", "never", "synced"])
        self.assertEqual(rows[-1], ["-", "off", "agent", "0", "0", "B", "-", "disabled"])
        self.assertEqual({row[0] for row in rows[2:-1]}, {"✓"})
        self.assertEqual(lines[14], "Total: 0 sessions from 10 spokes, 1 failed, 1 never synced, 1 disabled")
        states = {spoke["name"]: spoke["state"] for spoke in json.loads(self.pi_brain("sync", "status", "--json").stdout)["spokes"]}
        self.assertEqual([states[name] for name in ("fine", "gone", "never", "off")], ["ok", "failed", "never synced", "disabled"])
        with contextlib.closing(sqlite3.connect(self.dir / "data" / "sync.db")) as database:
            database.execute("UPDATE runs SET started_ns = started_ns - ?1, finished_ns = finished_ns - ?1", (3 * 86400 * 10**9,))
            database.commit()
        self.assertRegex(self.pi_brain("sync", "status").stdout, r"(?m)^  ! fine .* stale$")

    def test_a_spoke_that_has_lost_all_files(self):
        """Its directory is not mounted, for example: each command says so."""
        self.write("p/a.jsonl", b"{}\n")
        for method in ("agent", "rsync"):
            with self.subTest(method):
                self.write_config([self.spoke(sync_method=method, source=str(self.source))])
                self.write("p/a.jsonl", b"{}\n")
                self.sync()
                (self.source / "p/a.jsonl").unlink()
                for command in ("run", "verify"):
                    (warning,) = json.loads(self.pi_brain("sync", command, "--json").stdout)["spokes"][0]["warnings"]
                    self.assertIn(f"ls -la {self.source}", warning, command)
                self.assertRegex(self.pi_brain("sync", "status").stdout, r"(?m)^  ! laptop .* root-empty$")
                (spoke,) = json.loads(self.pi_brain("sync", "status", "--json").stdout)["spokes"]
                self.assertEqual(spoke["state"], "root-empty")

    def test_status_says_that_rsync_is_missing(self):
        self.write_config([self.spoke(sync_method="rsync")])
        empty = self.dir / "empty-path"
        empty.mkdir()
        env = {**self.environment(), "PATH": str(empty)}
        done = self.pi_brain("sync", "status", env=env)
        self.assertIn("rsync", done.stdout)
        self.assertIs(json.loads(self.pi_brain("sync", "status", "--json", env=env).stdout)["rsyncAvailable"], False)

    def test_list(self):
        self.write("p/a.jsonl", b"{}\n")
        self.write("p/b.txt", b"x")
        self.write("q/c.jsonl", b"{}\n")
        self.write_config([self.spoke(), self.spoke("second")])
        self.sync()
        text = self.pi_brain("sync", "list", "--spoke", "laptop").stdout
        self.assertRegex(text, r"^laptop \(agent\): 2 sessions\n  2\S+Z       3 B  q/c.jsonl\n  2\S+Z       3 B  p/a.jsonl\n$")
        self.assertIn(f"  {self.dir}/synced/second/q/c.jsonl\n", self.pi_brain("sync", "list", "--long").stdout)
        listed = json.loads(self.pi_brain("sync", "list", "--json").stdout)
        self.assertEqual([s["name"] for s in listed["spokes"]], ["laptop", "second"])
        self.assertEqual(listed["spokes"][0]["sessions"], ["q/c.jsonl", "p/a.jsonl"])

    def json_of(self, *args):
        """What is printed is strictly UTF-8."""
        done = self.pi_brain(*args, "--json")
        return json.loads(done.stdout.encode(errors="surrogateescape").decode())

    def test_names_that_are_not_utf8(self):
        """JSON distinguishes them, and commands accept its form."""
        names = [b"p/%s.jsonl" % name for name in (
            b"\xff", b"\xfe", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xe2\x82")]
        proper = ["p/a b%41.jsonl", "p/größe.jsonl"]
        contents = {name: b'{"n":%d}\n' % n * 99 for n, name in enumerate([*names, *map(os.fsencode, proper)])}
        for name, content in contents.items():
            self.write(os.fsdecode(name), content)

        def check(pairs):
            """One (shown, exact) for each name."""
            self.assertEqual(sorted(urllib.parse.unquote_to_bytes(exact) for _, exact in pairs if exact), sorted(names))
            self.assertEqual(sorted(shown for shown, exact in pairs if exact is None), proper)
            for shown, exact in pairs:
                self.assertEqual("\ufffd" in shown, exact is not None)
                self.assertRegex(exact or "", r"^([A-Za-z0-9._~/-]|%[0-9A-F]{2})*$")

        report = self.json_of("sync", "run", "-v")["spokes"][0]
        check([(c["path"], c["pathBytes"]) for c in report["changes"]])
        self.assertEqual({c["fromBytes"] for c in report["changes"]}, {None})
        spoke = self.json_of("sync", "list")["spokes"][0]
        self.assertEqual(len(spoke["sessions"]), len(spoke["sessionsBytes"]))
        check(list(zip(spoke["sessions"], spoke["sessionsBytes"])))
        self.assertIsNone(spoke["pathBytes"])

        for name in contents:
            path = os.fsencode(self.mirror) + b"/" + name
            times = os.stat(path)
            with open(path, "r+b") as file:
                file.write(b"x")
            os.utime(path, ns=(times.st_mtime_ns, times.st_mtime_ns))
        report = self.json_of("sync", "verify", "--repair")["spokes"][0]
        check([(d["path"], d["pathBytes"]) for d in report["differences"]])
        self.assert_mirrored()

        source = os.fsencode(self.source)
        os.mkdir(source + b"/\xf0")
        os.rename(source + b"/" + names[0], source + b"/\xf0/\xff.jsonl")
        [moved] = self.json_of("sync", "run", "-v")["spokes"][0]["changes"]
        self.assertEqual([moved[field] for field in ("kind", "pathBytes", "fromBytes")],
                         ["move", "%F0/%FF.jsonl", "p/%FF.jsonl"])
        os.rename(source + b"/\xf0/\xff.jsonl", source + b"/" + names[0])
        self.sync()

        shutil.rmtree(self.archive)
        for name in contents:
            os.unlink(source + b"/" + name)
        self.write("stays.jsonl", b"{}\n")
        self.sync("--delete", "--max-delete", "99")
        files = self.json_of("sync", "archive", "list")["files"]
        check([(f["path"], f["pathBytes"]) for f in files])
        for file in files:
            if file["pathBytes"] is not None:
                target = f"{self.dir}/{file['pathBytes'].replace('/', '-')}"
                done = self.pi_brain("sync", "archive", "restore", file["id"], "--to", "bytes:" + target)
                self.assertEqual(done.returncode, 0, done.stderr)
                with open(urllib.parse.unquote_to_bytes(target), "rb") as restored:
                    self.assertEqual(restored.read(), contents[urllib.parse.unquote_to_bytes(file["pathBytes"])])
        # A directory in the archive that no spoke of the config has.
        os.rename(os.fsencode(self.archive) + b"/laptop", os.fsencode(self.archive) + b"/l\xff")
        other = self.json_of("sync", "archive", "list", "-s", "bytes:l%FF")["files"]
        self.assertEqual({(f["spoke"], f["spokeBytes"]) for f in other}, {("l\ufffd", "l%FF")})
        self.assertEqual(len(other), len(files))
        os.rename(os.fsencode(self.archive) + b"/l\xff", os.fsencode(self.archive) + b"/laptop")
        self.assertEqual({f["spokeBytes"] for f in files}, {None})
        for wrong in ("bytes:%zz", "bytes:/tmp/%F", "bytes:/tmp/%00", "bytes:", ""):
            done = self.pi_brain("sync", "archive", "restore", files[0]["id"], "--to", wrong)
            self.assertEqual(done.returncode, 2, wrong)
        # A name that begins with "bytes:" must be given with a directory.
        self.pi_brain("sync", "archive", "restore", files[0]["id"], "--to", "./bytes:%41", cwd=self.dir)
        self.assertTrue((self.dir / "bytes:%41").exists())

    def test_descriptors_that_are_closed(self):
        """No output for the terminal goes into a file."""
        self.write("p/a.jsonl", b"{}\n")
        log = self.dir / "log"
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                shutil.rmtree(self.mirror, ignore_errors=True)
                log.unlink(missing_ok=True)
                command = f'"$0" sync run -v -c "$1" --log "$2" {closed}'
                done = subprocess.run(["sh", "-c", command, harness.HUB, self.config, log], env=self.environment(),
                                      capture_output=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assert_mirrored()
                for line in log.read_text().splitlines():
                    self.assertRegex(line, r"^\d{4}-\d\d-\d\dT")

    def test_a_limit_of_file_sizes(self):
        """One file is too large: the hub reports that, and survives."""
        self.write("p/large.jsonl", os.urandom(3 << 20))
        self.write("p/small.jsonl", b"{}\n")
        command = 'ulimit -f 2048; exec "$0" sync run --json -c "$1"'
        done = subprocess.run(["sh", "-c", command, harness.HUB, self.config], env=self.environment(),
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1, done)
        report = json.loads(done.stdout)["spokes"][0]
        self.assertEqual(report["failure"]["id"], "files-failed", report["error"])
        self.assertIn("File too large", report["error"])
        self.assertEqual([p.name for p in self.mirror.rglob("*.jsonl")], ["small.jsonl"])

    def test_the_table_of_spokes(self):
        """Its width is bounded, whatever an agent once said about itself."""
        self.write_config([self.spoke(), self.spoke("second")])
        self.sync()
        usual = self.pi_brain("spoke", "list").stdout
        self.assertIn("laptop", usual)
        with contextlib.closing(sqlite3.connect(self.dir / "data" / "sync.db")) as database:
            database.execute("UPDATE contacts SET version = ?, sandbox = ? WHERE spoke = 'second'",
                             ("\x1b" * 4096, "é" * 4096))
            database.commit()
        for line in self.pi_brain("spoke", "list").stdout.splitlines():
            self.assertLess(len(line), 300)

    def test_many_spokes_at_once(self):
        spokes = []
        for number in range(6):
            source = self.dir / f"source-{number}"
            harness.sessions.make(source, 20, median=3000, seed=number)
            spokes.append(self.spoke(f"spoke-{number}", source=str(source)))
        self.write_config(spokes)
        for jobs in ("1", "4"):
            report = self.sync("--jobs", jobs)
            self.assertEqual([s["name"] for s in report["spokes"]], [s["name"] for s in spokes])
        for number in range(6):
            self.assert_mirrored(source=self.dir / f"source-{number}",
                                 mirror=self.dir / "synced" / f"spoke-{number}")

    def test_many_spokes_of_many_directories(self):
        """The usual soft limit of descriptors is enough."""
        spokes = []
        for number in range(8):
            source = self.dir / f"source-{number}"
            for directory in range(300):
                (source / f"d{directory}").mkdir(parents=True)
                (source / f"d{directory}" / "a.jsonl").write_text("{}\n")
            spokes.append(self.spoke(f"spoke-{number}", source=str(source)))
        self.write_config(spokes)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        try:
            self.sync("--jobs", "8")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_a_spokes_own_ssh_config(self):
        self.write("p/a.jsonl", b"{}\n")
        self.write_config([self.spoke(ssh_config=str(self.sshd.ssh_config))], ssh_config="/dev/null")
        self.sync()
        self.assert_mirrored()

    def test_without_an_ssh_client(self):
        """Defaults stand in for `ssh -G`: the error is about the host, not about ssh."""
        self.write_config([self.spoke(source="someone@127.0.0.1:~/s")], ssh_config="/dev/null")
        empty = self.dir / "empty-path"
        empty.mkdir()
        done = self.pi_brain("sync", "run", env={**self.environment(), "PATH": str(empty)})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "connection refused|known_hosts|no answer")

    def test_home_is_where_the_defaults_are(self):
        home_config = self.home / ".pi-brain" / "config.yaml"
        home_config.parent.mkdir()
        home_config.write_text(
            "spokes:\n  - name: here\n    sync_method: agent\n    source: ~/.pi/agent/sessions\n"
            "    path: ~/.pi-brain/synced/here\n")
        sessions = self.home / ".pi/agent/sessions/p"
        sessions.mkdir(parents=True)
        (sessions / "a.jsonl").write_text("{}\n")
        done = self.pi_brain("sync", "run", config=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue((self.home / ".pi-brain/synced/here/p/a.jsonl").exists())
        self.assertTrue((self.home / ".pi-brain/data/sync.db").exists())
        self.assertEqual((self.home / ".pi-brain/data/sync.db").stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main(verbosity=2)
