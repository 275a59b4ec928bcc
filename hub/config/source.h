#pragma once
// Where a spoke's sessions are, and how that is written. Whoever takes a source, or a part of one,
// asks here: 'source' of the config, and the logins and directories that commands are given. What
// another tool would take for the same (a URL, a port, an address without brackets) is refused with
// what to write instead: ssh would only look for a host that is called "sftp" or "fe80".

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

namespace pibrain {

struct Source {
  std::string user;  // empty: whatever the ssh config says
  std::string host;  // empty: this machine
  std::string path;

  bool operator==(const Source&) const = default;
};

// "user@host:path", "host:path", "[2001:db8::1]:path", or a local path.
absl::StatusOr<Source> parseSource(const std::string& text);

// The same without the path: "user@host", or a Host of ~/.ssh/config.
absl::StatusOr<Source> parseLogin(const std::string& text);

// A login, which is one of these, and a path as one source.
std::string sourceOf(const std::string& login, const std::string& path);

// Whether the agent can find the directory: no shell expands "~other" for it.
absl::Status checkAgentPath(const std::string& path);

}  // namespace pibrain
