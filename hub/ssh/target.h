#pragma once
// The target of an SSH connection, and how to reach it.

#include <stdint.h>

#include <map>
#include <string>
#include <vector>

#include "hub/config/config.h"

namespace pibrain {

// The fields are named as in ssh_config(5).
struct SshTarget {
  std::string alias;  // as in the config of pi-brain
  std::string host;   // HostName
  std::string user;
  uint16_t port = 22;
  bool portGiven = false;  // the port comes from pi-brain's config, not from ssh's
  std::string configFile;  // for `ssh -F`; empty: ssh's own
  std::string key;         // the only identity; empty: those of the ssh configuration
  std::string setUp;       // as in the request

  int addressFamily = 0;                // AF_UNSPEC, AF_INET or AF_INET6
  std::string bindAddress;              // empty: any
  std::string proxyCommand, proxyJump;  // tokens not expanded; empty: none
  uint32_t connectTimeout = 15;         // seconds
  uint32_t serverAliveInterval = 0;     // seconds; 0: off
  uint32_t serverAliveCountMax = 3;
  bool watches = false;  // ConnectOptions::watches

  std::string hostKeyAlias;                      // empty: none
  std::vector<std::string> userKnownHostsFiles;  // new keys are added to the first
  std::vector<std::string> globalKnownHostsFiles;
  std::string revokedHostKeys;  // a file; empty: none
  bool acceptNewHostKeys = false;
  bool hashKnownHosts = false;

  std::vector<std::string> identityFiles;     // expanded; some may not exist
  std::vector<std::string> certificateFiles;  // expanded; those that exist
  bool identitiesOnly = false;
  std::string identityAgent;  // the agent's socket; empty: no agent
  bool batchMode = false;

  // What may be negotiated, the best first. Empty: the library's defaults.
  std::vector<std::string> hostKeyAlgorithms, kexAlgorithms, ciphers, macs, pubkeyAlgorithms;

  // A list of known_hosts files, as "NAME LIST", in which `ssh -G` does not show where names end;
  // empty: none.
  std::string unclearFiles;

  int jumps = 0;  // how many hops come after this one

  // All settings as `ssh -G` printed them: names in lower case, in order.
  std::multimap<std::string, std::string> settings;
  // Returns the first value of a setting, which counts; empty if it is missing or "none".
  std::string setting(const std::string& name) const;

  bool hasSessionType = false;  // ssh knows this setting: OpenSSH 8.7 or later
  // Settings that only OpenSSH's client supports, each as "NAME VALUE".
  std::vector<std::string> onlyOpenssh;
};

// A host and how to reach it. All but the host may be empty or 0: ssh's default.
struct SshRequest {
  std::string host;  // or an alias
  std::string user;
  std::string configFile;  // for `ssh -F`
  std::string key;         // an identity file to use instead of the configuration's
  uint16_t port = 0;
  // The arguments of pi-brain with which a person adds the key to the spoke, "spoke add laptop
  // me@laptop"; empty: there are none.
  std::string setUp;
};

// Returns the request for a spoke whose source has a host.
SshRequest sshRequestOf(const SpokeConfig& spoke);

}  // namespace pibrain
