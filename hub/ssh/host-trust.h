#pragma once
// Whether the key that a host shows is to be trusted, as the user's ssh configuration has it.

#include <functional>
#include <string>
#include <string_view>

#include "hub/ssh/known-hosts.h"
#include "hub/ssh/target.h"

namespace pibrain {

// The name under which known_hosts lists the target: its HostKeyAlias, or host and port.
std::string knownHostsNameOf(const SshTarget& target);

// What the target's known_hosts files say of it. As ssh does, an entry for the host's standard port
// serves for its others too, if it is the same key, and if there is none for the port itself: such
// entries are in `standardPort`.
struct KnownTarget {
  KnownHost own;
  KnownHost standardPort;

  bool hasCertAuthority() const { return own.hasCertAuthority || standardPort.hasCertAuthority; }
  // What cannot be read may have the key, or another one: the first of these; empty: there is none.
  std::string unread() const;
};
KnownTarget knownTargetOf(const SshTarget& target);

// The algorithms by which the host can show a key that is known: of a host with several keys, none
// but these count, since one of another type would be unknown, which an impostor can offer too.
std::vector<std::string> knownAlgorithms(const KnownHost& known);

// What to ask the host for: target.hostKeyAlgorithms, those first by which it can show a key that
// is known, or a certificate if known_hosts vouches for some. If there is no such list (no ssh
// client), those of known keys alone.
std::vector<std::string> orderedHostKeyAlgorithms(const SshTarget& target,
                                                  const KnownTarget& known);

// Whether a key that is not known may be taken for a new one, if StrictHostKeyChecking says so: the
// host has none, all files were read, there is one to add it to, and no key is revoked under the
// standard port's name alone, since ssh takes such a key for a new one.
bool newKeysMayCount(const SshTarget& target, const KnownTarget& known);

HostKeyVerdict hostKeyVerdict(const KnownTarget& known, std::string_view blob);

// Throws Failure unless the key `blob` is known, not revoked, and the only one known; or unknown,
// and to be accepted (StrictHostKeyChecking accept-new, newKeysMayCount()), which adds it to the
// user's first file.
// To be called before anything is told to the host. `warn` hears of keys added.
void verifyHostKey(const SshTarget& target, const KnownTarget& known, std::string_view blob,
                   const std::function<void(std::string)>& warn);

// The same warning, if `errors`, which ssh wrote, has it; empty: it has not. `known`: what was
// known before ssh was started.
std::string newKeyBySsh(const SshTarget& target, const KnownTarget& known,
                        const std::string& errors);

// Whether RevokedHostKeys is a key revocation list, which only OpenSSH reads.
bool isRevocationList(const std::string& path);

}  // namespace pibrain
