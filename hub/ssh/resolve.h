#pragma once
// Reads the user's ssh configuration for a host, as `ssh -G` prints it.

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "hub/base/subprocess.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Starts `ssh -G`. It takes about 12 ms, during which the caller can do something else.
class SshResolution {
 public:
  explicit SshResolution(SshRequest request);

  // Returns the answer; can be called once. Without OpenSSH's client and without an ssh
  // configuration, returns the documented defaults. File names that ssh would misread, or on which
  // reading would block, are errors too.
  absl::StatusOr<SshTarget> get();

 private:
  absl::StatusOr<SshTarget> configured();

  SshRequest request_;
  std::string noFile_;                   // the result of noFileInSshConfig()
  std::unique_ptr<RunningProgram> ssh_;  // null: ssh cannot be asked
};

absl::StatusOr<SshTarget> resolveSsh(SshRequest request);

}  // namespace pibrain
