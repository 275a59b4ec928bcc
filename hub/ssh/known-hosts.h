#pragma once
// OpenSSH's known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain, wildcard, negated
// and hashed hosts, [host]:port, @revoked. @cert-authority lines vouch for certificates, which
// libssh2 cannot verify, so they do not make a host known.

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
  std::vector<std::string> warnings;  // broken lines: skipped
  // "FILE cannot be read: WHY", "FILE:LINE …" if it is a line that names the host: what it says of
  // the host is not known.
  std::vector<std::string> unread;
};

enum class HostKeyVerdict { KNOWN, UNKNOWN, CHANGED, REVOKED };

// The name under which known_hosts lists a host: "host", or "[host]:port" if the port is not 22.
std::string knownHostName(const std::string& host, uint16_t port);

// Reads what `text`, the content of `file`, says about `name`, and adds it to `host`.
void readKnownHosts(std::string_view text, const std::string& file, const std::string& name,
                    KnownHost& host);

// Reads the files, those that do not exist passed over.
KnownHost loadKnownHosts(const std::vector<std::string>& files, const std::string& name);

// A line, with its newline, that makes the key known for the name; with `hashed`, which host it is
// for can only be guessed (ssh_config(5), HashKnownHosts).
std::string knownHostsLine(const std::string& name, std::string_view blob, bool hashed);

HostKeyVerdict hostKeyVerdict(const KnownHost& host, std::string_view blob);

// "SHA256:…", as ssh prints it.
std::string fingerprint(std::string_view blob);

// The key's type, read from its blob; "" if it is cut short.
std::string keyType(std::string_view blob);

}  // namespace pibrain
