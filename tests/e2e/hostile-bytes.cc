// Bytes that are not a message, or only half of one.

#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <capnp/serialize.h>
#include <kj/debug.h>
#include <unistd.h>

#include "tests/e2e/hostile-hub.h"

namespace pibrain {

namespace {

void send(Hub& hub, kj::ArrayPtr<const kj::byte> bytes) {
  hub.stream->write(bytes.begin(), bytes.size()).wait(hub.io.waitScope);
}

void sendNumbers(Hub& hub, std::vector<uint32_t> numbers) {
  send(hub, kj::arrayPtr(numbers.data(), numbers.size()).asBytes());
}

kj::Array<capnp::word> bootstrapMessage() {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
  return capnp::messageToFlatArray(message);
}

// Waits for the agent to hang up by itself, since this can never become a conversation.
void expectHangUp(Hub& hub) {
  kj::byte buffer[4096];
  hub.timed("hung up", [&]() {
    size_t got = 0, n;
    while ((n = hub.stream->tryRead(buffer, 1, sizeof(buffer)).wait(hub.io.waitScope)) > 0)
      got += n;
    return "after " + std::to_string(got) + " bytes";
  });
}

void halfAMessage(Hub& hub) {
  hub.greet();
  auto words = bootstrapMessage();
  send(hub, words.asBytes().slice(0, words.asBytes().size() - 3));
}

void halfATable(Hub& hub) {
  hub.greet();
  kj::byte part[] = {0, 0, 0};
  send(hub, part);
}

// Announces a message of nearly the largest size, and sends nothing of it. (With Cap'n Proto 1.1,
// its table counts.)
void promisedMessage(Hub& hub) {
  hub.greet();
  sendNumbers(hub, {0, (15 << 20) / 8});
}

void nothing(Hub& hub) { hub.greet(); }

void garbage(Hub& hub) {
  hub.greet();
  auto bytes = kj::heapArray<kj::byte>(1 << 20);
  uint32_t state = 1;
  for (auto& b : bytes) b = kj::byte((state = state * 1664525 + 1013904223) >> 24);
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { send(hub, bytes); })) {
    // The agent hung up before it had received everything.
  }
  expectHangUp(hub);
}

void allOnes(Hub& hub) {
  hub.greet();
  sendNumbers(hub, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff});
  expectHangUp(hub);
}

void manySegments(Hub& hub) {
  hub.greet();
  sendNumbers(hub, std::vector<uint32_t>(514, 512));  // 513 segments
  expectHangUp(hub);
}

void enormousMessage(Hub& hub) {
  hub.greet();
  sendNumbers(hub, {0, 0xffffffff});
  expectHangUp(hub);
}

// A message that is a pointer to a pointer to a pointer …, as a call's parameters and on its own.
void nestingBomb(Hub& hub) {
  hub.greet();
  constexpr uint32_t DEPTH = 100'000;
  std::vector<uint64_t> words = {uint64_t(DEPTH) << 32};
  // A struct pointer: offset 0, no data, one pointer.
  for (uint32_t i = 0; i < DEPTH; ++i) words.push_back(uint64_t(1) << 48);
  send(hub, kj::arrayPtr(words.data(), words.size()).asBytes());
  expectHangUp(hub);
}

// Cap'n Proto's own messages with ids that do not exist.
void strangeNumbers(Hub& hub) {
  hub.greet();
  using Message = capnp::rpc::Message;
  auto say = [&](auto fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Message>());
    auto words = capnp::messageToFlatArray(message);
    send(hub, words.asBytes());
  };
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
                say([](Message::Builder m) { m.initFinish().setQuestionId(77); });
                say([](Message::Builder m) {
                  auto release = m.initRelease();
                  release.setId(0xfffffffe);
                  release.setReferenceCount(0xffffffff);
                });
                say([](Message::Builder m) { m.initReturn().setAnswerId(0xffffffff); });
                say([](Message::Builder m) {
                  auto call = m.initCall();
                  call.setQuestionId(0xffffffff);
                  call.initTarget().setImportedCap(0xffffffff);
                });
                say([](Message::Builder m) { m.initResolve().setPromiseId(5); });
                say([](Message::Builder m) { m.initDisembargo().initTarget().setImportedCap(9); });
              })) {
  }
  expectHangUp(hub);
}

}  // namespace

const Cases HOSTILE_BYTES = {{"half-a-message", halfAMessage},
                             {"half-a-table", halfATable},
                             {"promised-message", promisedMessage},
                             {"nothing", nothing},
                             {"garbage", garbage},
                             {"all-ones", allOnes},
                             {"many-segments", manySegments},
                             {"enormous-message", enormousMessage},
                             {"nesting-bomb", nestingBomb},
                             {"strange-numbers", strangeNumbers}};

}  // namespace pibrain
