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
  uint32_t files = 0;             // all files, not only sessions
  uint64_t bytes = 0;             // in them
};

// Returns what is beneath a directory, without the staging directory; nothing if the directory does
// not exist. `warn` receives what cannot be read.
Contents mirrorContents(const std::string& path,
                        const std::function<void(const std::string&)>& warn);

}  // namespace pibrain
