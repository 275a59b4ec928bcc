"""`sync verify`: finds differences by content, without transferring files; --repair fetches them."""
import json
import os
import pathlib
import unittest

from harness import HubCase, sessions


class Verify(HubCase):
    def verify(self, *args, code=0):
        done = self.pi_brain("sync", "verify", "--json", *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        document = json.loads(done.stdout)
        self.assertEqual(document["ok"], code == 0)
        return document["spokes"][0]

    def verify_text(self, *args, code=0):
        done = self.pi_brain("sync", "verify", *args)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        return done.stdout

    def rot(self, path, offset):
        """Changes one byte in the mirror, and keeps size and time."""
        file = self.mirror / path
        times = file.stat()
        with open(file, "r+b") as out:
            out.seek(offset)
            byte = out.read(1)
            out.seek(offset)
            out.write(bytes([byte[0] ^ 1]))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def test_no_differences(self):
        sessions.make(self.source, 300, seed=21)
        self.sync()
        before, archive = self.snapshot(), self.archive.exists()
        result = self.verify()
        self.assertEqual((result["files"], result["differences"], result["extra"]), (300, [], 0))
        self.assertEqual(result["bytes"], sum(p.stat().st_size for p in self.source.rglob("*.jsonl")))
        self.assertLess(result["wireUp"] + result["wireDown"], 40_000)
        self.assertEqual((self.snapshot(), self.archive.exists()), (before, archive))
        self.assertIn("✓ laptop: 300 files compared", self.verify_text())

    def test_a_rotten_bit(self):
        large = os.urandom(3_000_000)
        self.write("--p--/large.jsonl", large)
        self.write("--p--/small.jsonl", b"x" * 2000)
        self.write("--p--/same.jsonl", b"{}\n")
        self.sync()
        self.rot("--p--/large.jsonl", 1_234_567)
        self.rot("--p--/small.jsonl", 10)
        self.assertEqual(self.counts(), {})  # a run does not notice
        result = self.verify(code=1)
        large_one, small_one = result["differences"]
        self.assertEqual((large_one["path"], large_one["kind"]), ("--p--/large.jsonl", "content"))
        self.assertLessEqual(large_one["offset"], 1_234_567)
        self.assertGreater(large_one["offset"] + large_one["blockLength"], 1_234_567)
        self.assertLess(large_one["blockLength"], 100_000)
        self.assertEqual((small_one["path"], small_one["offset"]), ("--p--/small.jsonl", 0))
        self.assertLess(result["wireUp"] + result["wireDown"], 100_000)
        text = self.verify_text(code=1)
        self.assertIn("--p--/small.jsonl: ", text)
        self.assertIn("✗ laptop: ", text)
        self.assertIn("sync verify --spoke laptop --repair", text)

        result = self.verify("--repair")
        self.assertTrue(result["repaired"])
        self.assertEqual(len(result["differences"]), 2)
        self.assertLess(result["wireUp"] + result["wireDown"], 200_000)  # not the whole file
        self.assert_mirrored()
        self.assertEqual(self.verify()["differences"], [])
        # P5: the old content is in the archive.
        archived = self.archived()
        self.assertEqual(archived[b"--p--/small.jsonl"], b"x" * 10 + b"y" + b"x" * 1989)
        self.assertEqual(len(archived[b"--p--/large.jsonl"]), 3_000_000)
        self.assertEqual(self.reasons(), [("--p--/large.jsonl", "repaired"), ("--p--/small.jsonl", "repaired")])
        self.assertFalse((self.mirror / ".pi-brain-staging").exists())

    def test_a_rewrite_that_kept_size_and_time(self):
        path = self.write("a.jsonl", b'{"n":1}\n')
        self.sync()
        times = path.stat()
        path.write_bytes(b'{"n":2}\n')
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertEqual(self.verify(code=1)["differences"][0]["kind"], "content")
        self.verify("--repair")
        self.assert_mirrored()

    def test_files_that_the_next_run_fetches_are_not_failures(self):
        self.write("grown.jsonl", b"{}\n")
        self.write("gone.jsonl", b"{}\n")
        self.write("cut.jsonl", b"{}\n{}\n")
        self.sync()
        self.write("grown.jsonl", b"{}\n{}\n")
        self.write("cut.jsonl", b"{}\n")
        self.write("new.jsonl", b"{}\n")
        (self.source / "gone.jsonl").unlink()
        result = self.verify()
        self.assertEqual([(d["path"], d["kind"]) for d in result["differences"]],
                         [("cut.jsonl", "changed"), ("grown.jsonl", "changed"), ("new.jsonl", "missing")])
        self.assertEqual(result["extra"], 1)
        text = self.verify_text()
        self.assertIn("new.jsonl: ", text)
        self.assertIn(f"'pi-brain sync run -c {self.config}'", text)
        self.assertTrue(self.verify("--repair")["repaired"])
        self.assert_mirrored(besides=["gone.jsonl"])
        self.assertEqual(self.counts(), {"kept": 1})

    def test_another_time_is_not_a_difference(self):
        path = self.write("a.jsonl", b"{}\n")
        self.sync()
        self.age(path)
        self.assertEqual(self.verify()["differences"], [])

    def test_a_file_that_was_fresh(self):
        self.write("fresh.jsonl", b"{}\n", age=False)
        self.sync()
        self.assertEqual(self.verify()["differences"], [])

    def test_one_spoke_of_two(self):
        """The other spoke is neither compared nor repaired."""
        self.write("a.jsonl", b"{}\n" * 50)
        both = [self.spoke(), self.spoke("desktop")]
        self.write_config(both)
        self.sync()
        mirrors = {spoke["name"]: spoke["path"] for spoke in both}
        for self.mirror in map(pathlib.Path, mirrors.values()):
            self.rot("a.jsonl", 20)
        rotten = self.mirror.joinpath("a.jsonl").read_bytes()
        done = self.pi_brain("sync", "verify", "--json", "--spoke", "laptop", "--repair")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual([s["name"] for s in json.loads(done.stdout)["spokes"]], ["laptop"])
        self.assert_mirrored(mirror=pathlib.Path(mirrors["laptop"]))
        self.assertEqual(self.mirror.joinpath("a.jsonl").read_bytes(), rotten)
        done = self.pi_brain("sync", "verify", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([(s["name"], len(s["differences"])) for s in json.loads(done.stdout)["spokes"]],
                         [("laptop", 0), ("desktop", 1)])

    def test_an_empty_spoke_and_no_mirror(self):
        self.assertEqual(self.verify()["files"], 0)
        self.assertFalse(self.mirror.exists())
        self.write("a.jsonl", b"{}\n")
        self.assertEqual(self.verify()["differences"][0]["kind"], "missing")
        self.assertFalse(self.mirror.exists())

    def test_an_empty_spoke_and_a_mirror(self):
        self.write("a.jsonl", b"{}\n")
        self.sync()
        (self.source / "a.jsonl").unlink()
        result = self.verify()
        self.assertEqual((result["files"], result["extra"]), (0, 1))
        self.assertIn(f"ls -la {self.source}", result["warnings"][0])

    def test_failures(self):
        self.write("a.jsonl", b"{}\n")
        self.sync()
        self.sshd.authorize("/no/such/agent")
        result = self.verify(code=1)
        self.assertEqual(result["outcome"], "failed")
        self.assertIn("not installed", result["error"])
        self.sshd.authorize_agent(self.source)
        done = self.pi_brain("sync", "verify", "-s", "nobody")
        self.assertEqual(done.returncode, 2)
        self.write_config([self.spoke(enabled=False)])
        self.assertEqual(self.verify()["outcome"], "skipped")


if __name__ == "__main__":
    unittest.main(verbosity=2)
