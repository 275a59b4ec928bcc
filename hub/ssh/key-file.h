#pragma once

#include <optional>
#include <string>

#include "hub/base/failure.h"

namespace pibrain {

// What keeps a file from being a key to log in with.
struct KeyProblem {
  std::string why;  // to be put behind its name
  Fix fix;
};

// What can be told of an identity file without its passphrase.
struct KeyFile {
  std::string path;
  bool exists = false;
  bool readable = false;
  bool isPrivate = false;  // not just a public key
  bool exposed = false;    // others may read it: ssh does not use such a key
  // Why OpenSSH does not read it; null: it does. libssh2 would take some of these, for as long as
  // nothing makes OpenSSH connect.
  std::optional<KeyProblem> unusable;
  bool encrypted = false;
  std::string cipher;           // "aes256-ctr", …; empty: not encrypted, or unknown
  std::string publicBlob;       // from FILE.pub or the file's own header; empty: unknown
  std::string type;             // "ssh-ed25519", …; empty: unknown
  bool hasCertificate = false;  // FILE-cert.pub, which ssh offers with the key
};

// Understands OpenSSH's format (openssh/PROTOCOL.key) and PEM.
KeyFile inspectKeyFile(const std::string& path);

// Why nobody can log in with this file alone; null: one can, with its passphrase if it has one.
std::optional<KeyProblem> whyNoPrivateKey(const KeyFile& file);

// Whether the file is a certificate of this public key (openssh/PROTOCOL.certkeys).
bool isCertificateOf(const std::string& path, const std::string& publicBlob);

// The blob in the text of a .pub file; empty if there is none.
std::string publicKeyBlob(const std::string& text);

}  // namespace pibrain
