#pragma once
// The dedicated key of the hub.

#include <string>

#include "hub/config/config.h"

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

// Where the key is that a spoke is reached with: as its config says, or the first identity file of
// its ssh configuration that exists. Empty if there is none, or no ssh for this spoke.
std::string syncKeyPath(const SpokeConfig& spoke);

}  // namespace pibrain
