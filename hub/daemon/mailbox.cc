#include "hub/daemon/mailbox.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace pibrain {

Mailbox::Mailbox(kj::UnixEventPort& port)
    : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      arrived_(port, event_, kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

void Mailbox::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  posted_.push_back(std::move(work));
  uint64_t one = 1;
  (void)!write(event_, &one, sizeof(one));
}

kj::Promise<void> Mailbox::deliver() {
  auto next = arrived_.whenBecomesReadable();
  uint64_t count;
  (void)!read(event_, &count, sizeof(count));
  std::deque<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& one : work) one();
  return next.then([this]() { return deliver(); });
}

}  // namespace pibrain
