#include "common/fs/own-program.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace pibrain {

std::string ownProgram() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  if (length > 0) return std::string(path, size_t(length));
  // The path that execve(2) was given.
  auto* given = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return given != nullptr && realpath(given, path) != nullptr ? path : "";
}

}  // namespace pibrain
