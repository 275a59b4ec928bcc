// pi-brain: the hub's command line.

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "hub/base/process-settings.h"
#include "hub/base/signals.h"
#include "hub/cli/command-line.h"

namespace {

// Each spoke holds descriptors of its mirror's directories; the usual soft limit is for one.
void raiseDescriptorLimit() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  pibrain::settleProcess();
  raiseDescriptorLimit();
  // What this program makes holds secrets.
  umask(0077);
  // Blocks come and go by the thousand: let the allocator keep their pages.
  mallopt(M_MMAP_THRESHOLD, 16 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  pibrain::killChildrenOnSignals();
  return pibrain::runCommandLine(argc, argv);
}
