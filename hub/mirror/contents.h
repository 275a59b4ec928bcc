#pragma once

#include <stdint.h>

#include <functional>
#include <string>
#include <vector>

namespace pibrain {

struct Contents {
  std::vector<std::string> sessions;  // the *.jsonl files, relative to the directory, sorted
  uint32_t files = 0;                 // all
  uint64_t bytes = 0;                 // their size
};

// Counts what is beneath a directory, without the staging directory; nothing if it does not exist.
// `warn` receives what cannot be read.
Contents mirrorContents(const std::string& path,
                        const std::function<void(const std::string&)>& warn);

}  // namespace pibrain
