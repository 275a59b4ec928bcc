"""`pi-brain sync list`: dates, sizes, projects and first words of the sessions in the mirrors."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

import harness
from harness import HubCase

DAY = 86400


def header(cwd="/home/will/code/shop"):
    return {"type": "session", "version": 3, "id": "x", "timestamp": "2026-01-31T12:00:00.000Z", "cwd": cwd}


def said(role, *content):
    return {"type": "message", "id": "a", "parentId": None, "message": {"role": role, "content": list(content)}}


def text(words):
    return {"type": "text", "text": words}


def lines(*entries):
    return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries).encode()


class List(HubCase):
    """Mirrors that were synced: what the command reads is on the hub alone."""

    def mirrored(self, name, content=lines(header()), age=0):
        path = pathlib.Path(os.fsdecode(self.mirror)) / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        then = time.time() - age
        os.utime(path, (then, then))
        return path

    def listed(self, *args):
        done = self.pi_brain("sync", "list", "--json", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (spoke,) = json.loads(done.stdout.encode(errors="surrogateescape").decode())["spokes"]
        self.assertEqual(len(spoke["sessions"]), len(spoke["details"]))
        return {path: detail for path, detail in zip(spoke["sessions"], spoke["details"])}

    def paths(self, *args):
        return list(self.listed(*args))

    def title(self, content):
        self.mirrored("--p--/title.jsonl", content)
        (detail,) = self.listed("-l", "--project", "--p--").values()
        return detail["title"]

    def test_dates_sizes_and_order(self):
        self.mirrored("--home-will-shop--/b.jsonl", b"x" * 5000, age=2 * DAY)
        self.mirrored("--home-will-shop--/a.jsonl", b"{}\n", age=3 * DAY)
        self.mirrored("--home-will-site--/run-1/session.jsonl", b"{}\n", age=DAY)
        self.mirrored("flat.jsonl", b"{}\n", age=9 * DAY)
        self.mirrored("--home-will-shop--/note.txt")
        order = ["--home-will-site--/run-1/session.jsonl", "--home-will-shop--/b.jsonl", "--home-will-shop--/a.jsonl",
                 "flat.jsonl"]
        listed = self.listed()
        self.assertEqual(list(listed), order)
        self.assertEqual([detail["size"] for detail in listed.values()], [3, 5000, 3, 3])
        self.assertEqual([detail["project"] for detail in listed.values()],
                         ["--home-will-site--", "--home-will-shop--", "--home-will-shop--", None])
        self.assertEqual({(detail["title"], detail["directory"]) for detail in listed.values()}, {(None, None)})
        modified = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((self.mirror / path).stat().st_mtime)) for path in order]
        self.assertEqual([detail["modified"] for detail in listed.values()], modified)
        self.assertEqual(self.pi_brain("sync", "list").stdout,
                         f"laptop (agent): 4 sessions\n  {modified[0]}       3 B  {order[0]}\n  {modified[1]}    4.9 KB  {order[1]}\n"
                         f"  {modified[2]}       3 B  {order[2]}\n  {modified[3]}       3 B  {order[3]}\n")

    def test_filters(self):
        for number, project in enumerate(("--home-will-Shop--", "--home-will-site--", "--srv-shop-api--")):
            self.mirrored(f"{project}/s.jsonl", age=number * DAY + 1800)
        self.mirrored("flat-shop.jsonl", age=10 * DAY)
        shop, site, api, flat = "--home-will-Shop--/s.jsonl", "--home-will-site--/s.jsonl", "--srv-shop-api--/s.jsonl", "flat-shop.jsonl"
        for since, expected in (("1h", [shop]), ("29min", []), ("31m", [shop]), ("1d", [shop]), ("25h", [shop, site]),
                                ("7d", [shop, site, api]), ("999999d", [shop, site, api, flat])):
            self.assertEqual(self.paths("--since", since), expected, since)
        for project, expected in (("shop", [shop, api]), ("SHOP", [shop, api]), ("/home/will", [shop, site]), ("~/x", []),
                                  ("will/shop", [shop]), ("--srv", [api]), ("flat", []), (".*", [])):
            self.assertEqual(self.paths("--project", project), expected, project)
        self.assertEqual(self.paths("--since", "2d", "--project", "shop"), [shop])
        self.assertIn("laptop (agent): 2 of 4 sessions\n", self.pi_brain("sync", "list", "--project", "shop").stdout)
        done = json.loads(self.pi_brain("sync", "list", "--json", "--since", "1h").stdout)
        self.assertEqual(done["spokes"][0]["total"], 4)
        for wrong in ("yesterday", "7", "-1d", "1w2", "12345678d"):
            done = self.pi_brain("sync", "list", f"--since={wrong}")
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"--since '{wrong}'", done.stderr)
        for wrong in (["--since="], ["--project="], ["--names", "--since", "1h"], ["--names", "--long"]):
            self.assertEqual(self.pi_brain("sync", "list", *wrong).returncode, 2, wrong)

    def test_long(self):
        first = said("user", {"type": "image", "data": "AAAA", "mimeType": "image/png"}, text("Fix the\n  login\tof the shop"))
        path = self.mirrored("--home-will-code-shop--/a.jsonl", lines(
            header(), {"type": "model_change", "modelId": "m"}, said("assistant", text("not this")), first,
            said("user", text("nor this"))), age=DAY)
        untitled = self.mirrored("--home-x--/b.jsonl", lines(header("/home/x")), age=2 * DAY)
        when = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(p.stat().st_mtime)) for p in (path, untitled)]
        out = self.pi_brain("sync", "list", "--long").stdout
        self.assertEqual(out.splitlines(), [
            "laptop (agent): 2 sessions",
            f"  {when[0]}  {path.stat().st_size:>6} B  /home/will/code/shop  Fix the login of the shop", f"    {path}",
            f"  {when[1]}  {untitled.stat().st_size:>6} B  /home/x", f"    {untitled}"])
        listed = self.listed("--long")
        self.assertEqual(list(listed), [str(path), str(untitled)])
        self.assertEqual([(d["title"], d["directory"]) for d in listed.values()],
                         [("Fix the login of the shop", "/home/will/code/shop"), (None, "/home/x")])

    def test_titles(self):
        """Of whatever a session begins with, and files that are none."""
        user = said("user", text("the words"))
        for content, title in (
                (lines(header(), user), "the words"),
                (lines(user), "the words"),
                (lines(header(), {"type": "message", "message": {"role": "user", "content": "as one text"}}), "as one text"),
                (json.dumps(header(), indent=None).encode() + b"\r\n" + json.dumps(user).encode(), "the words"),
                (lines(header(), said("assistant", text("an answer"))), None),
                (lines(header(), said("user", text("")), user), "the words"),
                (lines(header(), said("user", text("\ud83d\ude00 größe \"quoted\" C:\\x"))), "😀 größe \"quoted\" C:\\x"),
                (lines(header(), said("user", text("x" * 119 + "é" + "y" * 500))), "x" * 119 + "…"),
                (lines(header(), said("user", text("long " * 100_000))), ("long " * 24) + "…"),
                (lines(header(), said("user", text("z" * 60_000)))[:20_000], "z" * 120 + "…"),
                (b"", None), (b"\n\n\n", None), (b"no JSON at all\n" * 9, None), (b"\0" * 5000, None), (b"\xff" * 5000, None),
                (b"{" * 100_000, None), (b"[" * 100_000 + b"\n" + lines(user), None), (b'"' * 9000, None), (b"\\" * 9000, None),
                (b'{"type":"message","message":{"role":"user","content":[{"type":"text","text":"cut', "cut"),
                (b'{"type":"message","message":{"role":"user","content":"\\ud800 \\u12 \\uzzzz \\', "� �12 �zzzz"),
                (b'{"type":"message","message":{"role":"user","content":"raw \xff byte"}}', "raw � byte"),
                (b"x" * 3_000_000 + b"\n" + lines(user), None),
                (b'{"cwd":"' + b"c" * 20_000 + b'"}\n' + lines(user), "the words"),
                (lines(header(), {"type": "custom", "data": {"message": {"role": "user", "content": "no"}}}), None),
                (lines(header(), {"type": "custom", "message": {"role": "user", "content": "no"}}), None)):
            self.assertEqual(self.title(content), title, content[:200])

    def test_nothing_obeys_what_files_say(self):
        """Neither the terminal nor JSON, whatever names, headers and messages are."""
        evil = "\x1b]0;title\x07\x1b[2J\u202e\x9b31m\r\n\\x1b"
        self.mirrored(b"--p\x1b[31m\xff--/s\n.jsonl", lines(header("/home/" + evil), said("user", text(evil))))
        for args in ([], ["-l"]):
            out = self.pi_brain("sync", "list", *args).stdout
            self.assertNotRegex(out, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\udc80-\udcff]")
            self.assertEqual(out.count("\n"), 2 + len(args))
            self.assertNotRegex(self.pi_brain("sync", "list", "--json", *args).stdout, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
        (detail,) = self.listed("-l").values()
        self.assertEqual(detail["title"], "]0;title [2J\u202e\x9b31m \\x1b")

    def test_what_is_not_a_file(self):
        """Nothing is followed, waited for, or stops the list."""
        secret = self.dir / "secret.jsonl"
        secret.write_bytes(lines(header(), said("user", text("a secret"))))
        self.mirrored("--p--/fine.jsonl", lines(header(), said("user", text("fine"))))
        (self.mirror / "--p--/link.jsonl").symlink_to(secret)
        (self.mirror / "--q--").symlink_to(self.dir)
        os.mkfifo(self.mirror / "--p--/fifo.jsonl")
        (self.mirror / "--p--/directory.jsonl").mkdir()
        done = self.pi_brain("sync", "list", "-l", timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("(agent): 1 session\n", done.stdout)
        self.assertIn("  fine\n", done.stdout)
        self.assertNotIn("secret", done.stdout)

    def test_only_beginnings_are_read_and_only_for_titles(self):
        """By what strace sees."""
        for n in range(20):
            self.mirrored(f"--p--/{n}.jsonl", lines(header(), said("user", text("words"))) + b"x" * 500_000)
        self.mirrored("--p--/untitled.jsonl", lines(header()) + b"x" * 500_000)

        def read(*args):
            log = self.dir / "strace"
            subprocess.run(["strace", "-f", "-y", "-o", log, "-e", "trace=read,pread64,readv,preadv,mmap", harness.HUB, "sync", "list",
                            "-c", self.config, *args], env=self.environment(), capture_output=True, check=True)
            lengths = re.findall(r"\.jsonl>.* = (\d+)$", log.read_text(), re.M)
            self.assertNotRegex(log.read_text(), r"mmap\(.*\.jsonl")
            return sum(map(int, lengths))

        self.assertEqual(read(), 0)
        self.assertEqual(read("--json"), 0)
        self.assertEqual(read("--long", "--project", "nothing"), 0)
        self.assertEqual(read("--long"), 21 * 8192 + 65536)

    def test_fifty_thousand(self):
        """Fast, and in little memory, with titles too. Seconds are the processor's: the machine may be busy."""
        content = lines(header(), said("user", text("words " * 10)))
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as large:
            for project in range(100):
                directory = pathlib.Path(large) / f"--home-will-code-{project}--"
                directory.mkdir()
                for n in range(500):
                    (directory / f"2026-01-31T12-00-00-000Z_{n:032x}.jsonl").write_bytes(content)
            self.write_config([self.spoke(path=large)])
            for args, seconds, megabytes in (([], 2, 100), (["-l"], 4, 100), (["--json"], 5, 300)):
                with open(self.dir / "out", "w+b") as out:
                    pid = os.posix_spawn(harness.HUB, [harness.HUB, "sync", "list", "-c", self.config, *args],
                                         self.environment(), file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)])
                    _, status, usage = os.wait4(pid, 0)
                    self.assertEqual(status, 0)
                    out.seek(0)
                    self.assertEqual(out.read().count(b"Z_"), 50_000)
                self.assertLess(usage.ru_utime + usage.ru_stime, seconds, args)
                self.assertLess(usage.ru_maxrss // 1024, megabytes, args)


if __name__ == "__main__":
    unittest.main(verbosity=2)
