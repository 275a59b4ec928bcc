#pragma once
// Recorded or invented bytes of an RPC connection, delivered as a peer would send them.

#include <string.h>

#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

// Returns the length of the first message in `bytes`, or of all bytes if they have none
// (https://capnproto.org/encoding.html#serialization-over-a-stream).
inline size_t firstMessage(std::string_view bytes) {
  auto number = [&](size_t offset) {
    uint32_t value;
    memcpy(&value, bytes.data() + offset, sizeof(value));
    return uint64_t(value);
  };
  if (bytes.size() < 8 || number(0) >= bytes.size() / 4) return bytes.size();
  uint64_t segments = number(0) + 1;
  uint64_t table = (4 + 4 * segments + 7) / 8 * 8;
  if (table > bytes.size()) return bytes.size();
  uint64_t size = table;
  for (uint64_t i = 1; i <= segments; ++i) size += 8 * number(4 * i);
  return size_t(std::min<uint64_t>(size, bytes.size()));
}

// Writes message by message, each when the reader has nothing left to do, so that messages that
// refer to answers find them; hangs up at the end. `first` bytes precede the messages.
inline kj::Promise<void> deliver(kj::AsyncIoStream& stream, std::string_view bytes, size_t first) {
  if (bytes.empty()) {
    stream.shutdownWrite();
    return kj::READY_NOW;
  }
  size_t size = first > 0 ? first : firstMessage(bytes);
  return stream.write(bytes.data(), size).then([&stream, rest = bytes.substr(size)]() {
    return kj::evalLast([&stream, rest]() { return deliver(stream, rest, 0); });
  });
}

// Reads, and discards what it read.
inline kj::Promise<void> drain(kj::AsyncIoStream& stream) {
  static kj::byte buffer[64 * 1024];
  return stream.tryRead(buffer, 1, sizeof(buffer)).then([&stream](size_t n) -> kj::Promise<void> {
    if (n == 0) return kj::READY_NOW;
    return drain(stream);
  });
}

// Does both at one end of a pipe, for the lifetime of this object.
class Peer {
 public:
  Peer(kj::AsyncIoStream& stream, std::string_view bytes, size_t first = 0)
      : writing_(deliver(stream, bytes, first).eagerlyEvaluate([](kj::Exception&&) {})),
        reading_(drain(stream).eagerlyEvaluate([](kj::Exception&&) {})) {}

 private:
  kj::Promise<void> writing_, reading_;
};

}  // namespace pibrain::fuzz
