#include "hub/agent/preamble.h"

#include <kj/debug.h>
#include <string.h>

#include <algorithm>

#include "common/wire/protocol.h"

namespace pibrain {

std::string PreambleFilter::noise() const { return found_ ? seen_.substr(0, noiseLength_) : seen_; }

kj::Promise<size_t> PreambleFilter::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  if (!found_) {
    return seek().then([=, this]() { return tryRead(buffer, minBytes, maxBytes); });
  }
  size_t held = std::min(seen_.size() - next_, maxBytes);
  // memcpy() must not get the null buffer of an empty message.
  if (held > 0) memcpy(buffer, seen_.data() + next_, held);
  next_ += held;
  if (held >= minBytes) return held;
  return readOn(static_cast<kj::byte*>(buffer), minBytes, maxBytes, held);
}

// Counts bytes as they arrive, since a large message takes long over a slow link.
kj::Promise<size_t> PreambleFilter::readOn(kj::byte* buffer, size_t minBytes, size_t maxBytes,
                                           size_t done) {
  return inner_.tryRead(buffer + done, 1, maxBytes - done).then([=, this](size_t n) {
    count(n);
    kj::Promise<size_t> all = done + n;
    return n == 0 || done + n >= minBytes ? kj::mv(all)
                                          : readOn(buffer, minBytes, maxBytes, done + n);
  });
}

void PreambleFilter::count(size_t bytes) {
  received_ += bytes;
  if (bytes > 0) lastReceived_ = kj::systemCoarseMonotonicClock().now();
}

kj::Promise<void> PreambleFilter::seek() {
  return inner_.tryRead(buffer_, 1, sizeof(buffer_)).then([this](size_t n) -> kj::Promise<void> {
    size_t start = seen_.size();
    count(n);
    seen_.append(buffer_, n);
    // Two reads may split the preamble.
    size_t from = start - std::min(start, PREAMBLE.size());
    auto at = seen_.find(PREAMBLE, from);
    if (at != std::string::npos) {
      found_ = true;
      noiseLength_ = at;
      next_ = at + PREAMBLE.size();
      return kj::READY_NOW;
    }
    if (n == 0 || seen_.size() > MAX_SHELL_NOISE + PREAMBLE.size()) {
      return KJ_EXCEPTION(DISCONNECTED, "the agent's preamble did not come");
    }
    return seek();
  });
}

}  // namespace pibrain
