#include "hub/link/process-connection.h"

#include <sys/wait.h>

#include <algorithm>

namespace pibrain {

namespace {

constexpr size_t MAX_ERRORS = 16 * 1024;

}  // namespace

ProcessConnection::ProcessConnection(Spawned child, std::shared_ptr<RateLimiter> limiter,
                                     kj::AsyncIoContext& io)
    : pid_(child.pid),
      errors_(kj::mv(child.errors)),
      limiter_(std::move(limiter)),
      timer_(io.provider->getTimer()),
      inner_(io.lowLevelProvider->wrapSocketFd(kj::mv(child.stdio))) {}

ProcessConnection::~ProcessConnection() noexcept(false) {
  inner_ = nullptr;  // the end of its input ends the program
  reap(std::chrono::milliseconds(0));
}

ExitInfo ProcessConnection::exitInfo(kj::WaitScope&) {
  inner_->shutdownWrite();
  int status = reap(std::chrono::seconds(1));
  ExitInfo result;
  result.errors = readBack(errors_, MAX_ERRORS);
  if (WIFEXITED(status)) result.exitStatus = WEXITSTATUS(status);
  return result;
}

kj::Promise<size_t> ProcessConnection::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  if (limiter_ == nullptr) {
    return inner_->tryRead(buffer, minBytes, maxBytes).then([this](size_t n) {
      wire_.down += n;
      return n;
    });
  }
  return pacedRead(static_cast<kj::byte*>(buffer), minBytes, maxBytes, 0);
}

kj::Promise<size_t> ProcessConnection::pacedRead(kj::byte* buffer, size_t minBytes, size_t maxBytes,
                                                 size_t got) {
  return allowance(maxBytes - got).then([=, this](size_t allowed) {
    return inner_->tryRead(buffer + got, 1, allowed)
        .then([=, this](size_t n) -> kj::Promise<size_t> {
          wire_.down += n;
          limiter_->giveBack(allowed - n);
          if (n == 0 || got + n >= minBytes) return got + n;
          return pacedRead(buffer, minBytes, maxBytes, got + n);
        });
  });
}

kj::Promise<void> ProcessConnection::write(const void* buffer, size_t size) {
  if (limiter_ == nullptr || size == 0) {
    wire_.up += size;
    return inner_->write(buffer, size);
  }
  return allowance(size).then([=, this](size_t allowed) {
    wire_.up += allowed;
    return inner_->write(buffer, allowed).then([=, this]() {
      return write(static_cast<const kj::byte*>(buffer) + allowed, size - allowed);
    });
  });
}

kj::Promise<void> ProcessConnection::write(
    kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  if (pieces.size() == 0) return kj::READY_NOW;
  if (limiter_ == nullptr) {
    for (auto piece : pieces) wire_.up += piece.size();
    return inner_->write(pieces);
  }
  return write(pieces[0].begin(), pieces[0].size()).then([=, this]() {
    return write(pieces.slice(1, pieces.size()));
  });
}

kj::Promise<size_t> ProcessConnection::allowance(size_t wanted) {
  if (size_t allowed = limiter_->take(wanted); allowed > 0) return allowed;
  auto delay = std::chrono::duration_cast<std::chrono::nanoseconds>(limiter_->untilNext()).count();
  return timer_.afterDelay(delay * kj::NANOSECONDS).then([=, this]() { return allowance(wanted); });
}

// The program only reads, so killing it loses nothing.
int ProcessConnection::reap(std::chrono::milliseconds patience) {
  if (pid_ > 0) waitOrKill(pid_, patience, status_);
  pid_ = -1;
  return status_;
}

}  // namespace pibrain
