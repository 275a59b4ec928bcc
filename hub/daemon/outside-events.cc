#include "hub/daemon/outside-events.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace pibrain {

namespace {

// A network comes up in many steps.
constexpr kj::Duration TOGETHER = 500 * kj::MILLISECONDS;

kj::AutoCloseFd listenToNetwork() {
  kj::AutoCloseFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups =
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (fd.get() < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return kj::AutoCloseFd();
  }
  return fd;
}

}  // namespace

OutsideEvents::OutsideEvents(kj::AsyncIoContext& io)
    : timer_(io.provider->getTimer()),
      clock_(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)),
      network_(listenToNetwork()) {
  armClock();
  if (clock_.get() >= 0) {
    clockEvents_ = kj::heap<Observer>(io.unixEventPort, clock_, Observer::OBSERVE_READ);
  }
  if (network_.get() >= 0) {
    networkEvents_ = kj::heap<Observer>(io.unixEventPort, network_, Observer::OBSERVE_READ);
  }
}

// The timer itself is for a time that never comes.
void OutsideEvents::armClock() {
  struct itimerspec never = {};
  never.it_value.tv_sec = INT32_MAX;
  if (clock_.get() >= 0) {
    timerfd_settime(clock_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr);
  }
}

void OutsideEvents::drain() {
  uint64_t times;
  if (clock_.get() >= 0 && read(clock_, &times, sizeof(times)) < 0) armClock();
  char message[8192];
  while (network_.get() >= 0 && recv(network_, message, sizeof(message), 0) > 0) {
  }
}

kj::Promise<void> OutsideEvents::next() {
  kj::Promise<void> any = kj::NEVER_DONE;
  KJ_IF_MAYBE(events, clockEvents_) {
    any = any.exclusiveJoin((*events)->whenBecomesReadable());
  }
  KJ_IF_MAYBE(events, networkEvents_) {
    any = any.exclusiveJoin((*events)->whenBecomesReadable());
  }
  drain();
  return any.then([this]() { return timer_.afterDelay(TOGETHER); }).then([this]() { drain(); });
}

}  // namespace pibrain
