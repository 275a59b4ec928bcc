#include "common/wire/message-guard.h"

#include <kj/debug.h>
#include <string.h>

namespace pibrain {

namespace {

// Stands for the exception's file, as KJ marks a peer's exceptions.
constexpr char NO_MESSAGE[] = "(no message)";

}  // namespace

void refuseMessage() {
  kj::throwFatalException(
      kj::Exception(kj::Exception::Type::FAILED, NO_MESSAGE, 0,
                    kj::heapString("the bytes are not a message of the protocol")));
}

bool isNoMessage(const kj::Exception& error) { return strcmp(error.getFile(), NO_MESSAGE) == 0; }

kj::Promise<size_t> MessageGuard::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  if (ahead_ < maxAhead_) return readOn(buffer, minBytes, maxBytes);
  return allWritten().then([=, this]() {
    ahead_ = 0;
    return readOn(buffer, minBytes, maxBytes);
  });
}

kj::Promise<size_t> MessageGuard::readOn(void* buffer, size_t minBytes, size_t maxBytes) {
  return inner_.tryRead(buffer, minBytes, maxBytes).then([this, buffer](size_t n) {
    inspect(kj::arrayPtr(static_cast<const kj::byte*>(buffer), n));
    return n;
  });
}

kj::Promise<void> MessageGuard::watched(kj::Promise<void> write) {
  ++writes_;
  return write.then([this]() { written(); },
                    [this](kj::Exception&& e) {
                      written();
                      kj::throwFatalException(kj::mv(e));
                    });
}

void MessageGuard::written() {
  --writes_;
  KJ_IF_MAYBE(waiting, waiting_) (*waiting)->fulfill();
}

kj::Promise<void> MessageGuard::allWritten() {
  // Last, since the next write that waits for this one begins here.
  return kj::evalLast([this]() -> kj::Promise<void> {
    if (writes_ == 0) return kj::READY_NOW;
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiting_ = kj::mv(paf.fulfiller);
    return paf.promise.then([this]() { return allWritten(); });
  });
}

void MessageGuard::inspect(kj::ArrayPtr<const kj::byte> bytes) {
  while (bytes.size() > 0) {
    if (content_ == 0) {
      addToTable(bytes[0]);
      bytes = bytes.slice(1, bytes.size());
    } else {
      size_t skipped = size_t(kj::min(content_, uint64_t(bytes.size())));
      content_ -= skipped;
      bytes = bytes.slice(skipped, bytes.size());
    }
  }
}

void MessageGuard::addToTable(kj::byte byte) {
  number_ |= uint32_t(byte) << (8 * (tableBytes_ % 4));
  ++tableBytes_;
  if (tableBytes_ % 4 != 0) return;
  if (tableBytes_ == 4) {
    if (number_ >= MAX_SEGMENTS) refuseMessage();
    segments_ = number_ + 1;
    tableEnd_ = (4 + 4 * segments_ + 7) / 8 * 8;
  } else if (segments_ > 0) {
    words_ += number_;
    if (words_ > maxWords_) refuseMessage();
    --segments_;
  }
  number_ = 0;
  if (tableBytes_ < tableEnd_) return;
  ++ahead_;
  content_ = words_ * 8;
  words_ = 0;
  tableBytes_ = 0;
}

}  // namespace pibrain
