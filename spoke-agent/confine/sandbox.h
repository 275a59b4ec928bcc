#pragma once
// Confines the agent to reading beneath its root, even if somebody exploits a bug in it:
//   Landlock   https://docs.kernel.org/userspace-api/landlock.html: no file but those beneath the
//              root, and these for reading alone; from ABI 4 on no TCP, from 6 on no abstract
//              sockets and no signals, which seccomp refuses on all kernels
//   seccomp    https://docs.kernel.org/userspace-api/seccomp_filter.html, by libseccomp: only the
//              system calls that serving needs, so no program, process, socket or tracing, no file
//              opened for writing, no lock, no signal to others, no executable memory, and no
//              watching but of directories that Landlock let it open; every other call fails with
//              EPERM
//   limits     of memory and descriptors; no file may grow, and no core is dumped (getrlimit(2))

#include <stdint.h>

#include <string>

namespace pibrain {

struct Sandbox {
  int landlock = 0;      // the ABI version in force; 0: this kernel has none
  bool seccomp = false;  // the filter is in force
  bool limits = false;

  bool whole() const { return landlock > 0 && seccomp && limits; }
  // Returns a description for people: "Landlock 7, seccomp, limits", or what is missing.
  std::string describe() const;
};

// Confines this thread, and all that it starts, for good. Called before any other thread starts and
// before the first byte of input is read. `root` is the directory that may be read, or -1;
// `memoryLimit` is in bytes of address space. Leaves out what this kernel lacks, as the result
// says.
Sandbox enterSandbox(int root, uint64_t memoryLimit);

}  // namespace pibrain
