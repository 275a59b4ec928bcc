#pragma once
// Names and paths are bytes, which Cap'n Proto calls Data.

#include <capnp/blob.h>

#include <string>
#include <string_view>

namespace pibrain {

// Not a copy.
inline capnp::Data::Reader dataOf(std::string_view text) {
  return kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size());
}

inline std::string textOf(capnp::Data::Reader data) {
  return std::string(reinterpret_cast<const char*>(data.begin()), data.size());
}

}  // namespace pibrain
