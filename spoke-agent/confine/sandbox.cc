#include "spoke-agent/confine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/common.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace pibrain {

namespace {

// A walk holds one directory per thread, a pull two files.
constexpr rlim_t MAX_DESCRIPTORS = 64;

bool setLimit(decltype(RLIMIT_AS) which, rlim_t value) {
  struct rlimit limit;
  if (getrlimit(which, &limit) != 0) return false;
  limit.rlim_cur = limit.rlim_max = std::min(value, limit.rlim_max);
  return setrlimit(which, &limit) == 0;
}

bool setLimits([[maybe_unused]] uint64_t memoryLimit) {
  bool set = setLimit(RLIMIT_NOFILE, MAX_DESCRIPTORS);
  set = setLimit(RLIMIT_CORE, 0) && set;
  set = setLimit(RLIMIT_FSIZE, 0) && set;
#ifndef PIBRAIN_SANITIZED
  // A sanitizer's shadow memory takes terabytes of address space.
  set = setLimit(RLIMIT_AS, rlim_t(memoryLimit)) && set;
#endif
  return set;
}

#ifdef PIBRAIN_SANITIZED
// A sanitizer's runtime reads /proc and makes system calls of its own, which differ by version.
int enterLandlock(int) { return 0; }
bool enterSeccomp(bool) { return false; }
#else
// Defined here because the headers may be older than the kernel. The numbers are the same
// everywhere.
constexpr uint64_t FS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// Bits of landlock_ruleset_attr.handled_access_fs, by the ABI that introduced them.
constexpr uint64_t fsRights(int abi) {
  uint64_t rights = (1ull << 13) - 1;  // ABI 1: all up to MAKE_SYM
  if (abi >= 2) rights |= 1ull << 13;  // REFER
  if (abi >= 3) rights |= 1ull << 14;  // TRUNCATE
  if (abi >= 5) rights |= 1ull << 15;  // IOCTL_DEV
  return rights;
}
constexpr uint64_t NET_TCP = 3;  // BIND_TCP, CONNECT_TCP; ABI 4
constexpr uint64_t SCOPES = 3;   // ABSTRACT_UNIX_SOCKET, SIGNAL; ABI 6

struct RulesetAttr {
  uint64_t handledAccessFs;
  uint64_t handledAccessNet;
  uint64_t scoped;
};

int enterLandlock(int root) {
  int abi = int(syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (abi < 1) return 0;
  RulesetAttr attr = {fsRights(abi), abi >= 4 ? NET_TCP : 0, abi >= 6 ? SCOPES : 0};
  // A kernel refuses a longer structure than it knows, unless the rest of it is zero.
  kj::AutoCloseFd ruleset(int(syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0)));
  if (ruleset.get() < 0) return 0;
  if (root >= 0) {
    struct landlock_path_beneath_attr beneath = {};
    beneath.allowed_access = FS_READ;
    beneath.parent_fd = root;
    if (syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
      return 0;
  }
  return syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0 ? abi : 0;
}

// The system calls that serving needs, allowed with any arguments.
constexpr int ALLOWED[] = {
    // the hub, and the event loop (KJ)
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2),
    SCMP_SYS(signalfd4), SCMP_SYS(poll), SCMP_SYS(ppoll),
    // files
    SCMP_SYS(close), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(name_to_handle_at), SCMP_SYS(getdents64),
    SCMP_SYS(lseek), SCMP_SYS(pread64),
    // memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    // threads
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(getpid), SCMP_SYS(gettid),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    // the rest
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom),
    SCMP_SYS(uname)};

// Locks and leases could block a program that writes sessions; an owner and O_ASYNC send signals.
constexpr int ALLOWED_FCNTL[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL};

constexpr scmp_datum_t WRITING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;

bool addRules(scmp_filter_ctx filter, bool landlocked) {
  bool good = true;
  auto add = [&](uint32_t action, int call, auto... arguments) {
    good = seccomp_rule_add(filter, action, call, sizeof...(arguments), arguments...) == 0 && good;
  };
  for (int call : ALLOWED) add(SCMP_ACT_ALLOW, call);
  add(SCMP_ACT_ALLOW, SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, WRITING, 0));
  // The flags of openat2 are in memory, which a filter cannot read. Without Landlock to refuse
  // writing, RootedDir must use openat instead; likewise threads must use clone, not clone3.
  if (landlocked) {
    add(SCMP_ACT_ALLOW, SCMP_SYS(openat2));
  } else {
    add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2));
  }
  add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  add(SCMP_ACT_ALLOW, SCMP_SYS(clone),
      SCMP_A0(SCMP_CMP_MASKED_EQ, scmp_datum_t(CLONE_THREAD), scmp_datum_t(CLONE_THREAD)));
  add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  add(SCMP_ACT_ALLOW, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  for (int command : ALLOWED_FCNTL) {
    add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, scmp_datum_t(command)));
  }
  add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_SETFL),
      SCMP_A2(SCMP_CMP_MASKED_EQ, O_ASYNC, 0));
  add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONBIO));
  add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIOCLEX));
  // Watching: marks of directories that are open. Without a path, and not by AT_FDCWD, which would
  // be the working directory, so that only what Landlock let the agent open can be watched.
  for (unsigned change : {FAN_MARK_ADD, FAN_MARK_REMOVE}) {
    add(SCMP_ACT_ALLOW, SCMP_SYS(fanotify_mark),
        SCMP_A1(SCMP_CMP_EQ, scmp_datum_t(change | FAN_MARK_ONLYDIR)),
        SCMP_A3(SCMP_CMP_LT, scmp_datum_t(MAX_DESCRIPTORS)), SCMP_A4(SCMP_CMP_EQ, 0));
  }
  // abort()
  add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, scmp_datum_t(getpid())));
  return good;
}

bool enterSeccomp(bool landlocked) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) return false;
  KJ_DEFER(seccomp_release(filter));
  return addRules(filter, landlocked) && seccomp_load(filter) == 0;
}

#endif

}  // namespace

std::string Sandbox::describe() const {
  std::string text = landlock > 0 ? "Landlock " + std::to_string(landlock) : "no Landlock";
  text += seccomp ? ", seccomp" : ", no seccomp";
  text += limits ? ", limits" : ", no limits";
  return text;
}

Sandbox enterSandbox(int root, uint64_t memoryLimit) {
  Sandbox sandbox;
  sandbox.limits = setLimits(memoryLimit);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sandbox;
  sandbox.landlock = enterLandlock(root);
  sandbox.seccomp = enterSeccomp(sandbox.landlock > 0);
  return sandbox;
}

}  // namespace pibrain
