#pragma once

#include <optional>
#include <string>

#include "hub/base/failure.h"

namespace pibrain {

// What `ssh -V` printed, stored because asking takes as long as `ssh -G`.
struct SshVersion {
  std::string program;  // path and state of its file
  std::string said;

  bool operator==(const SshVersion&) const = default;
};

// Returns the program `ssh` on PATH if it is OpenSSH's client: others misinterpret its options, and
// may connect although only the configuration was asked for. `ssh -V` runs once, and again if
// another program replaces it on PATH. Any thread may call.
std::optional<std::string> findOpenssh();

// Sets the answer that an earlier process got, which is valid as long as the program is the same.
void recallSshVersion(SshVersion known);

// Returns the answer for the next process; nullopt: nothing was asked, or the program is a script,
// which can stay the same and start another program.
std::optional<SshVersion> sshVersionToRecall();

// Like findOpenssh(), but throws Failure, which names what was found instead and that `host` needs
// OpenSSH's client.
std::string requireOpenssh(const std::string& host);

// Returns the failure for when findOpenssh() finds none: `what` cannot be done, since ssh is
// missing, is another program, or does not run. `why` says why nothing else will do.
Failure noOpenssh(const std::string& what, const std::string& why = "");

}  // namespace pibrain
