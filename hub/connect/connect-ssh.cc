#include "hub/connect/connect-ssh.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <libssh2.h>

#include <algorithm>
#include <optional>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/identities.h"
#include "hub/ssh/libssh2/fall-back-to-openssh.h"
#include "hub/ssh/libssh2/libssh2-connection.h"
#include "hub/ssh/openssh-client.h"
#include "hub/ssh/openssh/openssh-connection.h"
#include "hub/ssh/turns.h"

namespace pibrain {

namespace {

// Returns what libssh2 cannot do for this configuration, as far as that is known before the first
// packet; nullopt: nothing.
std::optional<std::string> whySetting(const SshTarget& target, const KnownTarget& known) {
  if (!target.onlyOpenssh.empty()) {
    return absl::StrCat("the ssh configuration sets ", escapeForTerminal(target.onlyOpenssh[0]));
  }
  if (!target.revokedHostKeys.empty() && isRevocationList(target.revokedHostKeys)) {
    return absl::StrCat("RevokedHostKeys is a key revocation list: ",
                        escapeForTerminal(target.revokedHostKeys));
  }
  auto plain = [](const KnownHost& host) {
    return std::any_of(host.keys.begin(), host.keys.end(), [](auto& key) { return !key.revoked; });
  };
  if (known.hasCertAuthority() && !plain(known.own) && !plain(known.standardPort)) {
    return CERT_AUTHORITY_ONLY;
  }
  return std::nullopt;
}

std::optional<std::string> whyKey(const Identities& identities) {
  return identities.keys.empty() ? std::nullopt : whyNotLibssh2(identities.keys[0]);
}

kj::Own<Connection> byOpenssh(const SshTarget& target, const KnownTarget& known,
                              const std::string& command, const SshOptions& options,
                              const std::optional<std::string>& why, const AuthFailure& authFailure,
                              kj::AsyncIoContext& io) {
  options.chose(SshClient::OPENSSH, why ? absl::StrCat("OpenSSH, because ", *why) : "OpenSSH");
  auto connection = startOpenssh(target, known, command, options, authFailure, io);
  options.passed(SshStep::LOGIN,
                 absl::StrCat(target.user, "@", target.host, " port ", target.port));
  options.passed(SshStep::COMMAND, "");
  return connection;
}

}  // namespace

std::string libssh2Version() { return libssh2_version(0); }

void initSsh() { KJ_REQUIRE(libssh2_init(0) == 0, "cannot initialise libssh2"); }

namespace {

// Connects with libssh2, or with OpenSSH for what libssh2 cannot do.
kj::Own<Connection> connectAuto(const SshTarget& target, const KnownTarget& known,
                                const std::string& command, const SshOptions& options,
                                const Identities& identities, kj::AsyncIoContext& io) {
  auto why = whySetting(target, known);
  bool choice = options.mode == SshMode::AUTO && findOpenssh();
  if (why && !choice) {
    throw Failure(FailureId::SSH_CONFIG_UNSUPPORTED,
                  absl::StrCat("libssh2 cannot connect to ", escapeForTerminal(target.alias),
                               " as configured"),
                  absl::StrCat("The reason: ", withoutFullStop(*why), "."),
                  {{"Install OpenSSH's client and set 'ssh: openssh' (or auto) for this spoke in "
                    "the config; or remove the setting for this host",
                    ""}});
  }
  if (choice && !why) why = whyKey(identities);
  if (choice && !why) why = options.notLibssh2;
  std::optional<FallBackToOpenssh> needs;
  if (!why) {
    try {
      options.chose(SshClient::LIBSSH2, absl::StrCat("libssh2 ", libssh2_version(0)));
      return connectLibssh2(target, known, command, options, identities, choice, io);
    } catch (const FallBackToOpenssh& e) {
      needs = e;
    }
  }
  auto authFailure = needs ? needs->authFailure : authFailureBefore(identities);
  auto connection =
      byOpenssh(target, known, command, options, needs ? needs->summary() : why, authFailure, io);
  if (needs) options.learned(needs->summary());
  return connection;
}

kj::Own<Connection> connectOnce(const SshTarget& target, const std::string& command,
                                const SshOptions& options, kj::AsyncIoContext& io) {
  auto identities = collectIdentities(target);
  ConnectTurn turn(target);
  auto known = knownTargetOf(target);
  for (auto& warning : known.own.warnings) options.warn(escapeForTerminal(warning));
  return options.mode == SshMode::OPENSSH
             ? byOpenssh(target, known, command, options, std::nullopt,
                         authFailureBefore(identities), io)
             : connectAuto(target, known, command, options, identities, io);
}

}  // namespace

kj::Own<Connection> connectSsh(SshTarget target, const std::string& command,
                               const SshOptions& options, kj::AsyncIoContext& io) {
  target.watches = options.watches;
  std::optional<Failure> turnedAway;
  for (int attempt = 0; attempt < ConnectTurn::ATTEMPTS; ++attempt) {
    if (attempt > 0) {
      auto pause = ConnectTurn::pauseBefore(attempt).count() * kj::MILLISECONDS;
      io.provider->getTimer().afterDelay(pause).wait(io.waitScope);
    }
    try {
      return connectOnce(target, command, options, io);
    } catch (const Failure& e) {
      if (e.id() != FailureId::SERVER_BUSY) throw;
      turnedAway = e;
    }
  }
  throw *turnedAway;
}

}  // namespace pibrain
