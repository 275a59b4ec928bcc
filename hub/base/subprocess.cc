#include "hub/base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/fs/io-error.h"
#include "hub/base/signals.h"

extern char** environ;

namespace pibrain {

namespace {

// Returns how large a memory file can be: less than RLIMIT_FSIZE, which would kill whoever writes
// that far.
off_t memoryFileLimit() {
  constexpr rlim_t LIMIT = 1 << 20;
  struct rlimit files;
  if (getrlimit(RLIMIT_FSIZE, &files) != 0 || files.rlim_cur > LIMIT) return LIMIT;
  return files.rlim_cur == 0 ? 0 : off_t(files.rlim_cur - 1);
}

// Returns an unlinked file for a program's output. It cannot grow: writes past its end fail.
kj::AutoCloseFd memoryFile(const char* name) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throwErrno(errno, "cannot create a memory file");
  kj::AutoCloseFd owned(fd);
  if (ftruncate(fd, memoryFileLimit()) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0) {
    throwErrno(errno, "cannot limit a memory file");
  }
  return owned;
}

// `held`: another descriptor for the child; -1: none. `toldOfLimits`: exceeding RLIMIT_FSIZE is an
// error for the child too, so that it can name the file.
pid_t spawn(const std::vector<std::string>& argv, int in, int out, int err, int held = -1,
            Terminal terminal = Terminal::NONE, bool toldOfLimits = false) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  KJ_DEFER(posix_spawn_file_actions_destroy(&actions));
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  constexpr int FIRST_FREE = STDERR_FILENO + 1;
  if (held >= 0) posix_spawn_file_actions_adddup2(&actions, held, FIRST_FREE);
  // Some libraries open files without O_CLOEXEC.
  posix_spawn_file_actions_addclosefrom_np(&actions, held >= 0 ? FIRST_FREE + 1 : FIRST_FREE);

  // Children must not inherit which signals this process ignores.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  KJ_DEFER(posix_spawnattr_destroy(&attributes));
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  for (int signal : IGNORED_SIGNALS) sigaddset(&signals, signal);
  if (toldOfLimits) sigdelset(&signals, SIGXFSZ);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  // With its own session, everything that it starts can be killed with it, and finds no terminal to
  // ask at.
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  if (terminal == Terminal::NONE) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&attributes, flags);

  std::vector<char*> args;
  for (auto& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  pid_t pid;
  int error = posix_spawnp(&pid, args[0], &actions, &attributes, args.data(), environ);
  if (error != 0) throwErrno(error, "cannot start " + argv[0]);
  rememberChild(pid);
  return pid;
}

// Waits until the child has ended, and does not reap it. Returns false if the deadline came first.
bool waitUntil(pid_t pid, std::chrono::steady_clock::time_point deadline) {
  // A pidfd becomes readable when the child ends (pidfd_open(2)). Without one (no free descriptor,
  // an old kernel), this polls.
  kj::AutoCloseFd fd(int(syscall(SYS_pidfd_open, pid, 0)));
  for (;;) {
    siginfo_t info = {};
    if (waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid) {
      return true;
    }
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    struct pollfd ended = {fd.get(), POLLIN, 0};
    poll(&ended, fd.get() < 0 ? 0 : 1, fd.get() < 0 ? 2 : int(left.count()));
  }
}

}  // namespace

std::optional<std::string> findProgram(const std::string& name) {
  auto executable = [](const std::string& path) {
    struct stat st;
    return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    return executable(name) ? std::optional(name) : std::nullopt;
  }
  const char* path = getenv("PATH");
  std::string list = path == nullptr ? "/usr/bin:/bin" : path;
  for (size_t start = 0; start <= list.size();) {
    size_t end = std::min(list.find(':', start), list.size());
    auto candidate = list.substr(start, end - start) + "/" + name;
    if (end > start && executable(candidate)) return candidate;
    start = end + 1;
  }
  return std::nullopt;
}

Spawned spawnWithSocket(const std::vector<std::string>& argv, Terminal terminal) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throwErrno(errno, "cannot make a socket pair");
  }
  kj::AutoCloseFd ours(ends[0]);
  kj::AutoCloseFd theirs(ends[1]);
  auto errors = memoryFile("stderr");
  pid_t pid = spawn(argv, theirs, theirs, errors, -1, terminal);
  return {pid, kj::mv(ours), kj::mv(errors)};
}

Piped spawnWithPipes(const std::vector<std::string>& argv, int held) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0) throwErrno(errno, "cannot make a pipe");
  kj::AutoCloseFd outEnd(out[0]), childOut(out[1]);
  if (pipe2(err, O_CLOEXEC) != 0) throwErrno(errno, "cannot make a pipe");
  kj::AutoCloseFd errEnd(err[0]), childErr(err[1]);
  kj::AutoCloseFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  pid_t pid = spawn(argv, null, childOut, childErr, held, Terminal::NONE, true);
  return {pid, kj::mv(outEnd), kj::mv(errEnd)};
}

bool waitOrKill(pid_t pid, std::chrono::milliseconds patience, int& status) {
  bool ended = waitUntil(pid, std::chrono::steady_clock::now() + patience);
  if (!ended) killWithChildren(pid);
  forgetChild(pid);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return ended;
}

std::optional<int> exitStatusOf(pid_t pid, std::chrono::milliseconds patience) {
  if (!waitUntil(pid, std::chrono::steady_clock::now() + patience)) return std::nullopt;
  siginfo_t info = {};
  if (waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return std::nullopt;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

std::string readBack(int fd, size_t limit) {
  // The program shares the file's offset, which tells how much it wrote.
  off_t written = lseek(fd, 0, SEEK_CUR);
  std::string text(std::min(limit, size_t(std::max<off_t>(written, 0))), '\0');
  auto bytes = kj::arrayPtr(reinterpret_cast<kj::byte*>(text.data()), text.size());
  text.resize(readAt(fd, bytes, 0));
  return text;
}

RunningProgram::RunningProgram(const std::vector<std::string>& argv)
    : out_(memoryFile("stdout")), err_(memoryFile("stderr")) {
  kj::AutoCloseFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  pid_ = spawn(argv, null, out_, err_);
}

RunningProgram::~RunningProgram() noexcept(false) {
  int status;
  if (pid_ > 0) waitOrKill(pid_, std::chrono::milliseconds(0), status);
}

Output RunningProgram::wait(std::chrono::milliseconds timeout) {
  Output result;
  int status = 0;
  result.timedOut = !waitOrKill(pid_, timeout, status);
  pid_ = -1;
  result.exitStatus = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  // A write that does not fit may leave nothing, or only part of a page.
  struct stat st;
  constexpr size_t LARGEST_WRITE = 4096;  // stdio's buffer
  result.out = readBack(out_);
  result.cut = fstat(out_, &st) == 0 && result.out.size() + LARGEST_WRITE > size_t(st.st_size);
  result.err = readBack(err_);
  return result;
}

Output runProgram(const std::vector<std::string>& argv, std::chrono::milliseconds timeout) {
  return RunningProgram(argv).wait(timeout);
}

}  // namespace pibrain
