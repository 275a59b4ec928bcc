// known_hosts files: what they say of a host, and whether a line that we add is understood.
//
// Input: a line with a host's name, then the file.

#include "hub/ssh/known-hosts.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

namespace {

const std::string BLOB("\0\0\0\x0bssh-ed25519\0\0\0\x04key!", 23);

bool isName(const std::string& name) {
  return !name.empty() &&
         name.find_first_of(std::string(" \t\r\n*?!,|#@\0", 12)) == std::string::npos;
}

}  // namespace

void run(Input input) {
  auto all = input.rest();
  auto end = std::min(all.find('\n'), all.size());
  auto name = knownHostName(std::string(all.substr(0, end)), all.size() % 2 == 0 ? 22 : 2222);
  auto text = std::string(all.substr(std::min(end + 1, all.size())));

  KnownHost host;
  readKnownHosts(text, "file", name, host);
  for (auto& key : host.keys) {
    require(!key.type.empty() && keyType(key.blob) == key.type, "a key has its type");
    auto verdict = hostKeyVerdict(host, key.blob);
    require(key.revoked ? verdict == HostKeyVerdict::REVOKED
                        : verdict == HostKeyVerdict::KNOWN || verdict == HostKeyVerdict::REVOKED,
            "a key is known, unless it is revoked");
    fingerprint(key.blob);
  }
  if (!isName(name)) return;
  // An added line makes the key known, whatever precedes it, but a revoked key stays revoked.
  auto before = hostKeyVerdict(host, BLOB);
  for (bool hashed : {false, true}) {
    KnownHost after;
    readKnownHosts(text + "\n" + knownHostsLine(name, BLOB, hashed), "file", name, after);
    require(
        hostKeyVerdict(after, BLOB) ==
            (before == HostKeyVerdict::REVOKED ? HostKeyVerdict::REVOKED : HostKeyVerdict::KNOWN),
        "a key that was added is known");
  }
}

}  // namespace pibrain::fuzz
