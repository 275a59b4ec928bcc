"""Sessions that are saved by rename again and again while the agent walks, on filesystems whose directories then
show a name twice or not at all: what was there at every instant is not deleted."""
import os
import subprocess
import sys
import unittest

import mounts
from faults import MIB, FaultCase, contents, lines
from harness import files_below

RUNS = int(os.environ.get("PIBRAIN_WALKS", "20"))

# Replaces each file by one that is the same, in content and time, with another inode.
SAVER = """
import os, sys
root, beside = map(os.fsencode, sys.argv[1:])
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
"""


class SavedByRename(mounts.PrivateMounts, FaultCase):
    def setUp(self):
        super().setUp()
        self.memory = mounts.Tmpfs(self.dir / "memory", 1000 * MIB)
        self.addCleanup(self.memory.unmount)

    def saved(self, place, files):
        """Runs with --delete while each of so many files of one directory is replaced all the time."""
        self.source = place / "sessions"
        self.write_config([self.spoke(source=str(self.source))])
        for number in range(files):
            self.write(f"p/{number}.jsonl", lines(self.rng, 400))
        self.write("q/stays.jsonl", lines(self.rng, 400))
        self.settle()
        names = set(contents(self.mirror))
        saver = subprocess.Popen([sys.executable, "-c", SAVER, self.source / "p", place / "beside"],
                                 stdout=subprocess.PIPE, text=True, env={**os.environ, "PARENT": str(os.getpid())})
        try:
            self.assertEqual(saver.stdout.readline(), "ready\n")
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
            saver.communicate()
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
