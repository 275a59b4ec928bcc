#pragma once
// Parses where a spoke's sessions are: 'source' in the config, and the logins and directories in
// command lines. Spellings of other tools (a URL, a port, an address without brackets) are rejected
// with advice on what to write instead, since ssh would look for a host called "sftp" or "fe80".

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

namespace pibrain {

struct Source {
  std::string user;  // empty: the ssh config's
  std::string host;  // empty: this machine
  std::string path;

  bool operator==(const Source&) const = default;
};

// Parses "user@host:path", "host:path", "[2001:db8::1]:path", or a local path.
absl::StatusOr<Source> parseSource(const std::string& text);

// Parses the same without the path: "user@host", or a Host of ~/.ssh/config.
absl::StatusOr<Source> parseLogin(const std::string& text);

// Joins a login and a path to a source.
std::string sourceOf(const std::string& login, const std::string& path);

// Checks that the agent can find the directory: no shell expands "~other" for it.
absl::Status checkAgentPath(const std::string& path);

}  // namespace pibrain
