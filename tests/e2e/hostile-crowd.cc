// Calls that are each valid, but too many together.

#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <kj/debug.h>

#include "tests/e2e/hostile-hub.h"

namespace pibrain {

namespace {

constexpr uint32_t MILLION = 1'000'000;

void settle(Hub& hub, kj::Duration time) {
  hub.io.provider->getTimer().afterDelay(time).wait(hub.io.waitScope);
}

template <typename Request>
void leave(Hub& hub, Request&& request) {
  hub.unawaited.push_back(request.send().ignoreResult().catch_([](kj::Exception&&) {}));
}

proto::Blocks::Client pullLarge(proto::Sessions::Client& sessions, int level = 1) {
  auto request = sessions.pullRequest();
  request.initWants(1)[0].setFile(LARGE);
  request.initOptions().setCompressionLevel(level);
  return request.send().getBlocks();
}

void millionWants(Hub& hub) {
  hub.connect();
  hub.scan();
  auto ask = [&](const char* name, uint32_t count, uint32_t file) {
    hub.timed(name, [&]() {
      auto request = hub.sessions.pullRequest();
      auto wants = request.initWants(count);
      for (auto want : wants) want.setFile(file);
      return hub.drain(request.send().getBlocks());
    });
  };
  // 24 bytes each: as many as one message may hold, and more.
  ask("of no file", 600'000, 12345);
  ask("of a tiny file", 100'000, TINY);
  ask("a million", MILLION, 12345);
}

void millionIds(Hub& hub) {
  hub.connect();
  hub.scan();
  auto ask = [&](const char* name, auto request, uint32_t file) {
    hub.timed(name, [&]() {
      auto files = request.initFiles(MILLION);
      for (uint32_t i = 0; i < MILLION; ++i) files.set(i, file);
      auto response = request.send();
      if constexpr (requires { response.getListing(); }) {
        return hub.drain(response.getListing());
      } else {
        return hub.drain(response.getBlocks());
      }
    });
  };
  ask("digest of none", hub.sessions.digestRequest(), 999999);
  ask("describe", hub.sessions.describeRequest(), SMALL);
  hub.timed("known digests", [&]() {
    auto request = hub.sessions.scanRequest();
    auto known = request.initKnown(MILLION);
    for (uint32_t i = 0; i < MILLION; ++i) known.set(i, i * 0x9e3779b97f4a7c15);
    request.setKnownComplete(true);
    return hub.drain(request.send().getListing());
  });
}

void manyScans(Hub& hub) {
  hub.connect();
  for (int i = 0; i < 5000; ++i) leave(hub, hub.sessions.scanRequest());
  settle(hub, 1500 * kj::MILLISECONDS);
}

// Each pull has its wants and its stream, and none is read.
void manyPulls(Hub& hub) {
  hub.connect();
  hub.scan();
  for (int i = 0; i < 5000; ++i) {
    auto request = hub.sessions.pullRequest();
    request.initWants(1)[0].setFile(LARGE);
    hub.unawaited.push_back(request.send().then([](auto&&) {}, [](kj::Exception&&) {}));
  }
  settle(hub, 1500 * kj::MILLISECONDS);
}

// Sessions are cheap to create, and each may have its streams.
void manySessions(Hub& hub) {
  hub.connect();
  hub.scan();
  auto held = kj::heap<std::vector<proto::Blocks::Client>>();
  for (int i = 0; i < 500; ++i) {
    auto sessions = hub.spoke.helloRequest().send().getSessions();
    for (int j = 0; j < 8; ++j) {
      held->push_back(pullLarge(sessions, 9));
      leave(hub, held->back().nextRequest());
    }
  }
  settle(hub, 3000 * kj::MILLISECONDS);
  kj::Own<std::vector<proto::Blocks::Client>> kept = kj::mv(held);
  hub.unawaited.push_back(kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(kept)));
}

// Requests the blocks of a whole file, again and again, without reading an answer.
void unreadAnswers(Hub& hub) {
  hub.connect();
  hub.scan();
  hub.stream->stopReading();
  for (int i = 0; i < 8; ++i) {
    auto blocks = pullLarge(hub.sessions);
    for (int j = 0; j < 2000; ++j) leave(hub, blocks.nextRequest());
  }
  settle(hub, 3000 * kj::MILLISECONDS);
}

// Small requests whose answers are not read. Written by hand, since this side must not remember
// them.
void unreadHellos(Hub& hub) {
  hub.greet();
  hub.stream->stopReading();
  std::vector<kj::byte> bytes;
  auto say = [&](auto fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<capnp::rpc::Message>());
    auto words = capnp::messageToFlatArray(message);
    bytes.insert(bytes.end(), words.asBytes().begin(), words.asBytes().end());
  };
  say([](auto message) { message.initBootstrap().setQuestionId(0); });
  for (uint32_t question = 1; question < 200'000; ++question) {
    say([&](auto message) {
      auto call = message.initCall();
      call.setQuestionId(question);
      call.initTarget().initPromisedAnswer().setQuestionId(0);
      call.setInterfaceId(capnp::typeId<proto::Spoke>());
      call.initParams();
    });
  }
  auto written = hub.stream->write(bytes.data(), bytes.size());
  written.exclusiveJoin(hub.io.provider->getTimer().afterDelay(3 * kj::SECONDS))
      .wait(hub.io.waitScope);
}

void largePull(Hub& hub) {
  hub.connect();
  hub.scan();
  auto request = hub.sessions.pullRequest();
  auto wants = request.initWants(1000);
  for (auto want : wants) want.setFile(LARGE);
  auto blocks = request.send().getBlocks();
  for (int i = 0; i < 16; ++i) blocks.nextRequest().send().wait(hub.io.waitScope);
  for (int i = 0; i < 16; ++i) leave(hub, blocks.nextRequest());
}

// Files that must be read completely for an answer of some bytes.
void prefixLies(Hub& hub) {
  hub.connect();
  hub.scan();
  auto request = hub.sessions.pullRequest();
  auto wants = request.initWants(100'000);
  for (auto want : wants) {
    want.setFile(LARGE);
    want.initPrefix().setSize(32 << 20);
  }
  auto blocks = request.send().getBlocks();
  for (int i = 0; i < 1000; ++i) leave(hub, blocks.nextRequest());
  settle(hub, 1500 * kj::MILLISECONDS);
}

void stopsReading(Hub& hub) {
  largePull(hub);
  hub.stream->stopReading();
  settle(hub, 500 * kj::MILLISECONDS);
}

}  // namespace

const Cases HOSTILE_CROWD = {{"million-wants", millionWants}, {"million-ids", millionIds},
                             {"many-scans", manyScans},       {"many-pulls", manyPulls},
                             {"many-sessions", manySessions}, {"unread-answers", unreadAnswers},
                             {"unread-hellos", unreadHellos}, {"large-pull", largePull},
                             {"prefix-lies", prefixLies},     {"stops-reading", stopsReading}};

}  // namespace pibrain
