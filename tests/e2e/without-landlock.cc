// Runs a program as on a kernel that has no Landlock.
//
// usage: without-landlock PROGRAM [ARGUMENT…]

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
  if (seccomp_load(filter) != 0) return 2;
  execv(argv[1], argv + 1);
  perror(argv[1]);
  return 127;
}
