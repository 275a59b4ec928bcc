#pragma once

#include <kj/array.h>

#include "common/wire/digest.h"

namespace pibrain {

// What is asked of a file.
struct Want {
  enum class Kind {
    WHOLE,
    NEW,        // the whole, or what makes it of its parent
    PREFIX,     // the tail after this prefix
    SIGNATURE,  // what makes it of the file with this signature
  };
  uint32_t file = 0;
  Kind kind = Kind::WHOLE;
  uint64_t prefixSize = 0;
  Digest prefixHash;
  kj::Array<kj::byte> signature;
};

}  // namespace pibrain
