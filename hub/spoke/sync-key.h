#pragma once
// The dedicated key of the hub.

#include <string>

namespace pibrain {

struct SyncKey {
  std::string path;        // of the private half
  std::string publicText;  // "ssh-ed25519 AAAA… comment"
  bool made = false;       // just now

  std::string blob() const;         // the second word of it
  std::string fingerprint() const;  // "SHA256:…"
};

// The key in this file, or a new ed25519 key there, without a passphrase, 0600. Throws Failure: for
// a key that nobody can use unattended, or that others may read.
SyncKey ensureSyncKey(const std::string& path);

// The key in this file. Throws Failure.
SyncKey readSyncKey(const std::string& path);

}  // namespace pibrain
