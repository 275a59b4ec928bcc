#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>

#include <deque>
#include <functional>
#include <mutex>

namespace pibrain {

// Work that other threads leave for the thread of an event loop.
class Mailbox {
 public:
  explicit Mailbox(kj::UnixEventPort& port);

  // Any thread may call. `work` is done by deliver(), and must not throw.
  void post(std::function<void()> work);

  // Does the work as it comes. Never resolves.
  kj::Promise<void> deliver();

 private:
  const kj::AutoCloseFd event_;
  kj::UnixEventPort::FdObserver arrived_;
  std::mutex mutex_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace pibrain
