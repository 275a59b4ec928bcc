#pragma once
// The result of comparing a mirror with its spoke by content.

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

#include "hub/pass/spoke-report.h"

namespace pibrain {

struct Difference {
  enum class Kind {
    CONTENT,  // same size and time, other bytes: no run would notice
    CHANGED,  // another size or time: the next run fetches the file
    MISSING,  // not in the mirror: the next run fetches the file
  };
  Kind kind;
  std::string path;
  uint64_t size = 0;               // on the spoke
  uint64_t mirrorSize = 0;         // MISSING: 0
  std::optional<uint64_t> offset;  // where the first differing block begins, if it was looked for
  uint32_t blockLength = 0;        // of the differing block
};
const char* toString(Difference::Kind kind);

struct Verification {
  SpokeReport report;                   // of the comparison, and of the repair
  uint32_t files = 0;                   // compared: those on both sides
  uint64_t bytes = 0;                   // in these files, on the spoke
  uint32_t extra = 0;                   // only in the mirror
  uint32_t unread = 0;                  // files and directories that the spoke could not read
  std::vector<Difference> differences;  // sorted by path
  bool repaired = false;                // all differing files were fetched

  // Returns whether the mirror is known to be correct.
  bool good() const;
};

}  // namespace pibrain
