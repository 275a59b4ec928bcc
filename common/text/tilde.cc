#include "common/text/tilde.h"

namespace pibrain {

bool beginsWithTilde(const std::string& path) { return path == "~" || path.starts_with("~/"); }

std::string expandTilde(const std::string& path, const std::string& home) {
  return beginsWithTilde(path) ? home + path.substr(1) : path;
}

}  // namespace pibrain
