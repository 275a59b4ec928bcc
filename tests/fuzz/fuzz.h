#pragma once
// Shared by the harnesses: splitting an input, reporting a finding, and the set-up of KJ.

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "common/delta/delta.h"
#include "common/wire/digest.h"
#include "hub/base/failure.h"
#include "proto/agent.capnp.h"
#include "tests/unit/temp-dir.h"

namespace pibrain::fuzz {

// An input, read from its beginning. Zeros follow its end.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    uint8_t value = uint8_t(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  // One byte if it is below 0xf0, or else the little-endian number in the next 1…8 bytes.
  uint64_t number() {
    uint8_t first = byte();
    if (first < 0xf0) return first;
    uint64_t value = 0;
    for (unsigned i = 0; i <= (first & 7u); ++i) value |= uint64_t(byte()) << (8 * i);
    return value;
  }
  std::string_view bytes(uint64_t size) {
    auto taken = rest_.substr(0, size_t(std::min<uint64_t>(size, rest_.size())));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // Returns as many bytes as the number before them says.
  std::string_view text() { return bytes(number()); }
  std::string_view rest() { return bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// Runs the harness on one input.
void run(Input input);

// Checks a claim about the code under test. A false one is a finding, and ends the fuzzing.
inline void require(bool kept, const char* promise, const std::string& about = "") {
  if (kept) return;
  fprintf(stderr, "BROKEN PROMISE: %s: %s\n", promise, about.c_str());
  abort();
}

// Runs code that may reject the input, by the exceptions that our own code throws for that; any
// other is a finding. Returns whether nothing was thrown.
template <typename Work>
bool tolerating(Work&& work) {
  try {
    work();
    return true;
  } catch (const kj::Exception&) {
  } catch (const Failure&) {
  }
  return false;
}

// Silences Cap'n Proto's messages about a peer that misbehaves. Must be on the stack.
class Quiet : public kj::ExceptionCallback {
 public:
  void logMessage(kj::LogSeverity, const char*, int, int, kj::String&&) override {}
};

inline kj::AsyncIoContext& asyncIo() {
  static auto& io = *new kj::AsyncIoContext(kj::setupAsyncIo());
  return io;
}

// Returns the directory for the harnesses' files, which run.sh sets: in memory if possible.
inline std::string scratch() {
  const char* dir = getenv("TMPDIR");
  return dir != nullptr ? dir : "/dev/shm";
}

inline Digest digestOfText(std::string_view text) { return digestOf(bytesOf(text)); }

// Returns `size` bytes of text in lines, like a session; they differ by seed.
inline std::string linesOf(size_t size, unsigned seed) {
  std::string text;
  for (unsigned i = seed * 1'000'003; text.size() < size; i = i * 1'664'525 + 1'013'904'223) {
    text += "{\"type\":\"message\",\"id\":" + std::to_string(i) + "}\n";
  }
  text.resize(size, '\n');
  if (size > 0) text.back() = '\n';
  return text;
}

// Returns a zstd frame (RFC 8878) with `content` uncompressed: a block as the agent would send it,
// made cheaply.
inline std::string storedFrame(std::string_view content) {
  // A small window takes a reader less memory, and less time to allocate it.
  unsigned windowLog = 10;
  while (windowLog < 17 && content.size() >> windowLog > 0) ++windowLog;
  std::string frame("\x28\xb5\x2f\xfd\x00", 5);
  frame += char((windowLog - 10) << 3);
  do {
    auto piece = content.substr(0, size_t(1) << windowLog);
    content.remove_prefix(piece.size());
    uint32_t header = uint32_t(piece.size()) << 3 | (content.empty() ? 1 : 0);
    frame.append(reinterpret_cast<const char*>(&header), 3);
    frame += piece;
  } while (!content.empty());
  return frame;
}

inline void appendMessage(std::string& out, capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto bytes = words.asChars();
  out.append(bytes.begin(), bytes.size());
}

// Appends the event that `fill` makes, with its framing.
template <typename Fill>
void appendEvent(std::string& out, Fill&& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<proto::Event>());
  appendMessage(out, message);
}

// Appends one segment of arbitrary bytes, with its framing.
inline void appendRawMessage(std::string& out, std::string_view body) {
  uint32_t table[2] = {0, uint32_t((body.size() + 7) / 8)};
  out.append(reinterpret_cast<const char*>(table), sizeof(table));
  out += body;
  out.append(table[1] * 8 - body.size(), '\0');
}

}  // namespace pibrain::fuzz
