#include "spoke-agent/confine/stdio-stream.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace pibrain {

namespace {

void requirePipe(int fd, const char* what) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
    kj::throwFatalException(kj::Exception(
        kj::Exception::Type::FAILED, __FILE__, __LINE__,
        kj::str(what,
                " is not a pipe or a socket. pi-brain-agent is started by sshd or by the "
                "hub, which speak with it through one; see 'pi-brain-agent --help'.")));
  }
}

// A non-blocking descriptor, and the event loop's observer of it.
class End {
 public:
  End(kj::UnixEventPort& port, kj::AutoCloseFd fd, uint flags)
      : fd_(unblock(kj::mv(fd))), observer_(port, fd_, flags) {}

  int fd() const { return fd_; }
  kj::UnixEventPort::FdObserver& observer() { return observer_; }

 private:
  static kj::AutoCloseFd unblock(kj::AutoCloseFd fd) {
    int on = 1;
    KJ_SYSCALL(ioctl(fd, FIONBIO, &on));
    return kj::mv(fd);
  }

  kj::AutoCloseFd fd_;
  kj::UnixEventPort::FdObserver observer_;
};

class StdioStream final : public kj::AsyncIoStream {
 public:
  StdioStream(kj::UnixEventPort& port, kj::AutoCloseFd in, kj::AutoCloseFd out)
      : in_(port, kj::mv(in), kj::UnixEventPort::FdObserver::OBSERVE_READ),
        out_(kj::heap<End>(port, kj::mv(out), kj::UnixEventPort::FdObserver::OBSERVE_WRITE)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return readMore(static_cast<kj::byte*>(buffer), minBytes, maxBytes, 0);
  }

  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto* bytes = static_cast<const kj::byte*>(buffer);
    return writeMore(kj::arrayPtr(bytes, size), nullptr);
  }

  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    if (pieces.size() == 0) return kj::READY_NOW;
    return writeMore(pieces[0], pieces.slice(1, pieces.size()));
  }

  kj::Promise<void> whenWriteDisconnected() override {
    return out_->observer().whenWriteDisconnected();
  }

  void shutdownWrite() override { out_ = nullptr; }

 private:
  kj::Promise<size_t> readMore(kj::byte* buffer, size_t minBytes, size_t maxBytes, size_t got) {
    while (got < minBytes) {
      ssize_t n;
      KJ_NONBLOCKING_SYSCALL(n = ::read(in_.fd(), buffer + got, maxBytes - got));
      if (n == 0) break;
      if (n < 0) {
        return in_.observer().whenBecomesReadable().then([this, buffer, minBytes, maxBytes, got]() {
          return readMore(buffer, minBytes, maxBytes, got);
        });
      }
      got += size_t(n);
    }
    return got;
  }

  // Writes the rest of a piece, and the pieces after it.
  kj::Promise<void> writeMore(kj::ArrayPtr<const kj::byte> first,
                              kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> rest) {
    for (;;) {
      ssize_t n = writeSome(first, rest);
      if (n < 0) {
        return out_->observer().whenBecomesWritable().then(
            [this, first, rest]() { return writeMore(first, rest); });
      }
      size_t written = size_t(n);
      while (written >= first.size()) {
        written -= first.size();
        if (rest.size() == 0) return kj::READY_NOW;
        first = rest[0];
        rest = rest.slice(1, rest.size());
      }
      first = first.slice(written, first.size());
    }
  }

  // Returns how many bytes the pipe took; negative if it is full.
  ssize_t writeSome(kj::ArrayPtr<const kj::byte> first,
                    kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> rest) {
    struct iovec parts[64];  // fewer than IOV_MAX
    size_t count = 0;
    auto add = [&](kj::ArrayPtr<const kj::byte> piece) {
      parts[count++] = {const_cast<kj::byte*>(piece.begin()), piece.size()};
    };
    add(first);
    for (auto& piece : rest.slice(0, kj::min(rest.size(), kj::size(parts) - 1))) add(piece);
    ssize_t n;
    KJ_NONBLOCKING_SYSCALL(n = ::writev(out_->fd(), parts, int(count)));
    return n;
  }

  End in_;
  kj::Own<End> out_;
};

// The function of a thread; `out` is standard output's descriptor.
void* awaitHangUp(void* out) {
  struct pollfd ends[] = {{STDIN_FILENO, POLLRDHUP, 0}, {int(intptr_t(out)), 0, 0}};
  while (poll(ends, 2, -1) <= 0) {
  }
  // Gives the event loop time to notice, and to end properly.
  sleep(1);
  _exit(0);
}

}  // namespace

void endAfterHangUp() {
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  KJ_DEFER(pthread_attr_destroy(&attributes));
  pthread_attr_setstacksize(&attributes, 128 * 1024);  // counts against the memory limit
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  // Without this thread the program ends too, but later.
  if (out >= 0)
    pthread_create(&thread, &attributes, awaitHangUp, reinterpret_cast<void*>(intptr_t(out)));
}

kj::Own<kj::AsyncIoStream> takeStdio(kj::UnixEventPort& port) {
  requirePipe(STDIN_FILENO, "standard input");
  requirePipe(STDOUT_FILENO, "standard output");
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  KJ_REQUIRE(out >= 0, "cannot duplicate standard output");
  KJ_REQUIRE(dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, "cannot redirect standard output");
  return kj::heap<StdioStream>(port, kj::AutoCloseFd(STDIN_FILENO), kj::AutoCloseFd(out));
}

}  // namespace pibrain
