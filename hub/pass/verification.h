#pragma once
// What a comparison of a mirror with its spoke by content found.

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

#include "hub/pass/spoke-report.h"

namespace pibrain {

struct Difference {
  enum class Kind {
    CONTENT,  // size and time are those of the spoke, the bytes are not: no run would notice
    CHANGED,  // another size or time: the next run fetches it
    MISSING,  // not in the mirror: the next run fetches it
  };
  Kind kind;
  std::string path;
  uint64_t size = 0;        // on the spoke
  uint64_t mirrorSize = 0;  // 0: MISSING
  std::optional<uint64_t>
      offset;                // where the first block begins that differs, if it was looked for
  uint32_t blockLength = 0;  // of that block
};
const char* toString(Difference::Kind kind);

struct Verification {
  SpokeReport report;                   // of the conversation, and of what was repaired
  uint32_t files = 0;                   // compared, that is on both sides
  uint64_t bytes = 0;                   // in them, on the spoke
  uint32_t extra = 0;                   // in the mirror alone
  uint32_t unread = 0;                  // files and directories that the spoke could not read
  std::vector<Difference> differences;  // sorted by path
  bool repaired = false;                // all of them were fetched

  // Whether the mirror is known to hold what it should.
  bool good() const;
};

}  // namespace pibrain
