#include "hub/ssh/login.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <kj/debug.h>
#include <libssh2.h>
#include <string.h>

#include <algorithm>
#include <vector>

#include "common/text.h"
#include "hub/failure.h"
#include "hub/ssh/key-file.h"

namespace pibrain {

namespace {

struct AgentKey {
  struct libssh2_agent_publickey* handle;
  std::string blob;
  std::string comment;
};

// One attempt to log in: collects what was tried, for the message if nothing worked.
class Login {
 public:
  Login(SshSession& session, const SshTarget& target, kj::WaitScope& waitScope)
      : session_(session), target_(target), waitScope_(waitScope) {
    for (auto& path : target.identityFiles) files_.push_back(inspectKeyFile(path));
  }

  ~Login() noexcept(false) {
    if (agent_ != nullptr) libssh2_agent_free(agent_);
  }

  void run() {
    openAgent();
    for (auto& key : orderedAgentKeys()) {
      if (tryAgentKey(key)) return;
    }
    for (auto& file : files_) {
      if (tryFile(file)) return;
    }
    explain();
  }

 private:
  void openAgent() {
    if (target_.identityAgent.empty()) return;
    agent_ = libssh2_agent_init(session_.get());
    KJ_REQUIRE(agent_ != nullptr, "out of memory");
    libssh2_agent_set_identity_path(agent_, target_.identityAgent.c_str());
    if (libssh2_agent_connect(agent_) != 0 || libssh2_agent_list_identities(agent_) != 0) {
      tried_.push_back(absl::StrCat("the ssh-agent at ", escapeForTerminal(target_.identityAgent),
                                    " does not answer"));
      return;
    }
    struct libssh2_agent_publickey* key = nullptr;
    while (libssh2_agent_get_identity(agent_, &key, key) == 0) {
      agentKeys_.push_back({key, std::string(reinterpret_cast<char*>(key->blob), key->blob_len),
                            key->comment == nullptr ? "" : key->comment});
    }
  }

  std::vector<AgentKey> orderedAgentKeys() const {
    std::vector<AgentKey> ordered;
    for (auto& file : files_) {
      for (auto& key : agentKeys_) {
        if (key.blob == file.publicBlob) ordered.push_back(key);
      }
    }
    for (auto& key : agentKeys_) {
      if (!target_.identitiesOnly && !isConfigured(key.blob)) ordered.push_back(key);
    }
    return ordered;
  }

  bool isConfigured(const std::string& blob) const {
    return std::any_of(files_.begin(), files_.end(),
                       [&](auto& file) { return file.publicBlob == blob; });
  }

  bool tryAgentKey(const AgentKey& key) {
    int result = session_.complete(
        [&]() { return libssh2_agent_userauth(agent_, target_.user.c_str(), key.handle); },
        waitScope_);
    return accepted(result, absl::StrCat("the agent's key '", escapeForTerminal(key.comment), "'"));
  }

  bool tryFile(const KeyFile& file) {
    if (!file.exists) return false;
    auto name = escapeForTerminal(file.path);
    bool inAgent = std::any_of(agentKeys_.begin(), agentKeys_.end(),
                               [&](auto& key) { return key.blob == file.publicBlob; });
    if (inAgent) return false;  // tried above
    if (!file.readable) {
      tried_.push_back(name + " cannot be read");
      return false;
    }
    if (file.encrypted) {
      encrypted_.push_back(file.path);
      tried_.push_back(name + " is protected by a passphrase and not in an ssh-agent");
      return false;
    }
    int result = session_.complete(
        [&]() {
          return libssh2_userauth_publickey_fromfile_ex(session_.get(), target_.user.c_str(),
                                                        unsigned(target_.user.size()), nullptr,
                                                        file.path.c_str(), nullptr);
        },
        waitScope_);
    return accepted(result, name);
  }

  bool accepted(int result, const std::string& key) {
    if (result == 0) return true;
    if (result == LIBSSH2_ERROR_SOCKET_DISCONNECT || result == LIBSSH2_ERROR_SOCKET_RECV ||
        result == LIBSSH2_ERROR_SOCKET_SEND) {
      tried_.push_back(key + " was refused, and then the spoke closed the connection");
      explain();
    }
    bool refused = result == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
                   result == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
    tried_.push_back(key + (refused ? " was refused" : " cannot be used: " + session_.lastError()));
    return false;
  }

  [[noreturn]] void explain() const {
    auto who = absl::StrCat(target_.user, "@", target_.alias);
    std::string message = absl::StrCat(
        "permission denied for ", escapeForTerminal(who), ". ",
        tried_.empty() ? "There is no key to offer: none of the identity files exists, "
                         "and there is no ssh-agent"
                       : "Tried: " + absl::StrJoin(tried_, "; "),
        ". ");
    if (!encrypted_.empty()) {
      absl::StrAppend(&message,
                      "A run without a person at it needs a key without a passphrase, or "
                      "one that 'ssh-add ",
                      escapeForTerminal(shellQuote(encrypted_[0])), "' put in an agent. ");
    }
    absl::StrAppend(
        &message,
        "On the spoke, ~/.ssh/authorized_keys needs the line that 'pi-brain-agent "
        "--authorized-keys-line KEY.pub' prints, and neither ~ nor ~/.ssh may be writable by "
        "others; on the hub, IdentityFile in ~/.ssh/config names the key.");
    throw Failure(message);
  }

  SshSession& session_;
  const SshTarget& target_;
  kj::WaitScope& waitScope_;
  LIBSSH2_AGENT* agent_ = nullptr;
  std::vector<AgentKey> agentKeys_;
  std::vector<KeyFile> files_;
  std::vector<std::string> tried_;
  std::vector<std::string> encrypted_;
};

}  // namespace

void login(SshSession& session, const SshTarget& target, kj::WaitScope& waitScope) {
  Login(session, target, waitScope).run();
}

}  // namespace pibrain
