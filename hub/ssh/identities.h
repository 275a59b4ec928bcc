#pragma once
// Finds the keys to log in with, in OpenSSH's order.

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

struct Identity {
  bool inAgent = false;
  std::string path;        // the identity file; empty: only in the agent
  std::string comment;     // in the agent
  std::string blob;        // the public key; empty: unknown
  std::string type;        // "ssh-ed25519", …; empty: unknown
  bool encrypted = false;  // unusable without its passphrase
  std::string cipher;      // of an encrypted file, if libssh2 does not support it (GCM, ChaCha20)
  bool hasCertificate = false;

  // Returns the file's name or the agent's comment for messages, safe to print.
  std::string name() const;
};

struct Identities {
  std::vector<Identity> keys;
  std::string unusedType;             // the type of a key that the ssh configuration excludes
  std::vector<std::string> problems;  // an agent that does not answer, unreadable files
  std::vector<Fix> fixes;             // for these
  std::vector<std::string> unusable;  // names of files that cannot be used, safe to print
  bool onlyMissing = false;           // all problems are files that do not exist
};

// Returns the agent's keys that IdentityFile names, then the agent's others unless IdentitiesOnly,
// then files that are not in the agent; without keys of types outside PubkeyAcceptedAlgorithms.
Identities collectIdentities(const SshTarget& target);

// Returns why libssh2 cannot log in with this key; nullopt: it can.
std::optional<std::string> whyNotLibssh2(const Identity& identity);

// Returns what is known of keys that cannot be tried.
AuthFailure untriedKeys(const Identities& identities);

// Returns what is known of the keys before any is tried: also which have a passphrase.
AuthFailure authFailureBefore(const Identities& identities);

}  // namespace pibrain
