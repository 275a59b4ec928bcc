#include "hub/daemon/file-watch.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace pibrain {

namespace {

// Until an editor has written all.
constexpr kj::Duration AFTER_CHANGE = 200 * kj::MILLISECONDS;

std::string directoryOf(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == 0 ? "/" : slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

FileWatch::FileWatch(kj::AsyncIoContext& io, const std::string& path)
    : timer_(io.provider->getTimer()),
      name_(path.substr(path.rfind('/') + 1)),
      fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_.get() < 0) return;
  using Observer = kj::UnixEventPort::FdObserver;
  events_ = kj::heap<Observer>(io.unixEventPort, fd_, Observer::OBSERVE_READ);
  inotify_add_watch(fd_, directoryOf(path).c_str(),
                    IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR);
}

bool FileWatch::drain() {
  alignas(inotify_event) char buffer[16 * 1024];
  bool ours = false;
  for (;;) {
    auto length = read(fd_, buffer, sizeof(buffer));
    if (length <= 0) return ours;
    for (ssize_t at = 0; at < length;) {
      auto* event = reinterpret_cast<inotify_event*>(buffer + at);
      ours |= (event->mask & IN_Q_OVERFLOW) != 0 || (event->len > 0 && name_ == event->name);
      at += ssize_t(sizeof(*event) + event->len);
    }
  }
}

kj::Promise<void> FileWatch::next() {
  KJ_IF_MAYBE(events, events_) {
    auto arrived = (*events)->whenBecomesReadable();
    if (drain()) return timer_.afterDelay(AFTER_CHANGE).then([this]() { (void)drain(); });
    return arrived.then([this]() { return next(); });
  }
  return kj::NEVER_DONE;
}

}  // namespace pibrain
