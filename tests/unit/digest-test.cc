#include "common/wire/digest.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(Digest, isXxh3) {
  // The specification's value for the empty input: hub and agent of every build agree.
  EXPECT_EQ(digestOf(nullptr), (Digest{0x6001c324468d497f, 0x99aa06d3014798d8}));
}

TEST(Digest, doesNotDependOnThePiecesOfAStream) {
  auto text = noise(10'000, 1);
  for (size_t piece : {1, 7, 64, 1024, 9999, 10'000}) {
    FileHasher hasher;
    for (size_t at = 0; at < text.size(); at += piece) {
      hasher.update(bytesOf(std::string_view(text).substr(at, piece)));
    }
    EXPECT_EQ(hasher.digest(), digestOf(bytesOf(text))) << piece;
  }
}

TEST(Digest, canBeReadMidway) {
  FileHasher hasher;
  hasher.update(bytesOf("one"));
  EXPECT_EQ(hasher.digest(), digestOf(bytesOf("one")));
  EXPECT_EQ(hasher.digest(), digestOf(bytesOf("one")));
  FileHasher branch = hasher;
  hasher.update(bytesOf(" two"));
  EXPECT_EQ(hasher.digest(), digestOf(bytesOf("one two")));
  EXPECT_EQ(branch.digest(), digestOf(bytesOf("one")));
}

TEST(Digest, survivesTheWire) {
  capnp::MallocMessageBuilder message;
  auto hash = message.initRoot<proto::Hash>();
  Digest digest{0x0123456789abcdef, 0xfedcba9876543210};
  digest.to(hash);
  EXPECT_EQ(Digest::from(hash.asReader()), digest);
  EXPECT_NE(Digest::from(hash.asReader()), (Digest{digest.high, digest.low}));
}

}  // namespace
}  // namespace pibrain
