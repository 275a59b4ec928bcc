#include "common/wire/block-stream.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <kj/debug.h>
#include <zstd.h>

#include <vector>

#include "common/wire/protocol.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

std::string compress(std::string_view raw, int windowLog = 20) {
  auto* context = ZSTD_createCCtx();
  KJ_DEFER(ZSTD_freeCCtx(context));
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog);
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  out.resize(ZSTD_compress2(context, out.data(), out.size(), raw.data(), raw.size()));
  return out;
}

// Returns a message as it is in a block before compression.
std::string rawEvent(std::string_view signature) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::Event>().setSignature(bytesOf(signature));
  auto words = capnp::messageToFlatArray(message);
  return textOf(words.asBytes());
}

std::vector<std::string> signaturesIn(BlockReader& reader, kj::ArrayPtr<const kj::byte> block) {
  std::vector<std::string> found;
  reader.read(block, [&](proto::Event::Reader event) {
    found.push_back(event.isSignature() ? textOf(event.getSignature()) : "(another event)");
  });
  return found;
}

std::vector<std::string> signaturesIn(std::string_view block) {
  BlockReader reader;
  return signaturesIn(reader, bytesOf(block));
}

void addSignature(BlockWriter& writer, std::string_view text) {
  writer.add([&](proto::Event::Builder event) { event.setSignature(bytesOf(text)); });
}

TEST(BlockStream, roundTripsManyEventsAcrossBlocks) {
  std::vector<std::string> sent, received;
  for (size_t i = 0; i < 60; ++i) {
    // Compressible and incompressible content, the largest pieces, and many small ones.
    sent.push_back(i % 3 == 0   ? noise(70'000, i)
                   : i % 3 == 1 ? std::string(MAX_PIECE, char('a' + i % 26))
                                : std::to_string(i));
  }
  for (int level : {1, 3, 9}) {
    BlockWriter writer(level);
    BlockReader reader;
    received.clear();
    size_t blocks = 0;
    for (size_t i = 0; i < sent.size(); ++i) {
      addSignature(writer, sent[i]);
      if (!writer.full() && i + 1 < sent.size()) continue;
      auto block = writer.finish(i + 1 == sent.size());
      EXPECT_LT(block.size(), BLOCK_RAW + 2 * MAX_PIECE);
      EXPECT_FALSE(writer.full());
      auto found = signaturesIn(reader, block);
      received.insert(received.end(), found.begin(), found.end());
      ++blocks;
    }
    EXPECT_GT(blocks, 5u);
    EXPECT_TRUE(received == sent) << "level " << level;
  }
}

TEST(BlockStream, compressesWhileTheNextBlockIsFilled) {
  std::vector<std::string> sent, received;
  for (size_t i = 0; i < 40; ++i) sent.push_back(noise(60'000, i) + std::string(60'000, 'x'));
  BlockWriter writer(1);
  BlockReader reader;
  auto take = [&]() {
    auto found = signaturesIn(reader, writer.take());
    received.insert(received.end(), found.begin(), found.end());
  };
  bool begun = false;
  for (auto& text : sent) {
    addSignature(writer, text);
    if (!writer.full()) continue;
    if (begun) take();
    writer.begin(false);
    begun = true;
  }
  take();
  writer.begin(true);
  take();
  EXPECT_TRUE(received == sent);
}

TEST(BlockStream, writerCanBeDestroyedWhileItCompresses) {
  for (int i = 0; i < 50; ++i) {
    BlockWriter writer(9);
    for (int k = 0; k < 4; ++k) addSignature(writer, noise(100'000, uint64_t(k)));
    writer.begin(false);
  }
}

TEST(BlockStream, restartBeginsAnotherStream) {
  BlockWriter writer(1);
  for (int stream = 0; stream < 3; ++stream) {
    BlockReader reader;
    addSignature(writer, "first");
    EXPECT_EQ(signaturesIn(reader, writer.finish(false)), std::vector<std::string>{"first"});
    addSignature(writer, "second");
    EXPECT_EQ(signaturesIn(reader, writer.finish(true)), std::vector<std::string>{"second"});
    EXPECT_TRUE(writer.empty());
    writer.restart(3);
  }
}

TEST(BlockStream, blockCanBeReadWhenItArrives) {
  BlockWriter writer(3);
  BlockReader reader;
  addSignature(writer, "first");
  EXPECT_EQ(signaturesIn(reader, writer.finish(false)), std::vector<std::string>{"first"});
  EXPECT_EQ(signaturesIn(reader, writer.finish(false)), std::vector<std::string>{});
  addSignature(writer, "second");
  EXPECT_EQ(signaturesIn(reader, writer.finish(true)), std::vector<std::string>{"second"});
}

TEST(BlockStream, isOneStreamAcrossBlocks) {
  BlockWriter writer(3);
  auto text = noise(50'000, 1);
  addSignature(writer, text);
  EXPECT_GT(writer.finish(false).size(), text.size());
  addSignature(writer, text);
  EXPECT_LT(writer.finish(false).size(), 1000u) << "the window should hold the first block";
}

TEST(BlockStream, anAbandonedEventLeavesNoTrace) {
  BlockWriter writer(3);
  BlockReader reader;
  addSignature(writer, "before");
  EXPECT_FALSE(writer.tryAdd([](proto::Event::Builder event) {
    event.setSignature(bytesOf(std::string(1000, 'x')));
    return false;
  }));
  EXPECT_THROW(writer.add([](proto::Event::Builder event) {
    event.initSummary().setFiles(UINT32_MAX);
    event.initData().setBytes(bytesOf(std::string(400'000, 'y')));
    KJ_FAIL_REQUIRE("no");
  }),
               kj::Exception);
  EXPECT_TRUE(writer.tryAdd([](proto::Event::Builder event) {
    // The scratch space must be zero again.
    EXPECT_EQ(event.initSummary().getFiles(), 0u);
    event.setSignature(bytesOf("after"));
    return true;
  }));
  EXPECT_EQ(signaturesIn(reader, writer.finish(true)),
            (std::vector<std::string>{"before", "after"}));
}

TEST(BlockStream, withoutEventsTheBlockIsEmpty) {
  BlockWriter writer(3);
  writer.tryAdd([](proto::Event::Builder) { return false; });
  BlockReader reader;
  EXPECT_EQ(signaturesIn(reader, writer.finish(true)).size(), 0u);
}

TEST(BlockStream, damageIsRefusedOrHarmless) {
  BlockWriter writer(3);
  addSignature(writer, "some text, some text, and more of the same text");
  auto block = textOf(writer.finish(true));
  EXPECT_THROW(signaturesIn("this is not zstd"), kj::Exception);
  size_t refused = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = block;
      damaged[i] = char(damaged[i] ^ (1 << bit));
      // The sanitizers watch. Damage that still decodes is caught by the file's hash.
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { signaturesIn(damaged); })) ++refused;
    }
  }
  EXPECT_GT(refused, 32u) << "the frame's magic alone has 32 bits";
}

TEST(BlockStream, aTruncatedBlockIsRefused) {
  auto raw = rawEvent("0123456789abcdef");
  EXPECT_EQ(signaturesIn(compress(raw)), std::vector<std::string>{"0123456789abcdef"});
  EXPECT_EQ(signaturesIn(compress(raw + raw)).size(), 2u);
  for (size_t length = 1; length < raw.size(); ++length) {
    EXPECT_THROW(signaturesIn(compress(raw.substr(0, length))), kj::Exception) << length;
    EXPECT_THROW(signaturesIn(compress(raw + raw.substr(0, length))), kj::Exception) << length;
  }
}

TEST(BlockStream, bombIsRefused) {
  std::string zeros(64 << 20, '\0');
  auto bomb = compress(zeros);
  ASSERT_LT(bomb.size(), 16'384u);
  EXPECT_THROW(signaturesIn(bomb), kj::Exception);
  EXPECT_THROW(signaturesIn(compress(zeros.substr(0, MAX_BLOCK_RAW + 8))), kj::Exception);
}

TEST(BlockStream, windowBeyondTheAgreedOneIsRefused) {
  // Such a window would make the reader allocate that much memory.
  EXPECT_THROW(signaturesIn(compress(std::string(32 << 20, 'x'), 25)), kj::Exception);
}

TEST(BlockStream, hostileMessagesAreRefused) {
  auto word = [](uint32_t low, uint32_t high) {
    std::string out(8, '\0');
    memcpy(out.data(), &low, 4);
    memcpy(out.data() + 4, &high, 4);
    return out;
  };
  for (auto& raw : {
           word(0xffffffff, 0),                            // so many segments
           word(0, 0xffffffff) + word(0, 0),               // a segment of so many words
           word(1, 1) + word(0xfffffff0, 0) + word(0, 0),  // the second of them
           word(0, 0),                                     // no root
           word(0, 1) + word(0xfffffff8, 0x00010001),      // a root out of bounds
       }) {
    BlockReader reader;
    EXPECT_THROW(reader.read(bytesOf(compress(raw)),
                             [](proto::Event::Reader event) {
                               KJ_REQUIRE(!event.isSummary() || event.getSummary().getFiles() > 0);
                             }),
                 kj::Exception);
  }
}

}  // namespace
}  // namespace pibrain
