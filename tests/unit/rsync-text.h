#pragma once
// Signatures, deltas and patches of texts, for tests of code that uses librsync.

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>

#include "common/delta/delta.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {

inline std::string signatureOf(std::string_view basis, uint32_t block = 0, uint32_t strong = 0) {
  std::string signature;
  makeSignature(fileWith(basis), basis.size(), block, strong,
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature += textOf(bytes); });
  return signature;
}

inline std::string deltaOf(std::string_view signature, std::string_view newer,
                           size_t piece = 50'000) {
  Signature loaded(bytesOf(signature));
  DeltaReader reader(loaded, [rest = newer](kj::ArrayPtr<kj::byte> buffer) mutable {
    size_t n = std::min(buffer.size(), rest.size());
    memcpy(buffer.begin(), rest.data(), n);
    rest.remove_prefix(n);
    return n;
  });
  std::string delta;
  auto buffer = kj::heapArray<kj::byte>(piece);
  for (size_t n = piece; n == piece;) {
    n = reader.read(buffer);
    delta += textOf(buffer.slice(0, n));
  }
  EXPECT_EQ(reader.read(buffer), 0u);
  return delta;
}

inline std::string patched(std::string_view basis, std::string_view delta, uint64_t limit,
                           size_t piece = 30'000) {
  std::string out;
  auto file = fileWith(basis);
  Patcher patcher(file, limit, [&](kj::ArrayPtr<const kj::byte> bytes) {
    out += textOf(bytes);
    EXPECT_LE(out.size(), limit);
  });
  for (; !delta.empty(); delta.remove_prefix(std::min(piece, delta.size()))) {
    patcher.write(bytesOf(delta.substr(0, piece)));
  }
  patcher.finish();
  return out;
}

}  // namespace pibrain
