"""Filesystems of a test's own, in a mount namespace that ends with the test's process."""
import ctypes
import os
import subprocess

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
private = False


def use_private_mounts():
    """Gives this process and its children private mounts. sshd must be running already, because an
    unprivileged user becomes root of a user namespace, in which sshd cannot start. A user who may not
    even do this cannot run these tests, and is told so."""
    global private
    if private:
        return
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if user else 0)) != 0:
        error = os.strerror(ctypes.get_errno())
        raise AssertionError(f"these tests need mounts of their own: run them as root, or allow user namespaces "
                             f"(sysctl kernel.unprivileged_userns_clone=1, or a container with CAP_SYS_ADMIN): {error}")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as out:
                out.write(text)
    run("mount", "--make-rprivate", "/")
    private = True


class PrivateMounts:
    """A mixin for a test case, before its base: gives it private mounts, once its sshd runs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        use_private_mounts()


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}")


def etc_with(place, **files):
    """A copy of /etc at `place` with these files (passwd=…), to be mounted over it in a namespace. A mount over a single
    file would vanish in all namespaces when another program replaces that file (useradd renames)."""
    subprocess.run(["cp", "-a", "/etc", str(place)], stderr=subprocess.DEVNULL)  # without the files that others may not read
    for name, text in files.items():
        file = place / name.replace("_", ".")
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(0o644)
    return place


class Tmpfs:
    """A small filesystem in memory. `size` in bytes; `inodes`: 0 for any number."""

    def __init__(self, path, size, inodes=0):
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={inodes},mode=700", "none", path)
        # The mounted directory, not the one beneath it.
        self.mounted = True

    def resize(self, size, inodes=0):
        run("mount", "-o", f"remount,size={size},nr_inodes={inodes}", self.path)

    def fill(self, leave):
        """Fills the filesystem except for `leave` bytes."""
        st = os.statvfs(self.path)
        take = st.f_bavail * st.f_frsize - leave
        with open(self.path / "filler", "wb") as out:
            for _ in range(take // 4096):
                out.write(b"\0" * 4096)

    def fill_inodes(self, leave):
        (self.path / "fillers").mkdir()
        for number in range(os.statvfs(self.path).f_ffree - leave):
            (self.path / "fillers" / str(number)).touch()

    def make_room(self):
        subprocess.run(["rm", "-rf", self.path / "filler", self.path / "fillers"], check=True)

    def read_only(self, on=True):
        run("mount", "-o", "remount," + ("ro" if on else "rw"), self.path)

    def unmount(self):
        if self.mounted:
            # Lazily, since a failed test may have left files open.
            run("umount", "-l", self.path)
            self.mounted = False


class Image:
    """A filesystem on a block device that is backed by a file: the file's content at an instant is what a
    power cut at that instant leaves. Needs root."""

    MKFS = {"ext4": ("mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
            "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}

    def __init__(self, file, path, kind, size, mkfs=(), options=()):
        self.file, self.path, self.kind, self.options = file, path, kind, options
        with open(file, "wb") as out:
            out.truncate(size)
        run(*self.MKFS[kind], *mkfs, file)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.mounted = False
        self.mount()

    def mount(self):
        # The device vanishes when it is unmounted, at the latest when the namespace ends.
        run("mount", "-t", self.kind, "-o", ",".join(["loop", *self.options]), self.file, self.path)
        self.mounted = True

    def unmount(self):
        """Leaves everything on the device, and nothing in the page cache."""
        if self.mounted:
            run("umount", self.path)
            self.mounted = False


class Fuse:
    """A filesystem in a file, by a program of its own."""

    def __init__(self, directory, path, kind, mkfs):
        self.file, self.path, self.kind = directory / f"{kind}.img", path, kind
        with open(self.file, "wb") as out:
            out.truncate(64 << 20)
        run(*mkfs, self.file)
        path.mkdir()
        self.mount()

    def mount(self, kind=None, *options):
        run("mount", "-t", kind or self.kind, "-o", ",".join(["loop", *options]), self.file, self.path)

    def unmount(self):
        run("umount", self.path)


class Exfat(Fuse):
    """Ignores case, stores seconds and no modes, and has no links, no exchange of names and no syncfs(2)."""

    def __init__(self, directory, path):
        super().__init__(directory, path, "exfat-fuse", ["mkfs.exfat"])


class Ntfs(Fuse):
    """As it is mounted by default: stores times to 100 ns and no modes, and distinguishes case."""

    def __init__(self, directory, path):
        super().__init__(directory, path, "ntfs-3g", ["mkfs.ntfs", "-F", "-Q", "-q"])


def kinds_of_images(directory):
    """The kinds that this machine can make and mount."""
    found = []
    for kind in Image.MKFS:
        file = directory / f"probe-{kind}"
        try:
            Image(file, directory / "probe", kind, 400 << 20).unmount()
            found.append(kind)
        except (AssertionError, FileNotFoundError):
            pass
        finally:
            file.unlink(missing_ok=True)
    return found
