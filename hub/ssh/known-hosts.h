#pragma once
// Reads OpenSSH's known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain, wildcard,
// negated and hashed hosts, [host]:port, @revoked. @cert-authority lines are for certificates,
// which libssh2 cannot verify, so they do not make a host known.

#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

struct KnownKey {
  std::string type;  // "ssh-ed25519", …
  std::string blob;  // as on the wire (RFC 4253, section 6.6)
  bool revoked = false;
  std::string file;
  int line = 0;
};

// What known_hosts says about a host.
struct KnownHost {
  std::vector<KnownKey> keys;
  bool hasCertAuthority = false;
  std::vector<std::string> warnings;  // about invalid lines, which are skipped
  // "FILE cannot be read: WHY", or "FILE:LINE …" for an invalid line that names the host: what they
  // say about the host is unknown.
  std::vector<std::string> unread;
};

enum class HostKeyVerdict { KNOWN, UNKNOWN, CHANGED, REVOKED };

// Returns a host's name in known_hosts: "host", or "[host]:port" if the port is not 22.
std::string knownHostName(const std::string& host, uint16_t port);

// Adds what `text`, the content of `file`, says about `name` to `host`.
void readKnownHosts(std::string_view text, const std::string& file, const std::string& name,
                    KnownHost& host);

// Reads the files, and skips those that do not exist.
KnownHost loadKnownHosts(const std::vector<std::string>& files, const std::string& name);

// Returns a line, with its newline, that makes the key known for the name. `hashed`: the name is
// hidden (ssh_config(5), HashKnownHosts).
std::string knownHostsLine(const std::string& name, std::string_view blob, bool hashed);

HostKeyVerdict hostKeyVerdict(const KnownHost& host, std::string_view blob);

// Returns "SHA256:…", as ssh prints it.
std::string fingerprint(std::string_view blob);

// Returns the key's type from its blob; "" if it is truncated.
std::string keyType(std::string_view blob);

// The key that a host shows, as far as it is known.
struct ShownKey {
  std::string fingerprint;  // "SHA256:…"; empty: unknown
  std::string type;         // "ssh-ed25519", safe to print; empty: unknown

  // Returns "SHA256:… (ssh-ed25519)", or `unknown`.
  std::string text(const std::string& unknown = "") const;
};

}  // namespace pibrain
