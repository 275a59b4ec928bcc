#pragma once
// The hub's dedicated key for syncing.

#include <string>

#include "hub/config/config.h"

namespace pibrain {

struct SyncKey {
  std::string path;        // of the private half
  std::string publicText;  // "ssh-ed25519 AAAA… comment"
  bool made = false;       // created just now

  std::string blob() const;         // the second word of publicText
  std::string fingerprint() const;  // "SHA256:…"
};

// Returns the key in this file, or creates an ed25519 key without a passphrase (0600). Throws
// Failure, also for a key that cannot be used unattended, or that other users can read.
SyncKey ensureSyncKey(const std::string& path);

// Returns the key in this file. Throws Failure.
SyncKey readSyncKey(const std::string& path);

// Returns the path of the key for a spoke: 'key' in its config, or the first existing identity file
// of its ssh configuration. Empty if there is none, or the spoke is local.
std::string syncKeyPath(const SpokeConfig& spoke);

}  // namespace pibrain
