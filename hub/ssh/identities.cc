#include "hub/ssh/identities.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <libssh2.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/ssh/agent-io.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/known-hosts.h"

namespace pibrain {

namespace {

// libssh2 signs with RSA and SHA-2 since 1.11; before, with SHA-1, which servers refuse.
constexpr bool SIGNS_RSA = LIBSSH2_VERSION_NUM >= 0x010b00;

Identity fromFile(const KeyFile& file) {
  Identity identity;
  identity.path = file.path;
  identity.blob = file.publicBlob;
  identity.type = file.type;
  identity.encrypted = file.encrypted;
  if (file.cipher.ends_with("@openssh.com")) identity.cipher = file.cipher;
  identity.hasCertificate = file.hasCertificate;
  return identity;
}

Identity fromAgent(const AgentKey& key, const KeyFile* file) {
  Identity identity;
  identity.inAgent = true;
  identity.comment = key.comment;
  identity.blob = key.blob;
  identity.type = keyType(key.blob);
  if (file != nullptr) {
    identity.path = file->path;
    identity.hasCertificate = file->hasCertificate;
  }
  return identity;
}

bool isAccepted(const SshTarget& target, const std::string& type) {
  auto& accepted = target.pubkeyAlgorithms;
  auto has = [&](const std::string& name) {
    return std::any_of(accepted.begin(), accepted.end(), [&](auto& algorithm) {
      return algorithm == name || (name == "ssh-rsa" && algorithm.starts_with("rsa-sha2-"));
    });
  };
  if (accepted.empty()) return true;
  if (!type.empty()) return has(type);
  // For an unknown type, all possible types must be allowed.
  return has("ssh-ed25519") && has("ssh-rsa") && has("ecdsa-sha2-nistp256") &&
         has("ecdsa-sha2-nistp384") && has("ecdsa-sha2-nistp521");
}

}  // namespace

std::string Identity::name() const {
  return path.empty() ? absl::StrCat("the agent's key '", escapeForTerminal(comment), "'")
                      : escapeForTerminal(path);
}

Identities collectIdentities(const SshTarget& target) {
  Identities result;
  std::vector<AgentKey> agentKeys;
  if (!target.identityAgent.empty() && !listAgentKeys(target.identityAgent, agentKeys)) {
    result.problems.push_back(absl::StrCat(
        "the ssh-agent at ", escapeForTerminal(target.identityAgent), " does not answer"));
  }
  std::vector<KeyFile> files;
  for (auto& path : target.identityFiles) files.push_back(inspectKeyFile(path));

  auto add = [&](Identity identity) {
    if (isAccepted(target, identity.type)) {
      result.keys.push_back(std::move(identity));
    } else {
      result.unusedType = escapeForTerminal(identity.type);
      result.problems.push_back(absl::StrCat(
          identity.name(), " is ",
          identity.type.empty() ? "of unknown type"
                                : "of the type " + escapeForTerminal(identity.type),
          ", which PubkeyAcceptedAlgorithms in the ssh configuration of this machine excludes"));
    }
  };
  auto fileOf = [&](const AgentKey& key) {
    return std::find_if(files.begin(), files.end(),
                        [&](auto& file) { return file.publicBlob == key.blob; });
  };
  auto inAgent = [&](const KeyFile& file) {
    return std::find_if(agentKeys.begin(), agentKeys.end(),
                        [&](auto& key) { return key.blob == file.publicBlob; });
  };
  // In the agent's order, like OpenSSH's pubkey_prepare().
  for (auto& key : agentKeys) {
    if (auto file = fileOf(key); file != files.end()) add(fromAgent(key, &*file));
  }
  for (auto& key : agentKeys) {
    if (!target.identitiesOnly && fileOf(key) == files.end()) add(fromAgent(key, nullptr));
  }
  size_t missing = 0;
  for (auto& file : files) {
    // Most of the default names do not exist, so missing files are reported only if the config
    // names them.
    bool named = !target.key.empty();
    if ((!file.exists && !named) || inAgent(file) != agentKeys.end()) continue;
    if (auto problem = whyNoPrivateKey(file)) {
      result.problems.push_back(absl::StrCat(escapeForTerminal(file.path),
                                             named ? ", the spoke's 'key' in the config, " : " ",
                                             problem->why));
      result.fixes.push_back(problem->fix);
      result.unusable.push_back(escapeForTerminal(file.path));
      missing += problem->id == FailureId::KEY_MISSING ? 1 : 0;
    } else {
      add(fromFile(file));
    }
  }
  result.onlyMissing = missing > 0 && missing == result.problems.size();
  return result;
}

std::optional<std::string> whyNotLibssh2(const Identity& identity) {
  if (identity.hasCertificate || absl::StrContains(identity.type, "-cert-v0")) {
    return identity.name() + " has a certificate";
  }
  if (identity.type.starts_with("sk-")) return identity.name() + " is on a security key";
  if (identity.type == "ssh-rsa" && !SIGNS_RSA) {
    return absl::StrCat(identity.name(), " is an RSA key, for which libssh2 ", LIBSSH2_VERSION,
                        " cannot make SHA-2 signatures");
  }
  if (!identity.cipher.empty()) {
    return absl::StrCat(identity.name(), " is encrypted with ", escapeForTerminal(identity.cipher),
                        ", which libssh2 cannot read");
  }
  return std::nullopt;
}

AuthFailure untriedKeys(const Identities& identities) {
  AuthFailure authFailure;
  authFailure.tried = identities.problems;
  authFailure.keyFixes = identities.fixes;
  authFailure.unusable = identities.unusable;
  authFailure.onlyMissing = identities.onlyMissing;
  authFailure.unused = identities.unusedType;
  return authFailure;
}

AuthFailure authFailureBefore(const Identities& identities) {
  auto authFailure = untriedKeys(identities);
  for (auto& identity : identities.keys) {
    if (!identity.encrypted) continue;
    authFailure.encrypted.push_back(identity.path);
    authFailure.tried.push_back(identity.name() + " has a passphrase and is not in an ssh-agent");
  }
  return authFailure;
}

}  // namespace pibrain
