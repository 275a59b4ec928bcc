#pragma once
// Whom to reach by SSH, and how.

#include <stdint.h>

#include <map>
#include <string>
#include <vector>

#include "hub/config/config.h"

namespace pibrain {

// Names are ssh_config(5)'s.
struct SshTarget {
  std::string alias;  // as written in the config of pi-brain
  std::string host;   // HostName
  std::string user;
  uint16_t port = 22;
  std::string configFile;  // for `ssh -F`; empty: ssh's own
  std::string key;         // the only identity, whatever the configuration says; empty: as it says
  std::string setUp;       // as in the request

  int addressFamily = 0;                // AF_UNSPEC, AF_INET or AF_INET6
  std::string bindAddress;              // empty: any
  std::string proxyCommand, proxyJump;  // as written, tokens not expanded; empty: none
  uint32_t connectTimeout = 15;         // seconds
  uint32_t serverAliveInterval = 0;     // seconds; 0: off
  uint32_t serverAliveCountMax = 3;

  std::string hostKeyAlias;                      // empty: none
  std::vector<std::string> userKnownHostsFiles;  // new keys go to the first
  std::vector<std::string> globalKnownHostsFiles;
  std::string revokedHostKeys;  // a file; empty: none
  bool acceptNewHostKeys = false;
  bool hashKnownHosts = false;

  std::vector<std::string> identityFiles;     // expanded; some may not exist
  std::vector<std::string> certificateFiles;  // expanded; those that exist
  bool identitiesOnly = false;
  std::string identityAgent;  // the agent's socket; empty: no agent
  bool batchMode = false;

  // What may be negotiated, best first. Empty: whatever the library has.
  std::vector<std::string> hostKeyAlgorithms, kexAlgorithms, ciphers, macs, pubkeyAlgorithms;

  // A list of known_hosts files, as "NAME LIST", of which `ssh -G` does not tell where one name
  // ends and the next begins; empty: none.
  std::string unclearFiles;

  int jumps = 0;  // over how many hops this one is a hop itself

  // All of it, as `ssh -G` printed it: names in lower case, in their order.
  std::multimap<std::string, std::string> settings;
  // The value of a setting that counts (the first), as printed; empty if there is none, or "none".
  std::string setting(const std::string& name) const;

  bool hasSessionType = false;  // ssh knows this setting: it is OpenSSH 8.7 or later
  // Settings that only OpenSSH's own client can obey, each as "NAME VALUE".
  std::vector<std::string> onlyOpenssh;
};

// Whom to reach, and as whom. All but the host may be empty: as ssh has it.
struct SshRequest {
  std::string host;  // or an alias
  std::string user;
  std::string configFile;  // for `ssh -F`
  std::string key;  // an identity file, to be used in place of all that the configuration names
  // The arguments of pi-brain with which a person has the key let in, "spoke add laptop me@laptop";
  // empty: there are none.
  std::string setUp;
};

// How to reach a spoke whose source has a host.
SshRequest sshRequestOf(const SpokeConfig& spoke);

}  // namespace pibrain
