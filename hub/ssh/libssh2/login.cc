#include "hub/ssh/libssh2/login.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <libssh2.h>

#include <optional>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/passphrase-prompt.h"
#include "hub/ssh/agent-io.h"
#include "hub/ssh/auth-failure.h"

namespace pibrain {

namespace {

// An attempt to log in, which collects what was tried for the failure.
class Login {
 public:
  Login(SshSession& session, const SshTarget& target, const Identities& identities,
        Passphrases& passphrases, bool allowFallback, kj::WaitScope& waitScope)
      : session_(session),
        target_(target),
        identities_(identities),
        passphrases_(passphrases),
        allowFallback_(allowFallback),
        waitScope_(waitScope),
        authFailure_(untriedKeys(identities)) {}

  ~Login() noexcept(false) {
    if (agent_ != nullptr) libssh2_agent_free(agent_);
  }

  std::string run() {
    for (auto& identity : identities_.keys) {
      if (auto why = whyNotLibssh2(identity)) {
        if (allowFallback_) throw FallBackToOpenssh(*why, authFailure_);
        authFailure_.tried.push_back(*why + ", so it needs 'ssh: openssh'");
        continue;
      }
      if (identity.inAgent ? tryAgentKey(identity) : tryFile(identity)) return identity.name();
    }
    deny();
  }

 private:
  [[noreturn]] void deny() {
    // If the spoke accepted a key, its other methods are known already.
    if (!session_.ended() && authFailure_.wanted.empty()) authFailure_.methods = methods();
    throw permissionDenied(target_, authFailure_);
  }

  // Returns the methods by which the login can start or continue; empty: the spoke does not list
  // any.
  std::string methods() {
    const char* methods = nullptr;
    session_.runToCompletion(
        [&]() {
          methods = libssh2_userauth_list(session_.get(), target_.user.c_str(),
                                          unsigned(target_.user.size()));
          return methods == nullptr ? libssh2_session_last_errno(session_.get()) : 0;
        },
        waitScope_);
    return methods == nullptr ? "" : escapeForTerminal(methods);
  }

  bool tryAgentKey(const Identity& identity) {
    auto* key = findInAgent(identity.blob);
    if (key == nullptr) {
      authFailure_.tried.push_back(identity.name() + " is no longer in the ssh-agent");
      return false;
    }
    int result = session_.runToCompletion(
        [&]() { return libssh2_agent_userauth(agent_, target_.user.c_str(), key); }, waitScope_);
    return accepted(result, identity);
  }

  struct libssh2_agent_publickey* findInAgent(const std::string& blob) {
    if (agent_ == nullptr) {
      agent_ = openAgent(session_.get(), target_.identityAgent);
      if (agent_ == nullptr || libssh2_agent_list_identities(agent_) != 0) return nullptr;
    }
    struct libssh2_agent_publickey* key = nullptr;
    while (libssh2_agent_get_identity(agent_, &key, key) == 0) {
      if (std::string_view(reinterpret_cast<char*>(key->blob), key->blob_len) == blob) return key;
    }
    return nullptr;
  }

  bool tryFile(const Identity& identity) {
    if (!identity.encrypted) return accepted(offer(identity, nullptr), identity);
    if (auto passphrase = passphraseOf(identity)) {
      KJ_DEFER(wipe(*passphrase));
      return accepted(offer(identity, passphrase->c_str()), identity);
    }
    authFailure_.encrypted.push_back(identity.path);
    authFailure_.tried.push_back(identity.name() + " has a passphrase and is not in an ssh-agent");
    return false;
  }

  std::optional<std::string> passphraseOf(const Identity& identity) {
    auto begun = kj::systemPreciseMonotonicClock().now();
    // Time spent asking a person, also for another spoke, does not count.
    KJ_DEFER(session_.extendDeadline(kj::systemPreciseMonotonicClock().now() - begun));
    return passphrases_.find(identity.path, identity.name(), !target_.batchMode,
                             [&](auto& typed) { return opensPrivateKey(identity.path, typed); });
  }

  int offer(const Identity& identity, const char* passphrase) {
    return session_.runToCompletion(
        [&]() {
          return libssh2_userauth_publickey_fromfile_ex(session_.get(), target_.user.c_str(),
                                                        unsigned(target_.user.size()), nullptr,
                                                        identity.path.c_str(), passphrase);
        },
        waitScope_);
  }

  bool accepted(int result, const Identity& identity) {
    if (result == 0) return true;
    // If the connection ended silently before any refusal, it was not a denial.
    if (session_.dead() && !refused_) session_.requireAlive();
    if (session_.ended()) {
      auto said = session_.lastError();
      authFailure_.offered = true;
      authFailure_.tooMany = saysTooMany(said);
      authFailure_.tried.push_back(absl::StrCat("the spoke closed the connection when ",
                                                identity.name(), " was offered (",
                                                withoutFullStop(escapeForTerminal(said)), ")"));
      deny();
    }
    switch (result) {
      case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
        refused_ = authFailure_.offered = true;
        authFailure_.tried.push_back(identity.name() + " was refused");
        return false;
      case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
        // The spoke accepts this key, so the agent or the file failed to sign.
        if (absl::StrContains(session_.lastError(), "allback")) return notSigned(identity);
        if (absl::StrContains(session_.lastError(), "signature")) return notEnough(identity);
        cannotGoOn(session_, allowFallback_, authFailure_);
      case LIBSSH2_ERROR_FILE:
        authFailure_.tried.push_back(identity.name() +
                                     " cannot be used: " + escapeForTerminal(session_.lastError()));
        if (allowFallback_)
          throw FallBackToOpenssh(authFailure_.tried.back() + " (by libssh2)", authFailure_);
        return false;
      default:
        cannotGoOn(session_, allowFallback_, authFailure_);
    }
  }

  bool notSigned(const Identity& identity) {
    authFailure_.tried.push_back(
        identity.name() + " is accepted by the spoke, but the " +
        (identity.inAgent ? "ssh-agent did not sign with it" : "file could not be used to sign"));
    if (identity.inAgent) authFailure_.notSigned = identity.name();
    return false;
  }

  // The spoke accepted key and signature, but wants another method too, which it lists now (RFC
  // 4252, section 5.1, partial success).
  bool notEnough(const Identity& identity) {
    refused_ = true;
    authFailure_.tried.push_back(identity.name() + " was accepted, but is not enough");
    auto next = methods();
    authFailure_.wanted = next.empty() ? "something else" : next;
    return false;
  }

  SshSession& session_;
  const SshTarget& target_;
  const Identities& identities_;
  Passphrases& passphrases_;
  const bool allowFallback_;
  kj::WaitScope& waitScope_;
  LIBSSH2_AGENT* agent_ = nullptr;
  AuthFailure authFailure_;
  bool refused_ = false;  // the spoke has refused a key
};

}  // namespace

std::string login(SshSession& session, const SshTarget& target, const Identities& identities,
                  Passphrases& passphrases, bool allowFallback, kj::WaitScope& waitScope) {
  return Login(session, target, identities, passphrases, allowFallback, waitScope).run();
}

void cannotGoOn(SshSession& session, bool allowFallback, const AuthFailure& authFailure) {
  auto said = withoutFullStop(escapeForTerminal(session.lastError()));
  auto what = absl::StrCat("libssh2 ", libssh2_version(0), " does not understand the server");
  if (allowFallback) throw FallBackToOpenssh(absl::StrCat(what, ": ", said), authFailure);
  throw Failure(FailureId::NO_COMMON_ALGORITHM, what, absl::StrCat("libssh2 said: ", said, "."),
                {{"Use OpenSSH's client: set 'ssh: auto' for this spoke in the config", ""}});
}

}  // namespace pibrain
