#pragma once
// Decides whether to trust a host's key, according to the user's ssh configuration.

#include <functional>
#include <string>
#include <string_view>

#include "hub/ssh/known-hosts.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Returns the target's name in known_hosts: its HostKeyAlias, or host and port.
std::string knownHostsNameOf(const SshTarget& target);

// What the known_hosts files say about the target. As with ssh, entries for the host's standard
// port (`standardPort`) count for other ports too if the key is the same and the port has no
// entries.
struct KnownTarget {
  KnownHost own;
  KnownHost standardPort;

  bool hasCertAuthority() const { return own.hasCertAuthority || standardPort.hasCertAuthority; }
  // Returns the first file or line that cannot be read, which may have the key or another one;
  // empty: none.
  std::string unread() const;
};
KnownTarget knownTargetOf(const SshTarget& target);

// Returns the algorithms of the known keys. Of a host with several keys, only these are requested:
// a key of another type would be unknown, and an impostor can offer that too.
std::vector<std::string> knownAlgorithms(const KnownHost& known);

// Returns the algorithms to request: target.hostKeyAlgorithms, sorted so that those of known keys
// come first, or certificates if known_hosts has an authority for them. Without that list (no ssh
// client), only the algorithms of known keys.
std::vector<std::string> orderedHostKeyAlgorithms(const SshTarget& target,
                                                  const KnownTarget& known);

// Returns whether an unknown key counts as new, so that StrictHostKeyChecking can accept it: the
// host has no key, all files could be read, there is a file for new keys, and no key is revoked
// only under the standard port's name, since ssh would take such a key for a new one.
bool newKeysMayCount(const SshTarget& target, const KnownTarget& known);

HostKeyVerdict hostKeyVerdict(const KnownTarget& known, std::string_view blob);

// Throws Failure unless the key `blob` is known and not revoked, or new and acceptable
// (StrictHostKeyChecking accept-new, newKeysMayCount()); then adds it to the user's first file.
// Must be called before anything is sent to the host. `warn` receives added keys.
void verifyHostKey(const SshTarget& target, const KnownTarget& known, std::string_view blob,
                   const std::function<void(std::string)>& warn);

// Returns the key from ssh's line "… key: TYPE FINGERPRINT", written with LogLevel DEBUG1.
ShownKey keyShownTo(const std::string& errors);

// Returns the same warning if ssh reported a new key in `errors`; empty: it did not. `known`: what
// was known before ssh was started.
std::string newKeyBySsh(const SshTarget& target, const KnownTarget& known,
                        const std::string& errors);

// Returns whether RevokedHostKeys is a key revocation list, which only OpenSSH can read.
bool isRevocationList(const std::string& path);

}  // namespace pibrain
