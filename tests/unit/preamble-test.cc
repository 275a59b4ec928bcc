#include "hub/agent/preamble.h"

#include <gtest/gtest.h>

#include "common/wire/protocol.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

const std::string MAGIC(PREAMBLE);

class Preamble : public testing::Test {
 protected:
  ~Preamble() noexcept override {}

  // The agent's side writes the pieces one after the other, and then hangs up.
  void send(std::vector<std::string> pieces) {
    sent_ = std::move(pieces);
    sending_ = sendFrom(0).eagerlyEvaluate(nullptr);
  }
  kj::Promise<void> sendFrom(size_t i) {
    if (i == sent_.size()) {
      pipe_.ends[1]->shutdownWrite();
      return kj::READY_NOW;
    }
    return pipe_.ends[1]->write(sent_[i].data(), sent_[i].size()).then([this, i]() {
      return sendFrom(i + 1);
    });
  }
  // Returns all bytes that the filter passes, read in pieces of at most this size.
  std::string receive(size_t piece = 7) {
    std::string out, buffer(piece, '\0');
    for (;;) {
      size_t n = filter_.tryRead(buffer.data(), 1, piece).wait(io_.waitScope);
      if (n == 0) return out;
      out.append(buffer, 0, n);
    }
  }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  kj::TwoWayPipe pipe_ = kj::newTwoWayPipe();
  PreambleFilter filter_{*pipe_.ends[0]};
  std::vector<std::string> sent_;
  kj::Promise<void> sending_ = nullptr;
};

TEST_F(Preamble, nothingBeforeIt) {
  send({MAGIC + "hello"});
  EXPECT_FALSE(filter_.found());
  EXPECT_EQ(receive(), "hello");
  EXPECT_TRUE(filter_.found());
  EXPECT_EQ(filter_.noise(), "");
}

// The watchdog must not take a slow message for silence.
TEST_F(Preamble, countsBytesOfUnfinishedMessages) {
  std::string buffer(10, '\0');
  auto whole = filter_.tryRead(buffer.data(), 10, 10).eagerlyEvaluate(nullptr);
  for (auto& piece : {MAGIC, std::string("abc"), std::string("def")}) {
    auto before = filter_.received();
    pipe_.ends[1]->write(piece.data(), piece.size()).wait(io_.waitScope);
    EXPECT_FALSE(whole.poll(io_.waitScope));
    EXPECT_EQ(filter_.received(), before + piece.size());
  }
  pipe_.ends[1]->write("ghij", 4).wait(io_.waitScope);
  EXPECT_EQ(whole.wait(io_.waitScope), 10u);
  EXPECT_EQ(buffer, "abcdefghij");
}

TEST_F(Preamble, noiseIsKeptForAWarning) {
  send({"Welcome!\n", "You have mail.\n", MAGIC, "hello", " and more"});
  EXPECT_EQ(receive(), "hello and more");
  EXPECT_EQ(filter_.noise(), "Welcome!\nYou have mail.\n");
}

TEST_F(Preamble, mayArriveByteByByte) {
  std::vector<std::string> pieces;
  // With a false start in front.
  for (char c : "noise " + MAGIC.substr(0, 10) + MAGIC + "hello") pieces.emplace_back(1, c);
  send(pieces);
  EXPECT_EQ(receive(), "hello");
  EXPECT_EQ(filter_.noise(), "noise " + MAGIC.substr(0, 10));
}

TEST_F(Preamble, mayStraddleAnyTwoReads) {
  for (size_t before : {4096 - 19, 4096 - 18, 4096 - 10, 4096 - 1, 4096, 4097}) {
    auto io = kj::newTwoWayPipe();
    PreambleFilter filter(*io.ends[0]);
    auto text = std::string(before, 'n') + MAGIC + "hello";
    auto sending = io.ends[1]->write(text.data(), text.size()).eagerlyEvaluate(nullptr);
    std::string out(5, '\0');
    EXPECT_EQ(filter.tryRead(out.data(), 5, 5).wait(io_.waitScope), 5u);
    EXPECT_EQ(out, "hello") << before;
    EXPECT_EQ(filter.noise(), std::string(before, 'n'));
  }
}

TEST_F(Preamble, readsHaveTheRequestedLength) {
  send({"noise" + MAGIC + "01234", "56789", "abc"});
  std::string out(12, '\0');
  EXPECT_EQ(filter_.tryRead(out.data(), 12, 12).wait(io_.waitScope), 12u);
  EXPECT_EQ(out, "0123456789ab");
  EXPECT_EQ(filter_.tryRead(out.data(), 12, 12).wait(io_.waitScope), 1u) << "the stream ended";
}

// UndefinedBehaviorSanitizer notices if the buffer is touched.
TEST_F(Preamble, anEmptyBufferReceivesNothing) {
  send({MAGIC + "hello"});
  EXPECT_EQ(filter_.tryRead(nullptr, 0, 0).wait(io_.waitScope), 0u);
  EXPECT_EQ(receive(), "hello");
}

TEST_F(Preamble, sixtyFourKilobytesOfNoiseAreAccepted) {
  std::string noise(MAX_SHELL_NOISE, 'n');
  send({noise, MAGIC + "hello"});
  EXPECT_EQ(receive(), "hello");
  EXPECT_EQ(filter_.noise().size(), noise.size());
}

TEST_F(Preamble, moreNoiseFails) {
  send({std::string(MAX_SHELL_NOISE + 5000, 'n'), MAGIC + "hello"});
  EXPECT_THROW(receive(), kj::Exception);
  EXPECT_FALSE(filter_.found());
  EXPECT_GT(filter_.noise().size(), MAX_SHELL_NOISE);
}

TEST_F(Preamble, anEndBeforeItFails) {
  send({"bash: pi-brain-agent: command not found\n"});
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { receive(); })) {
    EXPECT_EQ(e->getType(), kj::Exception::Type::DISCONNECTED);
  } else {
    FAIL() << "a stream without a preamble";
  }
  EXPECT_FALSE(filter_.found());
  EXPECT_EQ(filter_.noise(), "bash: pi-brain-agent: command not found\n");
}

TEST_F(Preamble, noiseIsAvailableWhileWaiting) {
  auto writing = pipe_.ends[1]->write("half a", 6).eagerlyEvaluate(nullptr);
  char buffer[10];
  {
    auto reading = filter_.tryRead(buffer, 1, 10);
    EXPECT_FALSE(reading.poll(io_.waitScope));
    EXPECT_EQ(filter_.noise(), "half a");
  }
  EXPECT_EQ(filter_.noise(), "half a") << "after the read was given up";
}

TEST_F(Preamble, writesDoNotWait) {
  auto writing = filter_.write("request", 7);
  std::string out(7, '\0');
  pipe_.ends[1]->read(out.data(), 7).wait(io_.waitScope);
  writing.wait(io_.waitScope);
  EXPECT_EQ(out, "request");
  EXPECT_FALSE(filter_.found());
}

}  // namespace
}  // namespace pibrain
