// Calls that the schema allows, and no hub would make.

#include <capnp/any.h>
#include <kj/debug.h>
#include <unistd.h>

#include "common/wire/protocol.h"
#include "tests/e2e/hostile-hub.h"

namespace pibrain {

namespace {

// A call of this method, with any parameters.
capnp::Request<capnp::AnyPointer, capnp::AnyPointer> rawRequest(Hub& hub, uint64_t interface,
                                                                uint16_t method) {
#if CAPNP_VERSION >= 1000000
  return hub.sessions.typelessRequest(interface, method, nullptr, {});
#else
  return hub.sessions.typelessRequest(interface, method, nullptr);
#endif
}

constexpr uint32_t BLAKE2_RK = 0x72730147;  // rsync_magic_number: RS_RK_BLAKE2_SIG_MAGIC
constexpr uint32_t MD4 = 0x72730136;
constexpr size_t MOST = 15 << 20;  // the largest message that is not refused at once

void append(std::vector<kj::byte>& out, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(kj::byte(number >> shift));
}

std::vector<kj::byte> header(uint32_t magic, uint32_t blockLength, uint32_t strongLength) {
  std::vector<kj::byte> out;
  append(out, magic);
  append(out, blockLength);
  append(out, strongLength);
  return out;
}

// A signature of blocks with the weak sums of `weakOf`, and strong sums that match nothing and
// differ (of equal blocks, the agent uses one).
template <typename WeakOf>
std::vector<kj::byte> signatureOf(uint32_t blockLength, uint32_t strongLength, size_t blocks,
                                  WeakOf&& weakOf) {
  auto out = header(BLAKE2_RK, blockLength, strongLength);
  out.reserve(out.size() + blocks * (4 + strongLength));
  for (size_t i = 0; i < blocks; ++i) {
    append(out, weakOf(i));
    for (uint32_t k = 0; k < strongLength; ++k) out.push_back(kj::byte((i + 7) >> (8 * (k % 4))));
  }
  return out;
}

// librsync's Rabin-Karp sum of `length` zeros.
uint32_t weakOfZeros(uint32_t length) {
  uint32_t sum = 1;
  for (uint32_t i = 0; i < length; ++i) sum *= 0x08104225;
  return sum;
}

void pullWith(Hub& hub, const char* name, FileId file, const std::vector<kj::byte>& signature) {
  hub.pull(name, file, [&](proto::Want::Builder want) {
    want.setSignature(kj::arrayPtr(signature.data(), signature.size()));
  });
}

void whole(Hub& hub, const char* name, uint32_t file) {
  hub.pull(name, file, [](proto::Want::Builder want) { want.setWhole(); });
}

void malformedSignatures(Hub& hub) {
  hub.connect();
  hub.scan();
  auto good = signatureOf(1024, 32, 100, [](size_t i) { return uint32_t(i * 7919); });
  pullWith(hub, "good", SMALL, good);
  auto cut = good;
  cut.resize(cut.size() - 1);
  pullWith(hub, "cut short", SMALL, cut);
  cut.resize(11);
  pullWith(hub, "cut in the header", SMALL, cut);
  pullWith(hub, "empty", SMALL, {});
  pullWith(hub, "wrong magic", SMALL, header(0x12345678, 1024, 32));
  pullWith(hub, "weak hash", SMALL, header(MD4, 1024, 8));
  pullWith(hub, "no block length", SMALL, header(BLAKE2_RK, 0, 32));
  pullWith(hub, "huge block length", SMALL, header(BLAKE2_RK, 0xffffffff, 32));
  pullWith(hub, "no strong sum", SMALL, header(BLAKE2_RK, 1024, 0));
  pullWith(hub, "strong sum of 33", SMALL, signatureOf(1024, 33, 10, [](size_t i) { return i; }));
  whole(hub, "afterwards", SMALL);
}

// As much as fits into a message.
void hugeSignatures(Hub& hub) {
  hub.connect();
  hub.scan();
  auto mixed = [](size_t i) { return uint32_t(i * 2654435761); };
  pullWith(hub, "millions of blocks", LARGE, signatureOf(256, 1, MOST / 5, mixed));
  pullWith(hub, "as many as allowed", LARGE, signatureOf(256, 8, 1 << 20, mixed));
  pullWith(hub, "of the longest", LARGE, signatureOf(256, 32, MOST / 36, mixed));
  whole(hub, "afterwards", SMALL);
}

void tooHugeSignature(Hub& hub) {
  hub.connect();
  hub.scan();
  pullWith(hub, "too huge", LARGE, std::vector<kj::byte>(17 << 20));
}

// Sums that collide: with each other, and with every position of a file that the hub knows.
void equalSums(Hub& hub) {
  hub.connect();
  hub.scan();
  pullWith(hub, "all equal", ZEROS,
           signatureOf(1024, 8, 1 << 20, [](size_t) { return weakOfZeros(1024); }));
  auto groups = [](size_t i) { return uint32_t(i / 512 + 1) * 2654435761; };
  pullWith(hub, "groups of equals", LARGE, signatureOf(1024, 8, 1 << 20, groups));
  auto some = [](uint32_t length) {
    return signatureOf(length, 32, 512, [=](size_t) { return weakOfZeros(length); });
  };
  pullWith(hub, "every position", ZEROS, some(1024));
  pullWith(hub, "every position, 64 KiB", ZEROS, some(64 << 10));
  pullWith(hub, "every position, 1 MiB", ZEROS, some(1 << 20));
  whole(hub, "afterwards", SMALL);
}

// Much work for few bytes; the hub does not wait for the result.
void slowDelta(Hub& hub) {
  hub.connect();
  hub.scan();
  auto request = hub.sessions.pullRequest();
  auto want = request.initWants(1)[0];
  want.setFile(ZEROS);
  auto signature = signatureOf(64 << 10, 32, 512, [](size_t) { return weakOfZeros(64 << 10); });
  want.setSignature(kj::arrayPtr(signature.data(), signature.size()));
  auto blocks = request.send().getBlocks();
  for (int i = 0; i < 16; ++i) hub.unawaited.push_back(blocks.nextRequest().send().ignoreResult());
  hub.io.provider->getTimer().afterDelay(300 * kj::MILLISECONDS).wait(hub.io.waitScope);
}

void strangeIds(Hub& hub) {
  hub.connect();
  auto all = [&](const std::string& when) {
    for (uint32_t id : {0u, hub.files, 1000000u, 0x7fffffffu, 0xffffffffu}) {
      if (!when.empty() && id < hub.files) continue;
      auto name = when + std::to_string(id);
      whole(hub, ("pull " + name).c_str(), id);
      hub.timed("signature " + name, [&]() {
        auto request = hub.sessions.signatureRequest();
        request.setFile(id);
        return hub.drain(request.send().getBlocks());
      });
      hub.timed("digest " + name, [&]() {
        auto request = hub.sessions.digestRequest();
        request.initFiles(1).set(0, id);
        return hub.drain(request.send().getBlocks());
      });
      hub.timed("describe " + name, [&]() {
        auto request = hub.sessions.describeRequest();
        request.initFiles(1).set(0, id);
        return hub.drain(request.send().getListing());
      });
    }
  };
  all("");  // before any scan
  hub.scan();
  all("afterwards ");
}

void strangeNumbersInCalls(Hub& hub) {
  hub.connect();
  hub.scan();
  for (uint64_t size : {uint64_t(1) << 63, ~uint64_t(0), uint64_t(1) << 40}) {
    hub.pull("prefix of " + std::to_string(size), SMALL,
             [&](proto::Want::Builder want) { want.initPrefix().setSize(size); });
  }
  for (uint32_t block : {1u, 2u, 1u << 20, (1u << 20) + 1, 1u << 31, 0xffffffffu}) {
    for (uint32_t strong : {0u, 1u, 33u, 0x80000000u}) {
      for (auto file : {LARGE, SMALL}) {
        hub.timed("signature of " + std::to_string(block) + ", " + std::to_string(strong), [&]() {
          auto request = hub.sessions.signatureRequest();
          request.setFile(file);
          request.setBlockLength(block);
          request.setStrongLength(strong);
          return hub.drain(request.send().getBlocks());
        });
      }
    }
  }
  for (int32_t level : {INT32_MIN, -1, 0, 22, INT32_MAX}) {
    hub.timed("level " + std::to_string(level), [&]() {
      auto request = hub.sessions.pullRequest();
      request.initWants(1)[0].setFile(SMALL);
      request.initOptions().setCompressionLevel(level);
      return hub.drain(request.send().getBlocks());
    });
  }
  for (int64_t newest : {INT64_MIN, INT64_MAX}) {
    hub.timed("newest " + std::to_string(newest), [&]() {
      auto request = hub.sessions.scanRequest();
      request.setKnownComplete(true);
      request.setNewest(newest);
      return hub.drain(request.send().getListing());
    });
  }
}

proto::Blocks::Client blocksOf(capnp::RemotePromise<capnp::AnyPointer>& response) {
  return capnp::Capability::Client(response.getPointerField(0).asCap()).castAs<proto::Blocks>();
}

// Lists of elements without bytes: many fit into a small message.
void emptyElements(Hub& hub) {
  hub.connect();
  hub.scan();
  for (uint32_t count : {1000u, 2'000'000u, 2'100'000u, 0x1fffffffu}) {
    hub.timed("wants of nothing " + std::to_string(count), [&]() {
      auto request = rawRequest(hub, capnp::typeId<proto::Sessions>(), 1);
      auto params = request.initAsAnyStruct(0, 2);
      params.getPointerSection()[0].initAsListOfAnyStruct(0, 0, count);
      auto response = request.send();
      return count == 1000 ? hub.drain(blocksOf(response)) : hub.taste(blocksOf(response));
    });
  }
  whole(hub, "afterwards", SMALL);
}

// A struct within a struct within … as the parameters of a call.
void deepParameters(Hub& hub) {
  hub.connect();
  hub.scan();
  hub.timed("deep", [&]() {
    auto request = rawRequest(hub, capnp::typeId<proto::Sessions>(), 1);
    auto at = request.initAsAnyStruct(0, 2).getPointerSection()[0].initAsAnyStruct(0, 1);
    for (int i = 0; i < 100'000; ++i) at = at.getPointerSection()[0].initAsAnyStruct(0, 1);
    auto response = request.send();
    return hub.drain(blocksOf(response));
  });
  hub.timed("no such method", [&]() {
    auto request = rawRequest(hub, capnp::typeId<proto::Sessions>(), 99);
    request.send().wait(hub.io.waitScope);
    return std::string("answered");
  });
  hub.timed("no such interface", [&]() {
    auto request = rawRequest(hub, 0x123456789abcdef0, 0);
    request.send().wait(hub.io.waitScope);
    return std::string("answered");
  });
  whole(hub, "afterwards", SMALL);
}

}  // namespace

const Cases HOSTILE_CALLS = {{"malformed-signatures", malformedSignatures},
                             {"huge-signatures", hugeSignatures},
                             {"too-huge-signature", tooHugeSignature},
                             {"equal-sums", equalSums},
                             {"slow-delta", slowDelta},
                             {"strange-ids", strangeIds},
                             {"strange-arguments", strangeNumbersInCalls},
                             {"empty-elements", emptyElements},
                             {"deep-parameters", deepParameters}};

}  // namespace pibrain
