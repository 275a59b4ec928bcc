#include "hub/ssh/connect.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <kj/debug.h>
#include <libssh2.h>

#include <algorithm>
#include <vector>

#include "common/text.h"
#include "hub/failure.h"
#include "hub/ssh/dial.h"
#include "hub/ssh/known-hosts.h"
#include "hub/ssh/login.h"
#include "hub/ssh/session.h"
#include "hub/ssh/stream.h"

namespace pibrain {

namespace {

// The window bounds what is in flight, so the speed over a long link; libssh2 refills it.
constexpr unsigned WINDOW = 16 * 1024 * 1024;
constexpr unsigned MIN_WINDOW = 4 * 1024;
constexpr unsigned PACKET = 32768;

// The order that measured fastest; libssh2's own begins with what it is slow at.
const std::vector<std::string> CIPHERS = {"aes128-ctr",
                                          "aes256-ctr",
                                          "aes192-ctr",
                                          "aes256-gcm@openssh.com",
                                          "aes128-gcm@openssh.com",
                                          "chacha20-poly1305@openssh.com"};
const std::vector<std::string> MACS = {"hmac-sha2-256", "hmac-sha2-512",
                                       "hmac-sha2-256-etm@openssh.com",
                                       "hmac-sha2-512-etm@openssh.com"};

// Of a method type, those of `wanted` that this libssh2 has.
std::string supported(SshSession& session, int type, const std::vector<std::string>& wanted) {
  const char** names = nullptr;
  int count = libssh2_session_supported_algs(session.get(), type, &names);
  std::vector<std::string> result;
  for (auto& name : wanted) {
    for (int i = 0; i < count; ++i) {
      if (name == names[i]) result.push_back(name);
    }
  }
  if (count > 0) libssh2_free(session.get(), names);
  return absl::StrJoin(result, ",");
}

void prefer(SshSession& session, int type, const std::vector<std::string>& wanted) {
  auto list = supported(session, type, wanted);
  if (!list.empty()) libssh2_session_method_pref(session.get(), type, list.c_str());
}

// The host has to prove itself with a key of a type that known_hosts has: one of another type
// would be an unknown key, which an impostor can offer too.
void preferKnownKeyTypes(SshSession& session, const KnownHost& known) {
  std::vector<std::string> types;
  for (auto& key : known.keys) {
    if (key.revoked) continue;
    if (key.type == "ssh-rsa") types.insert(types.end(), {"rsa-sha2-512", "rsa-sha2-256"});
    types.push_back(key.type);
  }
  if (!types.empty()) prefer(session, LIBSSH2_METHOD_HOSTKEY, types);
}

std::string listKnown(const KnownHost& known) {
  std::vector<std::string> lines;
  for (auto& key : known.keys) {
    lines.push_back(absl::StrCat(fingerprint(key.blob), " (", key.type, ", ",
                                 escapeForTerminal(key.file), ":", key.line, ")"));
  }
  return absl::StrJoin(lines, ", ");
}

std::string scanCommand(const SshTarget& target) {
  auto file = target.knownHostsFiles.empty() ? "~/.ssh/known_hosts" : target.knownHostsFiles[0];
  return absl::StrCat("ssh-keyscan ",
                      target.port == 22 ? "" : absl::StrCat("-p ", target.port, " "),
                      escapeForTerminal(target.host), " >> ", escapeForTerminal(file));
}

std::string_view shownKey(SshSession& session) {
  size_t length = 0;
  int type = 0;
  const char* bytes = libssh2_session_hostkey(session.get(), &length, &type);
  KJ_REQUIRE(bytes != nullptr, "the spoke showed no host key");
  return {bytes, length};
}

void checkHostKey(SshSession& session, const SshTarget& target, const KnownHost& known,
                  const std::string& name) {
  auto blob = shownKey(session);
  auto host = escapeForTerminal(name);
  auto print = absl::StrCat(fingerprint(blob), " (", escapeForTerminal(keyType(blob)), ")");
  switch (judge(known, blob)) {
    case HostKeyVerdict::KNOWN:
      return;
    case HostKeyVerdict::REVOKED:
      throw Failure(absl::StrCat("HOST KEY REVOKED: the key of ", host, ", ", print,
                                 ", is marked @revoked in known_hosts. Do not connect; ask who "
                                 "runs the machine for its new key."));
    case HostKeyVerdict::CHANGED:
      throw Failure(absl::StrCat(
          "HOST KEY CHANGED: ", host, " shows ", print, " but known_hosts has ", listKnown(known),
          ". Someone may be impersonating it, or it was reinstalled. If you are sure that it was, "
          "remove the old key with 'ssh-keygen -R ",
          shellQuote(name), "' and add the new one with '", scanCommand(target), "'."));
    case HostKeyVerdict::UNKNOWN:
      break;
  }
  throw Failure(absl::StrCat(
      "host key verification failed: ", host, " is not in known_hosts. It shows ", print, ". ",
      known.hasCertAuthority ? "(A @cert-authority line matches, which pi-brain cannot verify.) "
                             : "",
      "Compare that with 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' on the spoke; if they "
      "agree, add it with '",
      scanCommand(target), "', or connect once by hand with 'ssh ", escapeForTerminal(target.alias),
      "'."));
}

void handshake(SshSession& session, const SshTarget& target, kj::WaitScope& waitScope,
               kj::Function<void(std::string)>& warn) {
  auto name = target.hostKeyAlias.empty() ? knownHostName(target.host, target.port)
                                          : knownHostName(target.hostKeyAlias, 22);
  auto known = loadKnownHosts(target.knownHostsFiles, name);
  for (auto& warning : known.warnings) warn(escapeForTerminal(warning));
  KnownHost plain;
  if (known.keys.empty() && target.hostKeyAlias.empty() && target.port != 22) {
    plain = loadKnownHosts(target.knownHostsFiles, knownHostName(target.host, 22));
  }
  prefer(session, LIBSSH2_METHOD_CRYPT_CS, CIPHERS);
  prefer(session, LIBSSH2_METHOD_CRYPT_SC, CIPHERS);
  prefer(session, LIBSSH2_METHOD_MAC_CS, MACS);
  prefer(session, LIBSSH2_METHOD_MAC_SC, MACS);
  preferKnownKeyTypes(session, known);

  // The socket is connected already; libssh2 reads and writes it through our callbacks.
  int result = session.complete(
      [&]() { return libssh2_session_handshake(session.get(), session.fd()); }, waitScope);
  if (result != 0) {
    bool noCommonMethod =
        result == LIBSSH2_ERROR_KEX_FAILURE || result == LIBSSH2_ERROR_METHOD_NONE;
    throw Failure(absl::StrCat(
        "the SSH handshake with ", escapeForTerminal(target.host), " port ", target.port,
        " failed: ", session.lastError(), ". ",
        noCommonMethod && !known.keys.empty()
            ? "The spoke may have no host key of a type that known_hosts lists: compare '" +
                  scanCommand(target) + "' with what is there."
            : "Is an SSH server listening on that port? Try 'ssh -v " +
                  escapeForTerminal(target.alias) + " true'."));
  }
  // As ssh does: a key that is known for the host's standard port serves for its others too. A
  // different key there means nothing: it may be another machine behind the same address.
  auto verdict = judge(plain, shownKey(session));
  if (verdict == HostKeyVerdict::KNOWN || verdict == HostKeyVerdict::REVOKED) known = plain;
  checkHostKey(session, target, known, name);
}

class SshConnection : public Connection {
 public:
  SshConnection(kj::AutoCloseFd socket, std::shared_ptr<RateLimiter> limiter,
                kj::AsyncIoContext& io)
      : timer_(io.provider->getTimer()),
        session_(kj::mv(socket), io.unixEventPort, timer_, std::move(limiter)) {}

  SshSession& session() { return session_; }

  void run(const SshTarget& target, const std::string& command, unsigned window,
           kj::WaitScope& waitScope) {
    auto* channel = openChannel(window, waitScope);
    if (channel == nullptr) {
      throw Failure(absl::StrCat("the spoke opened no session: ", session_.lastError(),
                                 ". Its sshd_config may limit sessions (MaxSessions)."));
    }
    stream_ = kj::heap<SshStream>(session_, channel, window / 2);
    int result = session_.complete([&]() { return libssh2_channel_exec(channel, command.c_str()); },
                                   waitScope);
    if (result != 0) {
      throw Failure(absl::StrCat("the spoke refused to run a command for ",
                                 escapeForTerminal(target.alias), ": ", session_.lastError(),
                                 ". Check the command=\"…\" in its authorized_keys."));
    }
  }

  kj::AsyncIoStream& stream() override { return *stream_; }
  WireBytes wire() const override { return session_.wire(); }

  Farewell farewell(kj::WaitScope& waitScope) override {
    Farewell result;
    auto* channel = stream_->channel();
    session_.setDeadline(timer_.now() + 3 * kj::SECONDS);
    // What cannot be had in that time is not worth an error of its own.
    kj::runCatchingExceptions([&]() {
      session_.complete([&]() { return libssh2_channel_close(channel); }, waitScope);
      session_.complete([&]() { return libssh2_channel_wait_closed(channel); }, waitScope);
      stream_->drainErrors();
      char* signal = nullptr;
      libssh2_channel_get_exit_signal(channel, &signal, nullptr, nullptr, nullptr, nullptr,
                                      nullptr);
      if (signal == nullptr) result.exitStatus = libssh2_channel_get_exit_status(channel);
      if (signal != nullptr) libssh2_free(session_.get(), signal);
    });
    result.errors = stream_->errors();
    return result;
  }

 private:
  LIBSSH2_CHANNEL* openChannel(unsigned window, kj::WaitScope& waitScope) {
    LIBSSH2_CHANNEL* channel = nullptr;
    session_.complete(
        [&]() {
          channel =
              libssh2_channel_open_ex(session_.get(), "session", 7, window, PACKET, nullptr, 0);
          return channel == nullptr ? libssh2_session_last_errno(session_.get()) : 0;
        },
        waitScope);
    return channel;
  }

  kj::Timer& timer_;
  SshSession session_;
  kj::Own<SshStream> stream_;
};

}  // namespace

void initSsh() { KJ_REQUIRE(libssh2_init(0) == 0, "cannot initialise libssh2"); }

kj::Own<Connection> connectSsh(const SshTarget& target, const std::string& command,
                               uint32_t timeoutSeconds, std::shared_ptr<RateLimiter> limiter,
                               kj::AsyncIoContext& io, kj::Function<void(std::string)> warn) {
  unsigned window = WINDOW;
  if (limiter != nullptr) {
    // The peer may send a window's worth before it feels the limit: a quarter of a second.
    window =
        unsigned(std::clamp(limiter->bytesPerSecond() / 4, double(MIN_WINDOW), double(WINDOW)));
  }
  auto connection = kj::heap<SshConnection>(dial(target, timeoutSeconds), std::move(limiter), io);
  auto& session = connection->session();
  session.setDeadline(io.provider->getTimer().now() + target.connectTimeout * kj::SECONDS);
  try {
    handshake(session, target, io.waitScope, warn);
    login(session, target, io.waitScope);
    connection->run(target, command, window, io.waitScope);
  } catch (const kj::Exception& e) {
    throw Failure(absl::StrCat("the SSH connection to ", escapeForTerminal(target.host), " port ",
                               target.port,
                               " failed before it was of use: ", e.getDescription().cStr(),
                               ". Try 'ssh -v ", escapeForTerminal(target.alias), " true'."));
  }
  session.setDeadline(nullptr);
  return connection;
}

}  // namespace pibrain
