#pragma once

#include <stdint.h>

#include <functional>
#include <string>
#include <vector>

namespace pibrain {

struct Contents {
  struct Session {
    std::string path;  // relative to the directory
    uint64_t size;
    int64_t mtime;  // ns since the epoch
  };
  std::vector<Session> sessions;  // the *.jsonl files, sorted by path
  uint32_t files = 0;             // all
  uint64_t bytes = 0;             // in them
};

// Counts what is beneath a directory, without the staging directory; nothing if it does not exist.
// `warn` receives what cannot be read.
Contents mirrorContents(const std::string& path,
                        const std::function<void(const std::string&)>& warn);

}  // namespace pibrain
