#pragma once

#include <optional>
#include <string>

#include "hub/base/failure.h"

namespace pibrain {

// Why nobody can log in with a file.
struct KeyProblem {
  std::string why;  // to follow the file's name
  Fix fix;
  FailureId id = FailureId::KEY_UNUSABLE;
};

// What is known of an identity file without its passphrase.
struct KeyFile {
  std::string path;
  bool exists = false;
  bool readable = false;
  bool isPrivate = false;  // not only a public key
  bool exposed = false;    // other users can read it, so ssh ignores it
  // Why OpenSSH cannot read it; null: it can. libssh2 accepts some of these, but they would fail as
  // soon as OpenSSH connects.
  std::optional<KeyProblem> unusable;
  bool encrypted = false;
  std::string cipher;           // "aes256-ctr", …; empty: not encrypted, or unknown
  std::string publicBlob;       // from FILE.pub or the file's own header; empty: unknown
  std::string type;             // "ssh-ed25519", …; empty: unknown
  bool hasCertificate = false;  // FILE-cert.pub, which ssh offers with the key
};

// Reads OpenSSH's format (openssh/PROTOCOL.key) and PEM.
KeyFile inspectKeyFile(const std::string& path);

// Returns why this file alone is not enough to log in; null: it is enough, perhaps with its
// passphrase.
std::optional<KeyProblem> whyNoPrivateKey(const KeyFile& file);

// Returns whether the file is a certificate of this public key (openssh/PROTOCOL.certkeys).
bool isCertificateOf(const std::string& path, const std::string& publicBlob);

// Returns the blob in the text of a .pub file; empty: none.
std::string publicKeyBlob(const std::string& text);

}  // namespace pibrain
