"""Sessions that are saved by rename again and again during a scan by the agent or rsync, on filesystems that then list
a name twice or not at all; and sessions that move between directories. A file that existed at every instant is not
deleted."""
import os
import subprocess
import sys
import unittest

import mounts
from faults import MIB, FaultCase, contents, lines
from harness import files_below

RUNS = int(os.environ.get("PIBRAIN_WALKS", "20"))

# Replaces each file by one with the same content and time, and another inode.
SAVER = """
import os, sys, time
root, beside = map(os.fsencode, sys.argv[1:3])
pause = float(sys.argv[3])
files = []
for directory, _, names in os.walk(root):
    for name in names:
        path = os.path.join(directory, name)
        st = os.stat(path)
        files.append((path, open(path, "rb").read(), (st.st_atime_ns, st.st_mtime_ns)))
print("ready", flush=True)
while os.getppid() == int(os.environ["PARENT"]):
    for path, content, times in files:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, content)
        os.utime(fd, ns=times)
        os.close(fd)
        os.rename(beside, path)
    time.sleep(pause)
"""


# Moves each file of the first directory to another one, again and again.
MOVER = """
import os, sys, time, random
root, pause = sys.argv[1], float(sys.argv[2])
directories = ["a", "b", "c/d", "z"]
where = {name: "a" for name in os.listdir(root + "/a")}
print("ready", flush=True)
while os.getppid() == int(os.environ["PARENT"]):
    for name, old in where.items():
        new = random.choice([d for d in directories if d != old])
        os.rename(f"{root}/{old}/{name}", f"{root}/{new}/{name}")
        where[name] = new
        time.sleep(pause)
"""


class SavedByRename(mounts.PrivateMounts, FaultCase):
    method = "agent"

    def setUp(self):
        super().setUp()
        self.memory = mounts.Tmpfs(self.dir / "memory", 1000 * MIB)
        self.addCleanup(self.memory.unmount)

    def sessions_at(self, place):
        self.source = place / "sessions"
        self.write_config([self.spoke(source=str(self.source), sync_method=self.method)])

    def meanwhile(self, program, *arguments):
        """Runs the program until the caller ends."""
        child = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True,
                                 env={**os.environ, "PARENT": str(os.getpid())})
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "ready\n")
        return child

    def moved(self, pause):
        self.sessions_at(self.memory.path)
        for number in range(200):
            self.write(f"d{number}/{number}.jsonl", lines(self.rng, 400))
        moving = {os.path.basename(self.write(f"a/m{number}.jsonl", lines(self.rng, 400))) for number in range(6)}
        for directory in ("b", "c/d", "z"):
            (self.source / directory).mkdir(parents=True)
        self.settle()
        mover = self.meanwhile(MOVER, self.source, str(pause))
        nowhere, failed = [], []
        for number in range(RUNS):
            done = self.pi_brain("sync", "run", "--delete")
            if done.returncode != 0:
                failed.append(done.stdout + done.stderr)
            nowhere += moving - {os.path.basename(os.fsdecode(path)) for path in files_below(self.mirror)}
        self.assertEqual((failed, nowhere), ([], []))
        mover.kill()
        mover.wait()
        (self.source / "d7/7.jsonl").unlink()
        self.assertIn("deleted", self.counts("--delete"))
        self.assertEqual(set(files_below(self.source)), set(files_below(self.mirror)))

    def test_moved_between_directories(self):
        self.moved(0.001)

    def test_moved_between_directories_now_and_then(self):
        self.moved(0.03)

    def test_gone_files_are_deleted_once_the_tree_is_at_rest(self):
        self.sessions_at(self.memory.path)
        for number in range(300):
            self.write(f"p/{number}.jsonl", lines(self.rng, 400))
            self.write(f"q/{number}.jsonl", lines(self.rng, 400))
        self.settle()
        self.meanwhile(SAVER, self.source / "p", self.memory.path / "beside", "0.3")
        for number in range(5):
            (self.source / f"q/{number}.jsonl").unlink()
            self.pi_brain("sync", "run", "--delete")
        gone = [number for number in range(5) if not (self.mirror / f"q/{number}.jsonl").exists()]
        self.assertGreater(len(gone), 0, "the tree rests for 0.3 s after each round")

    def saved(self, place, files):
        """Runs with --delete while each of `files` files of one directory is replaced all the time."""
        self.sessions_at(place)
        for number in range(files):
            self.write(f"p/{number}.jsonl", lines(self.rng, 400))
        self.write("q/stays.jsonl", lines(self.rng, 400))
        self.settle()
        names = set(contents(self.mirror))
        saver = self.meanwhile(SAVER, self.source / "p", place / "beside", "0")
        try:
            deleted, missing, failed = [], [], []
            for number in range(RUNS):
                done = self.pi_brain("sync", "run", "--delete", "--max-delete", str(files))
                if done.returncode != 0:
                    failed.append(done.stdout + done.stderr)
                deleted.append(len(self.archived_contents()))
                missing.append(len(names - set(files_below(self.mirror))))
                self.note_archive()
        finally:
            saver.kill()
            saver.wait()
        self.assertEqual((failed, sum(deleted), sum(missing)), ([], 0, 0), f"archived per run: {deleted}, missing: {missing}")
        self.settle()

    def test_on_tmpfs(self):
        self.saved(self.memory.path, 3000)

    def test_a_small_directory_on_tmpfs(self):
        self.saved(self.memory.path, 30)

    def on_image(self, kind, files):
        if kind not in mounts.kinds_of_images(self.memory.path):
            self.fail(f"this machine makes and mounts no {kind}: run this as root, where mkfs.{kind} and the kernel's {kind} are")
        disk = mounts.Image(self.memory.path / "image", self.dir / "disk", kind, 400 * MIB)
        self.addCleanup(disk.unmount)
        self.saved(disk.path, files)

    def test_on_btrfs(self):
        self.on_image("btrfs", 3000)

    def test_a_small_directory_on_btrfs(self):
        self.on_image("btrfs", 30)

    def test_on_ext4(self):
        self.on_image("ext4", 1000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
