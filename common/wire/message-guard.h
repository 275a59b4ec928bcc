#pragma once

#include <kj/async-io.h>
#include <stdint.h>

namespace pibrain {

// Passes a stream of Cap'n Proto messages through, and fails the read in which a message begins
// that has more segments or words than are allowed, which none of ours has. Framing as in
// https://capnproto.org/encoding.html#serialization-over-a-stream. Cap'n Proto before 1.4 takes
// 0xFFFFFFFF, which stands for 2^32 segments, for none, and then writes out of bounds (its security
// advisory 2026-03-12-0).
//
// With `maxAhead`, it stops reading while the peer does not take what is written, so that answers
// do not pile up. Only one of two peers may do so, or each might wait for the other.
class MessageGuard : public kj::AsyncIoStream {
 public:
  static constexpr uint32_t MAX_SEGMENTS = 512;
  // A value for maxAhead: after so many messages, reading waits until everything is written. Cap'n
  // Proto writes one answer after the other, and a peer of ours has a few dozen questions open.
  static constexpr uint32_t AHEAD = 256;

  // The stream is not owned.
  MessageGuard(kj::AsyncIoStream& inner, uint64_t maxWords, uint32_t maxAhead = UINT32_MAX)
      : inner_(inner), maxWords_(maxWords), maxAhead_(maxAhead) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return watched(inner_.write(buffer, size));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return watched(inner_.write(pieces));
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_.whenWriteDisconnected(); }
  void shutdownWrite() override { inner_.shutdownWrite(); }

 private:
  kj::Promise<size_t> readOn(void* buffer, size_t minBytes, size_t maxBytes);
  kj::Promise<void> watched(kj::Promise<void> write);
  void written();
  kj::Promise<void> allWritten();
  void inspect(kj::ArrayPtr<const kj::byte> bytes);
  void addToTable(kj::byte byte);

  kj::AsyncIoStream& inner_;
  const uint64_t maxWords_;
  const uint32_t maxAhead_;

  uint32_t ahead_ = 0;                                      // messages since everything was written
  uint32_t writes_ = 0;                                     // under way
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiting_;  // for the last write

  // A message is a table of whole words (the number of segments less one, then the size of each in
  // words, each number a little-endian uint32), and then the segments.
  uint64_t content_ = 0;     // bytes of the segments still to come
  uint32_t tableBytes_ = 0;  // of the table that have come
  uint32_t tableEnd_ = 0;    // its length, known after its first four bytes
  uint32_t number_ = 0;      // of which some bytes have come
  uint32_t segments_ = 0;    // whose sizes are still to come
  uint64_t words_ = 0;       // in the segments whose sizes have come
};

// Throws a guard's error: the bytes are not a message of the protocol.
[[noreturn]] void refuseMessage();

// Returns whether this error is a guard's.
bool isNoMessage(const kj::Exception& error);

}  // namespace pibrain
