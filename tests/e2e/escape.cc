// The attempts of an intruder in the agent. Built into a copy of the agent for tests alone
// (tests/e2e/CMakeLists.txt), and called where the agent would start to serve. Prints a line for
// each attempt to standard error: its name, and "denied" with the error, or "ESCAPED".

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace {

void report(const char* what, bool denied) {
  int error = errno;
  fprintf(stderr, "%s: %s\n", what, denied ? strerrorname_np(error) : "ESCAPED");
}

void tryFiles(const std::string& root) {
  auto outside = root + "/../outside";
  report("read outside", open(outside.c_str(), O_RDONLY) < 0);
  report("read /etc/passwd", open("/etc/passwd", O_RDONLY) < 0);
  report("read by openat2 outside", [&] {
    struct {
      uint64_t flags, mode, resolve;
    } how = {O_RDONLY, 0, 0};
    return syscall(SYS_openat2, AT_FDCWD, outside.c_str(), &how, sizeof(how)) < 0;
  }());
  report("list outside", open((root + "/..").c_str(), O_RDONLY | O_DIRECTORY) < 0);
  auto inside = root + "/session.jsonl";
  report("write inside", open(inside.c_str(), O_WRONLY) < 0);
  report("write by openat2 inside", [&] {
    struct {
      uint64_t flags, mode, resolve;
    } how = {O_WRONLY, 0, 0};
    return syscall(SYS_openat2, AT_FDCWD, inside.c_str(), &how, sizeof(how)) < 0;
  }());
  report("truncate", truncate(inside.c_str(), 0) != 0);
  report("create", open((root + "/new").c_str(), O_WRONLY | O_CREAT, 0600) < 0);
  report("mkdir", mkdir((root + "/dir").c_str(), 0700) != 0);
  report("unlink", unlink(inside.c_str()) != 0);
  report("rename", rename(inside.c_str(), (root + "/other").c_str()) != 0);
  report("link", link(inside.c_str(), (root + "/other").c_str()) != 0);
  report("symlink", symlink("/etc", (root + "/other").c_str()) != 0);
  report("chmod", chmod(inside.c_str(), 0777) != 0);
  report("chown", chown(inside.c_str(), 1, 1) != 0);
  report("touch", utimensat(AT_FDCWD, inside.c_str(), nullptr, 0) != 0);
  int session = open(inside.c_str(), O_RDONLY);
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  report("lock", fcntl(session, F_SETLK, &lock) != 0);
  report("lock an open file", fcntl(session, F_OFD_SETLK, &lock) != 0);
  report("lease", fcntl(session, F_SETLEASE, F_RDLCK) != 0);
  report("be told of changes", fcntl(open(root.c_str(), O_RDONLY), F_NOTIFY, DN_MODIFY) != 0);
  report("setxattr", syscall(SYS_setxattr, inside.c_str(), "user.x", "y", 1, 0) != 0);
}

void tryProcesses() {
  char shell[] = "/bin/sh";
  char* arguments[] = {shell, nullptr};
  report("exec", execv(shell, arguments) != 0);
  pid_t child = fork();
  if (child == 0) _exit(0);
  report("fork", child < 0);
  child = vfork();
  if (child == 0) _exit(0);
  report("vfork", child < 0);
  report("ptrace", ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr) != 0);
  report("kill parent", kill(getppid(), 0) != 0);
  report("be told of input", fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK | O_ASYNC) != 0);
  report("have a parent told of input", fcntl(STDIN_FILENO, F_SETOWN, getppid()) != 0);
  report("choose the signal", fcntl(STDIN_FILENO, F_SETSIG, SIGKILL) != 0);
  report("memfd", syscall(SYS_memfd_create, "x", 0) < 0);
  report("executable memory", mmap(nullptr, 4096, PROT_READ | PROT_EXEC,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  report("memory made executable", mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0);
  report("io_uring", syscall(SYS_io_uring_setup, 1, nullptr) < 0);
  report("bpf", syscall(SYS_bpf, 0, nullptr, 0) < 0);
  report("namespace", syscall(SYS_unshare, 0) < 0);
}

void tryNetwork() {
  report("TCP socket", socket(AF_INET, SOCK_STREAM, 0) < 0);
  report("UDP socket", socket(AF_INET, SOCK_DGRAM, 0) < 0);
  report("unix socket", socket(AF_UNIX, SOCK_STREAM, 0) < 0);
  report("netlink socket", socket(AF_NETLINK, SOCK_RAW, 0) < 0);
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(22);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  report("TCP connection",
         connect(socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<struct sockaddr*>(&address),
                 sizeof(address)) != 0);
  // Standard input may be a socket.
  report("connect",
         connect(STDIN_FILENO, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0);
}

// The agent has a fanotify group, for watching what it serves.
int markWith(int group, unsigned flags, int directory, const char* path) {
  return int(syscall(SYS_fanotify_mark, long(group), long(flags), long(FAN_CREATE | FAN_ONDIR),
                     long(directory), path));
}

void tryWatching(const std::string& root) {
  report("inotify", inotify_init1(0) < 0);
  report("another fanotify group", fanotify_init(FAN_CLASS_NOTIF, O_RDONLY) < 0);
  constexpr unsigned ALLOWED = FAN_MARK_ADD | FAN_MARK_ONLYDIR;
  int inside = open(root.c_str(), O_RDONLY | O_DIRECTORY), group = -1;
  for (int fd = 3; fd < 64 && group < 0; ++fd) {
    if (markWith(fd, ALLOWED, inside, nullptr) == 0) group = fd;
  }
  report("watch the root", group < 0);
  auto outside = root + "/..";
  report("watch outside by path", markWith(group, ALLOWED, AT_FDCWD, outside.c_str()) != 0);
  report("watch beside by path", markWith(group, ALLOWED, inside, "..") != 0);
  report("watch the working directory", markWith(group, ALLOWED, AT_FDCWD, nullptr) != 0);
  report("watch outside",
         markWith(group, ALLOWED, open(outside.c_str(), O_RDONLY | O_DIRECTORY), nullptr) != 0);
  report("watch outside by O_PATH",
         markWith(group, ALLOWED, open(outside.c_str(), O_PATH | O_DIRECTORY), nullptr) != 0);
  report("watch a filesystem",
         markWith(group, ALLOWED | FAN_MARK_FILESYSTEM, inside, nullptr) != 0);
  report("watch a mount", markWith(group, ALLOWED | FAN_MARK_MOUNT, inside, nullptr) != 0);
  report("flush marks", markWith(group, FAN_MARK_FLUSH, inside, nullptr) != 0);
}

void tryLimits() {
  struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
  report("raise the core limit", setrlimit(RLIMIT_CORE, &more) != 0);
  report("two gigabytes", mmap(nullptr, 2ul << 30, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED);
}

}  // namespace

void tryToEscape() {
  std::string root = getenv("PIBRAIN_ESCAPE_ROOT");
  tryFiles(root);
  tryProcesses();
  tryNetwork();
  tryWatching(root);
  tryLimits();
  fprintf(stderr, "all tried\n");
}
