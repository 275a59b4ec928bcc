#pragma once
// The keys to log in with, in the order in which OpenSSH tries them.

#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

struct Identity {
  bool inAgent = false;
  std::string path;        // the identity file; empty for a key that only the agent has
  std::string comment;     // in the agent
  std::string blob;        // the public key; empty: unknown
  std::string type;        // "ssh-ed25519", …; empty: unknown
  bool encrypted = false;  // and so of no use without its passphrase
  std::string cipher;      // of an encrypted file, if libssh2 does not have it (GCM, ChaCha20)
  bool hasCertificate = false;

  // For messages: the file's name or the agent's comment, safe to print.
  std::string name() const;
};

struct Identities {
  std::vector<Identity> keys;
  std::string unusedType;  // of a key that the ssh configuration of this machine leaves out
  std::vector<std::string> problems;  // an agent that does not answer, files that cannot be read
  std::vector<Fix> fixes;             // of these
};

// The agent's keys that IdentityFile names, the agent's others unless IdentitiesOnly, then the
// files that are not in the agent. Keys of types outside PubkeyAcceptedAlgorithms are left out.
Identities collectIdentities(const SshTarget& target);

// Why libssh2 cannot log in with this key; empty if it can.
std::string whyNotLibssh2(const Identity& identity);

// What is known of the keys before any was tried.
AuthFailure authFailureBefore(const Identities& identities);

}  // namespace pibrain
