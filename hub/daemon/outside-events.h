#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/io.h>

namespace pibrain {

// Tells when connections may have died unnoticed, or may work again: after the machine was
// suspended or its clock was set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET), and when an address
// or a route of this machine changes (rtnetlink(7)). What the system does not offer is not told.
class OutsideEvents {
 public:
  explicit OutsideEvents(kj::AsyncIoContext& io);

  // Resolves when something happened since the last call; many events that come together are one.
  kj::Promise<void> next();

 private:
  using Observer = kj::UnixEventPort::FdObserver;

  void armClock();
  void drain();

  kj::Timer& timer_;
  const kj::AutoCloseFd clock_, network_;
  kj::Maybe<kj::Own<Observer>> clockEvents_, networkEvents_;
};

}  // namespace pibrain
