#include "common/delta/delta.h"

#include <gtest/gtest.h>

#include "common/fs/io-error.h"
#include "common/wire/protocol.h"
#include "tests/unit/rsync-text.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

constexpr uint32_t SIGNATURE_MAGIC = 0x72730147;  // RS_RK_BLAKE2_SIG_MAGIC

TEST(RsyncJob, roundTrips) {
  auto text = noise(300'000, 1);
  auto changed = text;
  changed.replace(150'000, 10, "0123456789abc");
  struct Case {
    const char* what;
    std::string basis, newer;
    size_t mostDelta;
  };
  for (auto& [what, basis, newer, mostDelta] : {
           Case{"identical", text, text, 1000},
           {"changed in the middle", text, changed, 5000},
           {"appended", text, text + "the end", 5000},
           {"put in front", text, "the start" + text, 5000},
           {"shrunk", text, text.substr(0, 100'000), 5000},
           {"halves swapped", text, text.substr(150'000) + text.substr(0, 150'000), 5000},
           {"to nothing", text, "", 100},
           {"from nothing", "", text, 301'000},
           {"nothing at all", "", "", 100},
           {"one byte", "x", "y", 100},
           {"nothing in common", text, noise(300'000, 2), 301'000},
       }) {
    auto delta = deltaOf(signatureOf(basis), newer);
    EXPECT_LE(delta.size(), mostDelta) << what;
    EXPECT_TRUE(patched(basis, delta, newer.size()) == newer) << what;
  }
}

TEST(RsyncJob, largeFile) {
  auto basis = noise(10'000'000, 3);
  auto newer = basis.substr(0, 4'000'000) + "here" + basis.substr(4'000'100) + noise(1000, 4);
  auto delta = deltaOf(signatureOf(basis), newer, 65'536);
  EXPECT_LT(delta.size(), 20'000u);
  EXPECT_TRUE(patched(basis, delta, newer.size(), 65'536) == newer);
}

TEST(RsyncJob, piecesMayBeOfAnySize) {
  auto basis = noise(20'000, 5);
  auto newer = basis.substr(0, 9000) + "!" + basis.substr(8000);
  auto signature = signatureOf(basis);
  for (size_t piece : {1, 2, 3, 1000}) {
    auto delta = deltaOf(signature, newer, piece);
    EXPECT_TRUE(patched(basis, delta, newer.size(), piece) == newer) << piece;
  }
}

TEST(RsyncJob, signatureCoversTheRequestedBytes) {
  auto text = noise(100'000, 6);
  std::string signature;
  makeSignature(fileWith(text), 40'000, 1024, 16,
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature += textOf(bytes); });
  EXPECT_EQ(signature, signatureOf(text.substr(0, 40'000), 1024, 16));
  EXPECT_EQ(signature.size(), 12 + 40 * (4 + 16u));
  EXPECT_EQ(signature.substr(0, 12), std::string_view("rs\x01\x47\0\0\x04\0\0\0\0\x10", 12));
}

TEST(RsyncJob, theLengthOfASignatureIsPredicted) {
  for (size_t size : {0, 1, 1024, 1025, 50'000, 900'000, 2'000'000}) {
    auto text = noise(size, 3);
    for (uint32_t strong : {0, 12}) {
      EXPECT_EQ(signatureLength(size, strong), signatureOf(text, 0, strong).size()) << size;
    }
  }
  // The signature of every possible session fits one request.
  EXPECT_LE(signatureLength(uint64_t(5) << 30, 0), MAX_WANTED_SIGNATURES);
  EXPECT_LE(signatureLength(uint64_t(30) << 30, 12), MAX_WANTED_SIGNATURE);
}

TEST(RsyncJob, oneOfEqualBlocksIsEnough) {
  std::string basis = noise(4096, 1) + std::string(40 << 20, '\0') + noise(4096, 2);
  auto newer = basis;
  newer[30 << 20] = 'x';
  auto delta = deltaOf(signatureOf(basis), newer);
  EXPECT_LT(delta.size(), 100'000u);
  EXPECT_TRUE(patched(basis, delta, newer.size()) == newer);
}

TEST(RsyncJob, lengthsThatLibrsyncRefusesThrow) {
  EXPECT_THROW(signatureOf("text", 1024, 33), kj::Exception);
  EXPECT_THROW(signatureOf("text", 1024, UINT32_MAX), kj::Exception);
}

std::string bigEndian(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

std::string header(uint32_t magic, uint32_t block, uint32_t strong) {
  return bigEndian(magic) + bigEndian(block) + bigEndian(strong);
}

TEST(RsyncJob, hostileSignaturesAreRefused) {
  auto entries = [](size_t count, size_t strong) { return noise(count * (4 + strong), 7); };
  auto good = header(SIGNATURE_MAGIC, 1024, 32) + entries(3, 32);
  ASSERT_NO_THROW(Signature(bytesOf(good)));
  for (size_t length = 0; length < good.size(); ++length) {
    bool wholeBlocks = length >= 12 && (length - 12) % 36 == 0;
    if (wholeBlocks) continue;
    EXPECT_THROW(Signature(bytesOf(good).slice(0, length)), kj::Exception) << length;
  }
  struct Case {
    const char* what;
    std::string signature;
  };
  for (auto& [what, signature] : {
           Case{"trailing byte", good + "x"},
           {"another magic", header(0x72730136, 1024, 8) + entries(3, 8)},
           {"MD4 with rolling sums", header(0x72730146, 1024, 8) + entries(3, 8)},
           {"BLAKE2 with the old sums", header(0x72730137, 1024, 32) + entries(3, 32)},
           {"a delta", header(0x72730236, 1024, 32) + entries(3, 32)},
           {"no block length", header(SIGNATURE_MAGIC, 0, 32) + entries(3, 32)},
           {"absurd block length", header(SIGNATURE_MAGIC, UINT32_MAX, 32) + entries(3, 32)},
           {"negative block length", header(SIGNATURE_MAGIC, 0x80000000, 32) + entries(3, 32)},
           {"no strong sum", header(SIGNATURE_MAGIC, 1024, 0) + entries(3, 0)},
           {"strong sum too long", header(SIGNATURE_MAGIC, 1024, 33) + entries(3, 33)},
           {"absurd strong length", header(SIGNATURE_MAGIC, 1024, UINT32_MAX) + entries(3, 32)},
           {"strong length that overflows", header(SIGNATURE_MAGIC, 1024, UINT32_MAX - 3)},
           {"too many blocks",
            header(SIGNATURE_MAGIC, 1024, 1) + entries(Signature::MAX_BLOCKS + 1, 1)},
       }) {
    EXPECT_THROW(Signature(bytesOf(signature)), kj::Exception) << what;
  }
}

TEST(RsyncJob, manyEqualWeakSumsAreRefused) {
  auto equal = [](size_t count) {
    auto signature = header(SIGNATURE_MAGIC, 1024, 8);
    for (size_t i = 0; i < count; ++i) {
      // Not adjacent: other blocks are between them.
      signature += "same" + noise(8, i) + noise(12, i);
    }
    return signature;
  };
  EXPECT_NO_THROW(Signature(bytesOf(equal(Signature::MAX_EQUAL))));
  EXPECT_THROW(Signature(bytesOf(equal(Signature::MAX_EQUAL + 1))), kj::Exception);
}

// The commands of a delta, as librsync's prototab.h numbers them.
const std::string DELTA("rs\x02\x36");
const std::string END(1, '\0');
std::string literal(std::string_view text) { return char(text.size()) + std::string(text); }
std::string copy(uint8_t from, uint8_t length) { return {'\x45', char(from), char(length)}; }

TEST(RsyncJob, patcherObeysTheDelta) {
  EXPECT_EQ(patched("0123456789", DELTA + literal("ab") + copy(2, 3) + literal("c") + END, 6),
            "ab234c");
  EXPECT_EQ(patched("", DELTA + END, 0), "");
}

TEST(RsyncJob, hostileDeltasThrow) {
  std::string basis = "0123456789";
  auto hugeCopy = std::string("\x54") + std::string(8, '\0') + "\x7f" + std::string(7, '\xff');
  auto negativeCopy = std::string("\x54") + std::string(8, '\xff') + std::string(7, '\0') + "\x05";
  struct Case {
    const char* what;
    std::string delta;
  };
  for (auto& [what, delta] : {
           Case{"no delta", ""},
           {"something else", "this is no delta"},
           {"a signature", header(SIGNATURE_MAGIC, 1024, 8)},
           {"cut short", DELTA + literal("abc")},
           {"cut inside a literal", DELTA + "\x05"
                                            "abc"},
           {"a byte after the end", DELTA + literal("abc") + END + "x"},
           {"a second end", DELTA + literal("abc") + END + END},
           {"a literal beyond the limit", DELTA + literal("0123456789a") + END},
           {"a copy beyond the limit", DELTA + literal("x") + copy(0, 10) + END},
           {"a copy beyond the basis", DELTA + copy(8, 3) + END},
           {"a copy from beyond the basis", DELTA + copy(10, 1) + END},
           {"a copy from far beyond", DELTA + copy(200, 1) + END},
           {"a copy of nothing", DELTA + copy(0, 0) + END},
           {"a huge copy", DELTA + hugeCopy + END},
           {"a negative copy", DELTA + negativeCopy + END},
           {"an unknown command", DELTA + "\xff" + END},
       }) {
    for (size_t piece : {1, 1000}) {
      EXPECT_THROW(patched(basis, delta, 10, piece), kj::Exception) << what << ", " << piece;
    }
  }
}

TEST(RsyncJob, bombIsStoppedAtTheLimit) {
  auto basis = noise(200, 8);
  auto delta = DELTA;
  for (int i = 0; i < 100'000; ++i) delta += copy(0, 200);
  delta += END;
  size_t out = 0;
  auto file = fileWith(basis);
  Patcher patcher(file, 1000, [&](kj::ArrayPtr<const kj::byte> bytes) { out += bytes.size(); });
  EXPECT_THROW(patcher.write(bytesOf(delta)), kj::Exception);
  EXPECT_LE(out, 1000u);
}

TEST(RsyncJob, errorsOfTheBasisAndTheSinkPropagate) {
  auto delta = DELTA + copy(0, 5) + END;
  Patcher unreadable(-1, 100, [](kj::ArrayPtr<const kj::byte>) {});
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { unreadable.write(bytesOf(delta)); })) {
    EXPECT_STREQ(e->getDescription().cStr(), "cannot read: Bad file descriptor");
  } else {
    FAIL() << "a basis that cannot be read";
  }
  auto file = fileWith("0123456789");
  Patcher full(file, 100, [](kj::ArrayPtr<const kj::byte>) { throwErrno(ENOSPC, "full"); });
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { full.write(bytesOf(delta)); })) {
    EXPECT_EQ(e->getType(), kj::Exception::Type::OVERLOADED);
  } else {
    FAIL() << "a sink that threw";
  }
}

TEST(RsyncJob, errorOfTheSourcePropagates) {
  auto signature = signatureOf("basis");
  Signature loaded(bytesOf(signature));
  DeltaReader reader(loaded, [](kj::ArrayPtr<kj::byte>) -> size_t { throwErrno(EIO, "broken"); });
  auto buffer = kj::heapArray<kj::byte>(100);
  EXPECT_THROW(reader.read(buffer), kj::Exception);
}

TEST(RsyncJob, commonBlocks) {
  auto text = noise(300'000, 1);
  auto signature = signatureOf(text);
  auto lengths = lengthsIn(bytesOf(signature));
  uint64_t blocks = (text.size() + lengths.block - 1) / lengths.block;
  auto common = [&](const std::string& other) {
    std::string made;
    auto file = fileWith(other);
    makeSignature(file, other.size(), lengths.block, lengths.strong,
                  [&](kj::ArrayPtr<const kj::byte> bytes) { made += textOf(bytes); });
    EXPECT_EQ(commonBlocks(bytesOf(made), bytesOf(signature)),
              commonBlocks(bytesOf(signature), bytesOf(made)));
    return commonBlocks(bytesOf(signature), bytesOf(made));
  };
  EXPECT_EQ(common(text), blocks);
  for (size_t at : {size_t(0), size_t(lengths.block), size_t(150'001), text.size() - 1}) {
    auto changed = text;
    changed[at] = char(changed[at] ^ 1);
    EXPECT_EQ(common(changed), at / lengths.block) << at;
  }
  EXPECT_EQ(common(text.substr(0, 10 * lengths.block)), 10u);
  EXPECT_EQ(common(text + "more"), blocks - 1) << "the last block is a longer one";
  EXPECT_EQ(common(""), 0u);
  EXPECT_THROW(commonBlocks(bytesOf(signature), bytesOf(signatureOf(noise(9'000'000, 2)))),
               kj::Exception);
  EXPECT_THROW(lengthsIn(bytesOf(signature.substr(0, 11))), kj::Exception);
  EXPECT_THROW(lengthsIn(bytesOf(signature.substr(0, 100))), kj::Exception);
}

}  // namespace
}  // namespace pibrain
