#pragma once
// What the user's ssh configuration says about a host, as `ssh -G` prints it.

#include <absl/status/statusor.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace pibrain {

struct SshTarget {
  std::string alias;  // as written in the config of pi-brain
  std::string host;   // to connect to
  std::string user;
  uint16_t port = 22;
  std::string hostKeyAlias;                // empty: none
  std::vector<std::string> identityFiles;  // expanded; some may not exist
  bool identitiesOnly = false;
  std::string identityAgent;                 // the agent's socket; empty: no agent
  std::vector<std::string> knownHostsFiles;  // the user's, then the system's
  uint32_t connectTimeout = 15;              // seconds
};

// Asks `ssh` on PATH, with `-F configFile` unless that is empty, about `host` as `user` (empty: as
// configured). Without an ssh client, its documented defaults. An error says which setting this
// program cannot obey.
absl::StatusOr<SshTarget> resolveSsh(const std::string& user, const std::string& host,
                                     const std::string& configFile);

// The same, from the text that `ssh -G` printed.
absl::StatusOr<SshTarget> parseSshConfig(const std::string& text, const std::string& alias);

}  // namespace pibrain
