"""The archive: listing, restoring, expiry."""
import fcntl
import json
import os
import time
import unittest
import urllib.parse

from harness import HubCase


class ArchiveCommands(HubCase):
    def setUp(self):
        super().setUp()
        self.write("--p--/a.jsonl", b'{"n":1}\n' * 50)
        self.write("--p--/b.jsonl", b'{"n":2}\n')
        self.write("--p--/stays.jsonl", b'{"n":3}\n')
        self.sync()
        self.old = (self.source / "--p--/a.jsonl").stat().st_mtime_ns

    def listed(self, *args):
        done = self.pi_brain("sync", "archive", "list", "--json", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        document = json.loads(done.stdout)
        self.assertEqual(document["bytes"], sum(f["size"] for f in document["files"]))
        return document["files"]

    def restore(self, *args, code=0):
        done = self.pi_brain("sync", "archive", "restore", *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def lose_two(self, others=0):
        """One file rewritten, another deleted; `others` were rewritten before."""
        self.write("--p--/a.jsonl", b'{"m":9}\n' * 20)
        (self.source / "--p--/b.jsonl").unlink()
        self.assertEqual(self.counts("--delete"), {"rewritten": 1 + others, "deleted": 1})

    def test_empty(self):
        self.assertEqual(self.listed(), [])
        self.assertIn("0 files", self.pi_brain("sync", "archive", "list").stdout)
        self.assertIn("archive list", self.restore("abc", code=1))

    def test_list(self):
        before = time.time()
        self.lose_two()
        files = self.listed()
        self.assertEqual([(f["spoke"], f["path"], f["size"]) for f in files],
                         [("laptop", "--p--/a.jsonl", 400), ("laptop", "--p--/b.jsonl", 8)])
        self.assertEqual(files, self.listed("-s", "laptop"))
        self.assertEqual(len({f["id"] for f in files}), 2)
        for file in files:
            archived = time.mktime(time.strptime(file["archived"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
            self.assertAlmostEqual(archived, before, delta=60)
        text = self.pi_brain("sync", "archive", "list").stdout
        self.assertIn(f"{files[0]['id']}  {files[0]['archived']}  replaced      400 B  --p--/a.jsonl\n", text)
        self.assertIn(f"{files[1]['id']}  {files[1]['archived']}  deleted         8 B  --p--/b.jsonl\n", text)
        self.assertEqual([f["reason"] for f in files], ["replaced", "deleted"])
        (run,) = {f["run"] for f in files}
        self.assertRegex(run, r"^\d{8}T\d{6}\.\d{3}Z$")
        self.assertEqual(self.runs(), [f"{run}~deleted", f"{run}~replaced"])
        self.assertRegex(text, r"\n2 files .* 408 B, .* 30 days\n")
        done = self.pi_brain("sync", "archive", "list", "-s", "nobody")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, "'nobody' .*: laptop\\.")
        status = json.loads(self.pi_brain("sync", "status", "--json").stdout)
        self.assertEqual(status["spokes"][0]["archiveBytes"], 408)
        self.assertIn("Archive: 408 B", self.pi_brain("sync", "status", "--long").stdout)

    def test_of_a_version_that_did_not_tell_why(self):
        """What it archived is listed, restored and expires as before; ids are the same."""
        old = self.archive / "laptop/20260131T120000.123Z"
        for run in (old, old.with_name(old.name + "~2")):
            (run / "--p--").mkdir(parents=True)
            (run / "--p--/b.jsonl").write_bytes(b"old\n")
        self.lose_two()
        first, second, *others = self.listed()
        self.assertEqual([(f["path"], f["reason"], f["run"]) for f in (first, second)],
                         [("--p--/b.jsonl", None, "20260131T120000.123Z")] * 2)
        self.assertEqual([f["reason"] for f in others], ["replaced", "deleted"])
        self.assertEqual(first["id"], "61a0d710563a448a")
        self.assertIn(f"{first['id']}  2026-01-31T12:00:00Z  -               4 B  --p--/b.jsonl\n",
                      self.pi_brain("sync", "archive", "list").stdout)
        self.restore(first["id"])
        self.assertEqual((self.mirror / "--p--/b.jsonl").read_bytes(), b"old\n")

    def test_names_with_control_characters(self):
        self.write("--p--/\x1b[31mred\n.jsonl", b"{}\n")
        self.sync()
        (self.source / "--p--/\x1b[31mred\n.jsonl").unlink()
        self.sync("--delete")
        text = self.pi_brain("sync", "archive", "list").stdout
        self.assertIn("--p--/\\x1b[31mred\\n.jsonl", text)
        self.assertNotIn("\x1b", text)

    def test_a_file_as_deep_as_may_be(self):
        """It is archived, listed and restored like any other file, and does not disturb the others."""
        deep = "d/" * 399 + "deep.jsonl"
        self.write(deep, b"{}\n" * 9)
        self.sync()
        self.write(deep, b"[]\n")
        self.lose_two(others=1)
        listed = {f["path"]: f["id"] for f in self.listed()}
        self.assertEqual(sorted(listed), ["--p--/a.jsonl", "--p--/b.jsonl", deep])
        target = self.dir / "old.jsonl"
        self.restore(listed[deep], "--to", str(target))
        self.assertEqual(target.read_bytes(), b"{}\n" * 9)
        self.restore(listed["--p--/b.jsonl"])

    def test_restore_to_the_mirror(self):
        self.lose_two()
        rewritten, deleted = self.listed()
        self.assertIn(str(self.mirror / "--p--/b.jsonl"), self.restore(deleted["id"]))
        self.assertEqual((self.mirror / "--p--/b.jsonl").read_bytes(), b'{"n":2}\n')
        self.assertEqual((self.mirror / "--p--/b.jsonl").stat().st_mode & 0o777, 0o600)
        # The next run keeps it, without reporting it.
        self.assertEqual(self.counts(), {"kept": 1})
        self.assert_mirrored(besides=["--p--/b.jsonl"])
        self.assertEqual(len(self.listed()), 2)
        # The other file's path is in use.
        error = self.restore(rewritten["id"], code=1)
        self.assertIn("--to PATH", error)
        self.assert_mirrored(besides=["--p--/b.jsonl"])

    def test_restore_elsewhere(self):
        self.lose_two()
        rewritten, deleted = self.listed()
        target = self.dir / "old.jsonl"
        self.restore(rewritten["id"][:6], "--to", str(target))
        self.assertEqual(target.read_bytes(), b'{"n":1}\n' * 50)
        self.assertEqual((target.stat().st_mtime_ns, target.stat().st_mode & 0o777), (self.old, 0o600))
        self.assertIn("old.jsonl", self.restore(rewritten["id"], "--to", str(target), code=1))
        self.restore(deleted["id"], "--to", str(self.dir))
        self.assertEqual((self.dir / "b.jsonl").read_bytes(), b'{"n":2}\n')
        done = self.pi_brain("sync", "archive", "restore", deleted["id"], "--to", "/no/such/place", "--json")
        self.assertEqual(done.returncode, 1, done.stdout)
        failure = json.loads(done.stdout)["files"][0]["failure"]
        self.assertEqual(failure["id"], "restore-failed", failure)
        self.assertEqual([fix["command"] for fix in failure["fixes"]], ["mkdir -p /no/such"])
        self.assert_mirrored()

    def test_restore_does_not_replace_a_file(self):
        """A file stays if an archived one needs a directory of its name."""
        self.write("thing/inside.jsonl", b"{}\n")
        self.sync()
        (self.source / "thing/inside.jsonl").unlink()
        (self.source / "thing").rmdir()
        self.write("thing", b"a file now\n")
        self.sync("--delete", code=1)  # frees the name
        self.sync()
        archived = next(f for f in self.listed() if f["path"] == "thing/inside.jsonl")
        before = self.snapshot()
        error = self.restore(archived["id"], code=1)
        self.assertIn(str(self.mirror / "thing"), error)
        self.assertIn("--to PATH", error)
        self.assertEqual(self.snapshot(), before)
        self.assertIn("archive list", self.restore(code=2))

    def lose_many(self):
        """Three runs take files of two projects, one of them twice; returns the times of the runs."""
        for name in ("p/1", "p/2", "q/1", "q/2"):
            self.write(f"--{name[0]}--/{name}.jsonl", f"first {name}\n".encode())
        self.sync()
        self.write("--p--/p/1.jsonl", b"second\n")
        self.sync()
        for name in ("p/1", "q/1"):
            (self.source / f"--{name[0]}--/{name}.jsonl").unlink()
        self.sync("--delete")
        for name in ("p/2", "q/2"):
            (self.source / f"--{name[0]}--/{name}.jsonl").unlink()
        self.sync("--delete")
        files = self.listed()
        self.assertEqual([(f["path"], f["reason"]) for f in files],
                         [("--p--/p/1.jsonl", "replaced"), ("--p--/p/1.jsonl", "deleted"), ("--q--/q/1.jsonl", "deleted"),
                          ("--p--/p/2.jsonl", "deleted"), ("--q--/q/2.jsonl", "deleted")])
        return sorted({f["run"] for f in files})

    def restored(self, *args, code=0):
        """Paths and outcomes; each that is said to be restored is."""
        done = self.pi_brain("sync", "archive", "restore", "-c", str(self.config), "--json", *args, config=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual((document["ok"], document["dryRun"]), (code == 0, "-n" in args))
        for file in document["files"]:
            if file["outcome"] == "restored":
                where = urllib.parse.unquote_to_bytes(file["toBytes"]) if file["toBytes"] else file["to"]
                self.assertEqual(os.path.exists(where), "-n" not in args, file)
            self.assertEqual(file["failure"] is not None, file["outcome"] == "failed")
        self.failures = [failure["id"] for failure in document["failures"]]
        self.failed = {file["path"]: file["failure"]["id"] for file in document["files"] if file["failure"]}
        return [(file["path"], file["outcome"]) for file in document["files"]]

    P1, P2, Q1, Q2 = (f"--{name[0]}--/{name}.jsonl" for name in ("p/1", "p/2", "q/1", "q/2"))

    def test_restore_many(self):
        """By spoke, run, path, pattern and IDs; of each file the version that was archived last."""
        runs = self.lose_many()
        before = self.snapshot()
        everything = [(self.P1, "restored"), (self.Q1, "restored"), (self.P2, "restored"), (self.Q2, "restored"),
                      (self.P1, "older")]
        self.assertEqual(self.restored("-n", "-s", "laptop"), everything)
        self.assertEqual(self.restored("-n", "--run", runs[0]), [(self.P1, "restored")])
        self.assertEqual(self.restored("-n", "--run", runs[1]), [(self.P1, "restored"), (self.Q1, "restored")])
        self.assertEqual(self.restored("-n", "--run", time.strftime("%Y-", time.gmtime())), everything)
        self.assertEqual(self.restored("-n", "--run", runs[2], "*/q/*"), [(self.Q2, "restored")])
        for wanted in (["*/q/[12].jsonl"], ["*q*"], ["--", "--q--"], ["--", "--q--/q/"], ["--", self.Q1, self.Q2],
                       [self.listed()[2]["id"], "*q/2.jsonl"]):
            self.assertEqual(self.restored("-n", *wanted), [(self.Q1, "restored"), (self.Q2, "restored")], wanted)
        self.assertEqual(self.snapshot(), before)
        self.assertFalse((self.mirror / ".pi-brain-staging").exists())

        done = self.restore("-s", "laptop")
        self.assertRegex(done, r"(?m)^laptop:\n  ✓ \w{16}  \S+Z       7 B  --p--/p/1\.jsonl$")
        self.assertRegex(done, r"\n\n4 files \w+, 37 B; 1 .*\n")
        self.assertEqual((self.mirror / self.P1).read_bytes(), b"second\n")
        self.assertEqual((self.mirror / self.Q2).read_bytes(), b"first q/2\n")
        self.assertEqual(len(self.listed()), 5, "the archive keeps its own")
        self.assertFalse((self.mirror / ".pi-brain-staging").exists())
        self.assertEqual(self.counts(), {"kept": 4})
        self.assert_mirrored(besides=[self.P1, self.P2, self.Q1, self.Q2])

    def test_one_that_cannot_be_restored_does_not_stop_others(self):
        self.lose_many()
        taken = self.mirror / self.Q1
        taken.parent.mkdir(parents=True)
        taken.write_bytes(b"mine\n")
        (self.mirror / "--p--").mkdir(exist_ok=True)
        (self.mirror / "--p--/p").write_bytes(b"a file where a directory was\n")
        outcomes = [(self.P1, "failed"), (self.Q1, "failed"), (self.P2, "failed"), (self.Q2, "restored"), (self.P1, "older")]
        self.assertEqual(self.restored("-n", "-s", "laptop", code=1), outcomes)
        self.assertEqual(self.failed, dict.fromkeys((self.P1, self.Q1, self.P2), "restore-target-exists"))
        done = self.pi_brain("sync", "archive", "restore", "-s", "laptop", "no/such.jsonl", "*")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, rf"(?m)^  ✗ \w+  \S+ +10 B  {self.Q1}: .*: {taken}$")
        self.assertRegex(done.stdout, rf"(?m)^  ✗ .*{self.P1}: .*: {self.mirror}/--p--/p$")
        self.assertRegex(done.stdout, rf"(?m)^  ✓ \w+  \S+ +10 B  {self.Q2}$")
        self.assertRegex(done.stdout, r"\n1 file \w+, 10 B, 3 failed; 1 .*\n")
        self.assertEqual(done.stderr.count("--to PATH"), 1)
        self.assertIn("'no/such.jsonl'", done.stderr)
        self.assertEqual(taken.read_bytes(), b"mine\n")
        self.assertEqual((self.mirror / "--p--/p").read_bytes(), b"a file where a directory was\n")
        self.assertEqual((self.mirror / self.Q2).read_bytes(), b"first q/2\n")
        self.assertEqual(self.restored("no/such.jsonl", code=1), [])
        self.assertEqual(self.failures, ["archived-file-unknown"])

    def test_restore_many_elsewhere(self):
        """Beneath a directory, in which nothing gives way and no symlink leads away."""
        self.lose_many()
        there = self.dir / "new" / "there"
        self.assertEqual(self.restored("*", "--to", str(there))[:-1],
                         [(path, "restored") for path in (self.P1, self.Q1, self.P2, self.Q2)])
        self.assertEqual({path: (there / "laptop" / path).read_bytes() for path in (self.P1, self.Q1, self.P2, self.Q2)},
                         {self.P1: b"second\n", self.Q1: b"first q/1\n", self.P2: b"first p/2\n", self.Q2: b"first q/2\n"})
        self.assertEqual((there / "laptop" / self.P1).stat().st_mode & 0o777, 0o600)
        self.assertEqual((there / "laptop" / self.P1).stat().st_mtime_ns, HubCase.clock)
        self.assertEqual({outcome for _, outcome in self.restored("*", "--to", str(there), code=1)}, {"failed", "older"})
        away = self.dir / "away"
        (away / "laptop").mkdir(parents=True)
        (self.dir / "elsewhere").mkdir()
        (away / "laptop/--q--").symlink_to(self.dir / "elsewhere")
        self.assertEqual({path: outcome for path, outcome in self.restored("*[pq]/2.jsonl", "--to", str(away), code=1)},
                         {self.P2: "restored", self.Q2: "failed"})
        self.assertEqual(list((self.dir / "elsewhere").iterdir()), [])
        self.assert_mirrored()

    def test_restore_of_a_spoke_that_is_locked_and_one_that_is_gone(self):
        self.lose_two()
        lock = os.open(self.mirror, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.assertEqual(self.restored("*b.jsonl", code=75), [("--p--/b.jsonl", "failed")])
        self.assertEqual(self.failed, {"--p--/b.jsonl": "mirror-in-use"})
        os.close(lock)
        self.write_config([self.spoke(name="other")])
        self.assertEqual(self.restored("-s", "laptop", code=1), [("--p--/a.jsonl", "failed"), ("--p--/b.jsonl", "failed")])
        self.assertRegex(self.restore("-s", "nobody", code=2), "'nobody' .*: other\\.")
        self.assertEqual(self.restored("-s", "other", code=1), [])
        self.assertEqual(self.failures, ["archived-file-unknown"])
        self.assertEqual(self.restored("-s", "laptop", "--to", str(self.dir / "back")),
                         [("--p--/a.jsonl", "restored"), ("--p--/b.jsonl", "restored")])

    def test_restore_by_names_that_are_not_utf8(self):
        name = b"--p--/\xff[1].jsonl"
        self.write(os.fsdecode(name), b"odd\n")
        self.sync()
        (self.source / os.fsdecode(name)).unlink()
        self.sync("--delete")
        exact = next(file["pathBytes"] for file in self.listed() if file["pathBytes"])
        ((_, outcome),) = self.restored(f"bytes:{exact}")
        self.assertEqual(outcome, "restored")
        self.assertEqual((self.mirror / os.fsdecode(name)).read_bytes(), b"odd\n")

    def test_restore_where_the_next_run_deletes(self):
        self.lose_two()
        deleted = self.listed()[1]
        self.write_config([self.spoke(rsync_options={"delete": True})])
        done = self.pi_brain("sync", "archive", "restore", deleted["id"])
        self.assertEqual(done.returncode, 0)
        self.assertIn("'delete: true'", done.stderr)

    def test_an_archive_that_is_elsewhere(self):
        self.lose_two()
        self.archive.rename(self.dir / "elsewhere")
        self.archive.symlink_to(self.dir / "elsewhere")
        files = self.listed()
        self.assertEqual(len(files), 2)
        self.restore(files[1]["id"])
        self.write("--p--/a.jsonl", b"again\n")
        self.sync()
        self.assertEqual(len(self.listed()), 3)

    def test_an_archive_that_cannot_be_read(self):
        self.lose_two()
        self.archive.rename(self.dir / "elsewhere")
        for what in (self.archive, self.archive / "laptop"):
            what.write_text("not a directory\n")
            for command in (("list",), ("list", "--json"), ("restore", "0")):
                done = self.pi_brain("sync", "archive", *command)
                self.assertEqual(done.returncode, 1, (what, command))
                self.assertRegex(done.stderr, f"'{what}' .*: Not a directory")
            document = json.loads(self.pi_brain("sync", "archive", "restore", "0", "--json").stdout)
            failures = document["failures"] if "failures" in document else [document["failure"]]
            self.assertIn("archive-unreadable", [failure["id"] for failure in failures])
            what.unlink()
            self.archive.mkdir(exist_ok=True)

    def test_a_spoke_that_is_no_longer_configured(self):
        self.lose_two()
        self.write_config([self.spoke(name="other")])
        files = self.listed("-s", "laptop")
        self.assertEqual(len(files), 2)
        self.assertIn("--to PATH", self.restore(files[0]["id"], code=1))
        self.restore(files[0]["id"], "--to", str(self.dir / "x"))

    def test_a_run_is_at_work(self):
        self.lose_two()
        lock = os.open(self.mirror, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.assertEqual(self.restored(self.listed()[1]["id"], code=75), [("--p--/b.jsonl", "failed")])
        self.assertEqual(self.failed, {"--p--/b.jsonl": "mirror-in-use"})
        self.assertEqual(self.listed()[1]["path"], "--p--/b.jsonl")
        self.assertFalse((self.mirror / "--p--/b.jsonl").exists())
        os.close(lock)

    def runs(self):
        return sorted(p.name for p in (self.archive / "laptop").iterdir())

    def age_by(self, days):
        """As if the hub had counted this many more days."""
        ages = self.dir / "data/archive-ages/laptop"
        first, *counts = ages.read_text().splitlines()
        more = [f"{run} {int(age) + days * 86400 * 10**9}" for run, age in map(str.split, counts)]
        ages.write_text("\n".join([first, *more]) + "\n")

    def test_expiry(self):
        self.lose_two()
        recent = self.runs()
        old = time.strftime("%Y%m%dT%H%M%S.000Z", time.gmtime(time.time() - 31 * 86400))
        young = time.strftime("%Y%m%dT%H%M%S.000Z", time.gmtime(time.time() - 29 * 86400))
        for run in (old, old + "~2", young, "20990101T000000.000Z", "mine", old + ".mine"):
            deep = self.archive / "laptop" / run / "a/b"
            deep.mkdir(parents=True)
            (deep / "x.jsonl").write_text("{}\n")
            (deep / "link").symlink_to(self.source)
        (self.archive / "other" / old / "a").mkdir(parents=True)
        kept = sorted([*recent, young, "20990101T000000.000Z", "mine", old + ".mine"])
        self.sync("-n")
        # The age of these is not known, so it counts from now.
        self.sync()
        self.assertEqual(self.runs(), sorted([*kept, old, old + "~2"]))
        self.age_by(31)
        self.sync("-n")
        self.assertIn(old, self.runs())
        self.sync()
        self.assertEqual(self.runs(), kept)
        self.assertTrue((self.archive / "other" / old).exists())
        self.assert_mirrored()
        self.write_config([self.spoke()], archive_days=0)
        (self.archive / "laptop" / old).mkdir()
        self.sync()
        self.age_by(31)
        self.sync()
        self.assertIn(old, self.runs())
        self.assertIn("kept for ever", self.pi_brain("sync", "archive", "list").stdout)
        self.write_config([self.spoke()], archive_days=7)
        self.sync()
        self.assertNotIn(young, self.runs())


if __name__ == "__main__":
    unittest.main(verbosity=2)
