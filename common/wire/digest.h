#pragma once
// XXH3 digests (https://github.com/Cyan4973/xxHash): of files, while they are read or written. XXH3
// is no cryptographic hash: files of one digest can be made by hand, as long as its secret is
// known. So a hub draws one for each conversation (agent.capnp), and what was made before does not
// fit.

#include <kj/common.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <compare>

#include "proto/agent.capnp.h"

namespace pibrain {

struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;

  auto operator<=>(const Digest&) const = default;

  static Digest from(proto::Hash::Reader hash) { return {hash.getLow(), hash.getHigh()}; }
  void to(proto::Hash::Builder hash) const {
    hash.setLow(low);
    hash.setHigh(high);
  }
};

// The 128-bit digest of a file as it streams by. digest() may be asked for at any point and
// changes nothing.
class FileHasher {
 public:
  // What is hashed with one secret compares only with what is hashed with the same.
  using Secret = kj::ArrayPtr<const kj::byte>;
  static constexpr size_t SECRET_SIZE = 192;  // as long as the default one

  // A secret of another size than SECRET_SIZE is none: then the one that everybody knows is used.
  // It is not copied, and must outlive this object and its copies.
  explicit FileHasher(Secret secret = nullptr) {
    if (secret.size() == SECRET_SIZE) {
      XXH3_128bits_reset_withSecret(&state_, secret.begin(), secret.size());
    } else {
      XXH3_128bits_reset(&state_);
    }
  }

  void update(kj::ArrayPtr<const kj::byte> bytes) {
    XXH3_128bits_update(&state_, bytes.begin(), bytes.size());
  }
  Digest digest() const {
    auto hash = XXH3_128bits_digest(&state_);
    return {hash.low64, hash.high64};
  }

 private:
  XXH3_state_t state_;
};

Digest digestOf(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace pibrain
