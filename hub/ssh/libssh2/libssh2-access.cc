#include "hub/ssh/libssh2/libssh2-access.h"

#include <absl/strings/match.h>
#include <libssh2.h>

#include <algorithm>
#include <string>

namespace pibrain {

namespace {

constexpr unsigned TRY_WINDOW = 64 * 1024;
constexpr size_t MOST = 64 * 1024;  // bytes of an answer

// RFC 4254, section 4: strings begin with their length.
void appendNumber(std::string& message, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) message += char(number >> shift);
}
void appendString(std::string& message, std::string_view text) {
  appendNumber(message, uint32_t(text.size()));
  message += text;
}

kj::TimePoint now() { return kj::systemPreciseMonotonicClock().now(); }

// A channel for one question, with a time limit.
class Asker {
 public:
  Asker(SshSession& session, uint32_t patience, kj::Timer& timer, kj::WaitScope& waitScope)
      : session_(session), patience_(patience), timer_(timer), waitScope_(waitScope) {}

  Grant ask(Access access, const Question& question) {
    return inChannel([&](SshStream& stream) {
      auto asked = grantOf(request(stream.channel(), access, question));
      if (asked != Grant::GIVEN) return asked;
      auto heard = listen(stream, question);
      if (heard == Grant::REFUSED) letEnd(stream, timer_, waitScope_);
      return heard;
    });
  }

  // Sends the question, whose request alone may decide.
  Grant askFor(Access access) {
    return inChannel(
        [&](SshStream& stream) { return grantOf(request(stream.channel(), access, {})); });
  }

  // Returns the time until the agent's preamble, or the end.
  std::optional<Seconds> answersAfter(const std::string& command) {
    std::optional<Seconds> result;
    inChannel([&](SshStream& stream) {
      auto start = now();
      Question question{command, "", ""};
      if (request(stream.channel(), Access::COMMAND, question) != 0) return Grant::UNKNOWN;
      auto heard = listen(stream, question);
      if (heard != Grant::REFUSED) return heard;
      result = Seconds(double((now() - start) / kj::NANOSECONDS) / 1e9);
      letEnd(stream, timer_, waitScope_);
      return heard;
    });
    return result;
  }

 private:
  template <typename Work>
  Grant inChannel(Work&& work) {
    session_.setDeadlineAfter(patience_);
    auto late = timer_.atTime(now() + patience_ * kj::SECONDS).fork();
    late_ = &late;
    KJ_DEFER(late_ = nullptr);
    auto* channel = openWhenThereIsRoom();
    if (channel == nullptr) return Grant::UNKNOWN;
    SshStream stream(session_, channel, TRY_WINDOW / 2);
    auto grant = work(stream);
    close(channel);
    return grant;
  }

  // Retries, because the previous channel counts for MaxSessions until its program has ended and
  // sshd has noticed.
  LIBSSH2_CHANNEL* openWhenThereIsRoom() {
    constexpr auto PAUSE = 250 * kj::MILLISECONDS;
    constexpr int MOST_PAUSES = 20;
    for (int pauses = 0;; ++pauses) {
      auto* channel = openSession(session_, TRY_WINDOW, waitScope_);
      bool refused = channel == nullptr &&
                     libssh2_session_last_errno(session_.get()) == LIBSSH2_ERROR_CHANNEL_FAILURE;
      if (!refused || pauses == MOST_PAUSES || !within(timer_.afterDelay(PAUSE))) return channel;
    }
  }

  // Closes the channel, so that the next one can be opened.
  void close(LIBSSH2_CHANNEL* channel) {
    constexpr uint32_t PATIENCE = 3;  // seconds
    session_.setDeadlineAfter(PATIENCE);
    kj::runCatchingExceptions([&]() {
      session_.runToCompletion([&]() { return libssh2_channel_close(channel); }, waitScope_);
      session_.runToCompletion([&]() { return libssh2_channel_wait_closed(channel); }, waitScope_);
    });
  }

  int request(LIBSSH2_CHANNEL* channel, Access access, const Question& question) {
    auto call = [&]() {
      switch (access) {
        case Access::SHELL:
          return libssh2_channel_shell(channel);
        case Access::SUBSYSTEM:
          return libssh2_channel_subsystem(channel, "sftp");
        case Access::TERMINAL:
          return libssh2_channel_request_pty(channel, "dumb");
        case Access::AGENT:
          return libssh2_channel_request_auth_agent(channel);
        case Access::X11:
          return libssh2_channel_x11_req(channel, 0);
        default:
          return libssh2_channel_exec(channel, question.command.c_str());
      }
    };
    return session_.runToCompletion(call, waitScope_);
  }

  static Grant grantOf(int result) {
    if (result == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) return Grant::REFUSED;
    return result == 0 ? Grant::GIVEN : Grant::UNKNOWN;
  }

  // Reads the output; an end without an answer means refusal.
  Grant listen(SshStream& stream, const Question& question) {
    if (!question.input.empty()) {
      within(stream.write(question.input.data(), question.input.size()));
    }
    if (question.inputEnds) stream.shutdownWrite();
    std::string output;
    char buffer[4096];
    std::optional<kj::TimePoint> agentCame;
    while (output.size() < MOST) {
      size_t n = 0;
      auto read = stream.tryRead(buffer, 1, sizeof(buffer)).then([&](size_t got) { n = got; });
      bool came = agentCame
                      ? before(*agentCame + LINGERING.count() * kj::MILLISECONDS, kj::mv(read))
                      : within(kj::mv(read));
      output.append(buffer, n);
      auto grant = judgeOutput(question, question.lingers ? output + stream.errors() : output);
      if (grant == Grant::GIVEN || (grant && !question.lingers)) return *grant;
      if (agentCame && !came) return Grant::REFUSED;
      if (!came) return Grant::UNKNOWN;
      if (n == 0) return Grant::REFUSED;
      if (grant && !agentCame) agentCame = now();
    }
    return Grant::REFUSED;
  }

  // Returns whether the work was done in time.
  bool within(kj::Promise<void> work) {
    return work.then([]() { return true; })
        .exclusiveJoin(late_->addBranch().then([]() { return false; }))
        .wait(waitScope_);
  }
  bool before(kj::TimePoint end, kj::Promise<void> work) {
    return work.then([]() { return true; })
        .exclusiveJoin(timer_.atTime(end).then([]() { return false; }))
        .wait(waitScope_);
  }

  SshSession& session_;
  const uint32_t patience_;
  kj::Timer& timer_;
  kj::WaitScope& waitScope_;
  kj::ForkedPromise<void>* late_ = nullptr;
};

Grant tryCommands(Asker& asker) {
  bool unknown = false;
  for (auto& question : questionsOf(Access::COMMAND)) {
    auto grant = asker.ask(Access::COMMAND, question);
    if (grant == Grant::GIVEN) return grant;
    unknown = unknown || grant == Grant::UNKNOWN;
  }
  auto grant = judgeDelay([&](auto& command) { return asker.answersAfter(command); });
  return grant == Grant::REFUSED && unknown ? Grant::UNKNOWN : grant;
}

// Tries to open a channel that connects to something on the spoke.
template <typename Open>
Grant tryChannel(SshSession& session, kj::WaitScope& waitScope, Open&& open) {
  LIBSSH2_CHANNEL* channel = nullptr;
  session.runToCompletion(
      [&]() {
        channel = open();
        return channel == nullptr ? libssh2_session_last_errno(session.get()) : 0;
      },
      waitScope);
  if (channel != nullptr) {
    libssh2_channel_free(channel);
    return Grant::GIVEN;
  }
  // RFC 4254, section 5.1: prohibited, or a channel type that the server does not know.
  auto why = session.lastError();
  bool refused =
      absl::StrContains(why, "prohibited") || absl::StrContains(why, "unknown channel type");
  return refused ? Grant::REFUSED : Grant::UNKNOWN;
}

Grant tryConnecting(SshSession& session, int port, kj::WaitScope& waitScope) {
  auto grant = tryChannel(session, waitScope, [&]() {
    return libssh2_channel_direct_tcpip(session.get(), LOOPBACK, port);
  });
  // The server tried to connect, and nobody listened.
  bool begun = grant == Grant::UNKNOWN && absl::StrContains(session.lastError(), "connect failed");
  return begun ? Grant::GIVEN : grant;
}

// OpenSSH's sshd says "connect failed" both if it is forbidden and if nobody listens; other servers
// distinguish that.
Grant trySockets(SshSession& session, kj::WaitScope& waitScope) {
  // OpenSSH's PROTOCOL, section 2.4: the path, and two reserved fields.
  constexpr std::string_view TYPE = "direct-streamlocal@openssh.com";
  std::string message;
  appendString(message, NO_SOCKET);
  appendString(message, "");
  appendNumber(message, 0);
  return tryChannel(session, waitScope, [&]() {
    return libssh2_channel_open_ex(session.get(), TYPE.data(), TYPE.size(), TRY_WINDOW,
                                   LIBSSH2_CHANNEL_PACKET_DEFAULT, message.data(),
                                   unsigned(message.size()));
  });
}

Grant tryListening(SshSession& session, int port, kj::WaitScope& waitScope) {
  LIBSSH2_LISTENER* listener = nullptr;
  int bound = 0;
  int error = session.runToCompletion(
      [&]() {
        listener = libssh2_channel_forward_listen_ex(session.get(), LOOPBACK, port, &bound, 1);
        return listener == nullptr ? libssh2_session_last_errno(session.get()) : 0;
      },
      waitScope);
  if (listener == nullptr) {
    return error == LIBSSH2_ERROR_REQUEST_DENIED ? Grant::REFUSED : Grant::UNKNOWN;
  }
  session.runToCompletion([&]() { return libssh2_channel_forward_cancel(listener); }, waitScope);
  return Grant::GIVEN;
}

Grant tryPorts(SshSession& session, uint32_t patience, kj::WaitScope& waitScope) {
  auto grant = Grant::UNKNOWN;
  for (int port : listeningPorts()) {
    session.setDeadlineAfter(patience);
    grant = tryListening(session, port, waitScope);
    if (grant != Grant::REFUSED) break;
  }
  return grant;
}

Grant tryIt(SshSession& session, const SshTarget& target, Access access, kj::Timer& timer,
            kj::WaitScope& waitScope) {
  uint32_t patience = target.connectTimeout;
  // A command that sleeps gets more time.
  Asker asker(session, patience + uint32_t(access == Access::COMMAND ? SLEEP.count() : 0), timer,
              waitScope);
  session.setDeadlineAfter(patience);
  switch (access) {
    case Access::COMMAND:
      return tryCommands(asker);
    case Access::SHELL:
    case Access::SUBSYSTEM:
      return asker.ask(access, questionsOf(access).front());
    case Access::CONNECT:
      return tryConnecting(session, target.port, waitScope);
    case Access::LISTEN:
      return tryPorts(session, patience, waitScope);
    case Access::SOCKETS:
      return trySockets(session, waitScope);
    case Access::TERMINAL:
    case Access::AGENT:
    case Access::X11:
      return asker.askFor(access);
  }
  return Grant::UNKNOWN;
}

}  // namespace

void letEnd(SshStream& stream, kj::Timer& timer, kj::WaitScope& waitScope) {
  constexpr auto PATIENCE = 500 * kj::MILLISECONDS;
  kj::runCatchingExceptions([&]() {
    stream.shutdownWrite();
    stream.readAllBytes(MOST)
        .ignoreResult()
        .exclusiveJoin(timer.atTime(now() + PATIENCE))
        .wait(waitScope);
  });
}

Grant tryByLibssh2(SshSession& session, const SshTarget& target, Access access, kj::Timer& timer,
                   kj::WaitScope& waitScope) {
  auto tried = Grant::UNKNOWN;
  // A broken connection neither grants nor refuses.
  kj::runCatchingExceptions([&]() { tried = tryIt(session, target, access, timer, waitScope); });
  session.clearDeadline();
  return decideGrant(access, tried, session.keyOptions());
}

}  // namespace pibrain
