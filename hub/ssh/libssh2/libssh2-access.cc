#include "hub/ssh/libssh2/libssh2-access.h"

#include <absl/strings/match.h>
#include <libssh2.h>

#include <string>

#include "hub/ssh/libssh2/stream.h"

namespace pibrain {

namespace {

constexpr unsigned WINDOW = 64 * 1024;
constexpr size_t MOST = 64 * 1024;  // bytes of an answer

class Attempt {
 public:
  Attempt(SshSession& session, Access access, kj::Promise<void> late, kj::Timer& timer,
          kj::WaitScope& waitScope)
      : session_(session),
        access_(access),
        late_(late.fork()),
        timer_(timer),
        waitScope_(waitScope) {}

  Grant run() {
    if (access_ == Access::FORWARDING) return forward();
    auto* channel = openWhenThereIsRoom();
    if (channel == nullptr) return Grant::UNKNOWN;
    SshStream stream(session_, channel, WINDOW / 2);
    auto grant = ask(stream);
    close(channel);
    return grant;
  }

 private:
  Grant ask(SshStream& stream) {
    auto* channel = stream.channel();
    int result = session_.complete([&]() { return request(channel); }, waitScope_);
    if (result == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) return Grant::REFUSED;
    if (result != 0) return Grant::UNKNOWN;
    return access_ == Access::TERMINAL ? Grant::GIVEN : listen(stream);
  }

  // Of MaxSessions, the one before gives back its own only when its program has ended and sshd has
  // noticed.
  LIBSSH2_CHANNEL* openWhenThereIsRoom() {
    constexpr auto PAUSE = 250 * kj::MILLISECONDS;
    constexpr int MOST_PAUSES = 20;
    for (int pauses = 0;; ++pauses) {
      auto* channel = openSession(session_, WINDOW, waitScope_);
      bool refused = channel == nullptr &&
                     libssh2_session_last_errno(session_.get()) == LIBSSH2_ERROR_CHANNEL_FAILURE;
      if (!refused || pauses == MOST_PAUSES || !within(timer_.afterDelay(PAUSE))) return channel;
    }
  }

  // Gives the next one room.
  void close(LIBSSH2_CHANNEL* channel) {
    constexpr uint32_t PATIENCE = 3;  // seconds
    session_.setDeadlineAfter(PATIENCE);
    kj::runCatchingExceptions([&]() {
      session_.complete([&]() { return libssh2_channel_close(channel); }, waitScope_);
      session_.complete([&]() { return libssh2_channel_wait_closed(channel); }, waitScope_);
    });
  }

  int request(LIBSSH2_CHANNEL* channel) {
    switch (access_) {
      case Access::SHELL:
        return libssh2_channel_shell(channel);
      case Access::SUBSYSTEM:
        return libssh2_channel_subsystem(channel, "sftp");
      case Access::TERMINAL:
        return libssh2_channel_request_pty(channel, "dumb");
      default:
        return libssh2_channel_exec(channel, question_.command.c_str());
    }
  }

  // What ends without an answer has refused.
  Grant listen(SshStream& stream) {
    auto input = inputOf(access_, question_);
    if (!input.empty()) within(stream.write(input.data(), input.size()));
    std::string output;
    char buffer[4096];
    while (output.size() < MOST) {
      size_t n = 0;
      bool came =
          within(stream.tryRead(buffer, 1, sizeof(buffer)).then([&](size_t got) { n = got; }));
      if (!came) return Grant::UNKNOWN;
      if (n == 0) return Grant::REFUSED;
      output.append(buffer, n);
      if (auto grant = judgeOutput(access_, question_, output)) return *grant;
    }
    return Grant::REFUSED;
  }

  // Whether it was done in time.
  bool within(kj::Promise<void> work) {
    return work.then([]() { return true; })
        .exclusiveJoin(late_.addBranch().then([]() { return false; }))
        .wait(waitScope_);
  }

  Grant forward() {
    LIBSSH2_CHANNEL* channel = nullptr;
    session_.complete(
        [&]() {
          channel = libssh2_channel_direct_tcpip(session_.get(), "127.0.0.1", FORWARDED_PORT);
          return channel == nullptr ? libssh2_session_last_errno(session_.get()) : 0;
        },
        waitScope_);
    if (channel != nullptr) {
      libssh2_channel_free(channel);
      return Grant::GIVEN;
    }
    // RFC 4254, section 5.1: what was not let begin, and what was begun and found nobody.
    auto why = session_.lastError();
    if (absl::StrContains(why, "prohibited")) return Grant::REFUSED;
    return absl::StrContains(why, "connect failed") ? Grant::GIVEN : Grant::UNKNOWN;
  }

  SshSession& session_;
  const Access access_;
  const Question question_ = makeQuestion();
  kj::ForkedPromise<void> late_;
  kj::Timer& timer_;
  kj::WaitScope& waitScope_;
};

}  // namespace

Grant tryByLibssh2(SshSession& session, Access access, uint32_t patience, kj::Timer& timer,
                   kj::WaitScope& waitScope) {
  auto grant = Grant::UNKNOWN;
  session.setDeadlineAfter(patience);
  // What breaks the connection has not let us in, nor kept us out.
  kj::runCatchingExceptions([&]() {
    auto late = timer.atTime(kj::systemPreciseMonotonicClock().now() + patience * kj::SECONDS);
    grant = Attempt(session, access, kj::mv(late), timer, waitScope).run();
  });
  session.clearDeadline();
  return grant;
}

}  // namespace pibrain
