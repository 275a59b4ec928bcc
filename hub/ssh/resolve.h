#pragma once
// What the user's ssh configuration says about a host, as `ssh -G` prints it.

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "hub/base/subprocess.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Asks `ssh` on PATH. It takes some 12 ms, in which the caller may do something else.
class SshResolution {
 public:
  explicit SshResolution(SshRequest request);

  // The answer, once. Without OpenSSH's client: the defaults that are documented, if there is no
  // configuration that only it could read. An error, too, are names of files that one of those who
  // connect would take for other ones, or wait for.
  absl::StatusOr<SshTarget> get();

 private:
  absl::StatusOr<SshTarget> configured();

  SshRequest request_;
  std::string noFile_;                   // as noFileInSshConfig()
  std::unique_ptr<RunningProgram> ssh_;  // null: it cannot be asked
};

absl::StatusOr<SshTarget> resolveSsh(SshRequest request);

}  // namespace pibrain
