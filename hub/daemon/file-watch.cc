#include "hub/daemon/file-watch.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace pibrain {

namespace {

// Until an editor has written all.
constexpr kj::Duration AFTER_CHANGE = 200 * kj::MILLISECONDS;

std::string directoryOf(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == 0 ? "/" : slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string nameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

FileWatch::FileWatch(kj::AsyncIoContext& io, const std::string& path)
    : timer_(io.provider->getTimer()),
      path_(path),
      names_{nameOf(path)},
      fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_.get() < 0) return;
  using Observer = kj::UnixEventPort::FdObserver;
  events_ = kj::heap<Observer>(io.unixEventPort, fd_, Observer::OBSERVE_READ);
  watch();
}

void FileWatch::watch() {
  std::set<std::string> directories{directoryOf(path_)};
  // Whoever keeps configs in one place links them from where programs look. While an editor
  // replaces what is linked, it stays the same name.
  std::error_code error;
  auto target = std::filesystem::canonical(path_, error).string();
  if (!error) {
    names_ = {nameOf(path_), nameOf(target)};
    directories.insert(directoryOf(target));
  }
  for (auto& directory : directories) {
    inotify_add_watch(fd_, directory.c_str(),
                      IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR);
  }
}

bool FileWatch::drain() {
  alignas(inotify_event) char buffer[16 * 1024];
  bool ours = false;
  for (;;) {
    auto length = read(fd_, buffer, sizeof(buffer));
    if (length <= 0) {
      if (ours) watch();  // the link may lead elsewhere now
      return ours;
    }
    for (ssize_t at = 0; at < length;) {
      auto* event = reinterpret_cast<inotify_event*>(buffer + at);
      ours |=
          (event->mask & IN_Q_OVERFLOW) != 0 || (event->len > 0 && names_.contains(event->name));
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
