#include "common/wire/message-guard.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <kj/debug.h>
#include <string.h>

#include <string>

#include "proto/agent.capnp.h"

namespace pibrain {
namespace {

constexpr uint64_t MAX_WORDS = 10'000;

// Reads everything through a guard, `piece` bytes at a time. Returns the error's text, or "".
std::string readThrough(const std::string& sent, size_t piece) {
  auto io = kj::setupAsyncIo();
  auto pipe = io.provider->newTwoWayPipe();
  MessageGuard guard(*pipe.ends[1], MAX_WORDS);
  std::string received;
  auto writing = pipe.ends[0]
                     ->write(sent.data(), sent.size())
                     .then([&]() { pipe.ends[0]->shutdownWrite(); })
                     .eagerlyEvaluate([](kj::Exception&&) {});
  auto error = kj::runCatchingExceptions([&]() {
    for (std::string buffer(piece, '\0');;) {
      size_t n = guard.tryRead(buffer.data(), 1, piece).wait(io.waitScope);
      if (n == 0) break;
      received.append(buffer, 0, n);
    }
  });
  KJ_IF_MAYBE(e, error) {
    EXPECT_TRUE(isNoMessage(*e));
    return e->getDescription().cStr();
  }
  EXPECT_EQ(received, sent);
  return "";
}

std::string number(uint32_t n) { return std::string(reinterpret_cast<const char*>(&n), sizeof(n)); }

std::string message(uint bytes, uint firstSegmentWords) {
  capnp::MallocMessageBuilder builder(firstSegmentWords, capnp::AllocationStrategy::FIXED_SIZE);
  builder.initRoot<proto::Event>().initData().initBytes(bytes);
  auto words = capnp::messageToFlatArray(builder);
  auto all = words.asChars();
  return std::string(all.begin(), all.size());
}

TEST(MessageGuard, passesMessages) {
  std::string sent;
  for (uint bytes : {0u, 1u, 8u, 5000u, 70'000u}) sent += message(bytes, 64);
  // With several segments, an odd and an even number.
  sent += message(20'000, 16) + message(0, 1) + message(100, 4);
  for (size_t piece : {1u, 3u, 8u, 4096u}) EXPECT_EQ(readThrough(sent, piece), "");
}

TEST(MessageGuard, refusesTooManySegments) {
  auto good = message(100, 64);
  for (uint32_t count : {0xffffffffu, 0x7fffffffu, 512u, 100'000u}) {
    for (size_t piece : {1u, 4096u}) {
      EXPECT_NE(readThrough(number(count), piece), "");
      EXPECT_NE(readThrough(good + number(count) + number(0), piece), "") << count;
    }
  }
  std::string most = number(MessageGuard::MAX_SEGMENTS - 1);
  for (uint32_t i = 0; i < MessageGuard::MAX_SEGMENTS; ++i) most += number(0);
  EXPECT_EQ(readThrough(most + number(0) + good, 4096), "");
}

TEST(MessageGuard, refusesTooManyWords) {
  auto good = message(100, 64);
  EXPECT_NE(readThrough(good + number(0) + number(MAX_WORDS + 1), 5), "");
  EXPECT_NE(readThrough(number(0) + number(0xffffffff), 4096), "");
  // The sum counts, and cannot overflow.
  EXPECT_NE(readThrough(number(1) + number(MAX_WORDS) + number(1) + number(0), 4096), "");
  EXPECT_NE(readThrough(number(2) + number(0x80000000) + number(0x80000000) + number(0), 4096), "");
  EXPECT_EQ(
      readThrough(number(0) + number(MAX_WORDS) + std::string(MAX_WORDS * 8, 'x') + good, 4096),
      "");
}

}  // namespace
}  // namespace pibrain
