#include "hub/pass/live-requests.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>

namespace pibrain {

void PassRequest::answer(SpokeReport report) {
  {
    std::lock_guard lock(mutex_);
    report_ = std::move(report);
  }
  if (answered_) answered_();
}

std::optional<SpokeReport> PassRequest::report() const {
  std::lock_guard lock(mutex_);
  return report_;
}

LiveRequests::LiveRequests() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (event_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

LiveRequests::~LiveRequests() { close(event_); }

void LiveRequests::add(std::shared_ptr<PassRequest> request) {
  std::lock_guard lock(mutex_);
  requests_.push_back(std::move(request));
  wake();
}

void LiveRequests::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  wake();
}

void LiveRequests::reconnect() {
  std::lock_guard lock(mutex_);
  reconnect_ = true;
  wake();
}

bool LiveRequests::mustEnd() const {
  std::lock_guard lock(mutex_);
  return stopped_ || reconnect_;
}

void LiveRequests::beginConnection() {
  std::lock_guard lock(mutex_);
  reconnect_ = false;
}

void LiveRequests::doubtConnection() {
  std::lock_guard lock(mutex_);
  doubted_ = true;
  wake();
}

void LiveRequests::wake() {
  uint64_t one = 1;
  // It fails only if nobody has read 2^64 - 2 of these.
  (void)!write(event_, &one, sizeof(one));
  changed_.notify_all();
}

void LiveRequests::reset() {
  uint64_t count;
  (void)!read(event_, &count, sizeof(count));
}

bool LiveRequests::any() const {
  std::lock_guard lock(mutex_);
  return stopped_ || doubted_ || reconnect_ || !requests_.empty();
}

bool LiveRequests::stopped() const {
  std::lock_guard lock(mutex_);
  return stopped_;
}

bool LiveRequests::isDoubted() const {
  std::lock_guard lock(mutex_);
  return doubted_;
}

bool LiveRequests::takeDoubt() {
  std::lock_guard lock(mutex_);
  return std::exchange(doubted_, false);
}

std::shared_ptr<PassRequest> LiveRequests::take() {
  std::lock_guard lock(mutex_);
  if (requests_.empty()) return nullptr;
  auto request = std::move(requests_.front());
  requests_.pop_front();
  return request;
}

void LiveRequests::putBack(std::shared_ptr<PassRequest> request) {
  std::lock_guard lock(mutex_);
  requests_.push_front(std::move(request));
}

void LiveRequests::wait(std::chrono::milliseconds atMost) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, atMost,
                    [&]() { return stopped_ || doubted_ || reconnect_ || !requests_.empty(); });
}

}  // namespace pibrain
