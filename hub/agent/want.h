#pragma once

#include <kj/array.h>

#include "common/wire/digest.h"

namespace pibrain {

// A request for a file.
struct Want {
  enum class Kind {
    WHOLE,
    NEW,        // the whole file, or a delta against its parent
    PREFIX,     // the tail after this prefix
    SIGNATURE,  // a delta against the file with this signature
  };
  uint32_t file = 0;
  Kind kind = Kind::WHOLE;
  uint64_t prefixSize = 0;
  Digest prefixHash;
  bool asSent = false;  // the agent need not read the prefix if this session sent it
  kj::Array<kj::byte> signature;
};

}  // namespace pibrain
