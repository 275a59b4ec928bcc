#pragma once
// Builds the command line of OpenSSH's client, with options that enforce the rules of host-trust.h
// and identities.h, so that trust and keys are the same for libssh2, for ssh, and for an ssh that
// rsync starts.

#include <string>
#include <vector>

#include "hub/ssh/target.h"

namespace pibrain {

inline constexpr int SSH_FAILED = 255;  // ssh(1), EXIT STATUS: ssh itself failed

struct OpensshUse {
  const char* logLevel = "INFO";
  bool mayAsk = false;  // ssh may ask at the terminal: for a password, or about an unknown host
};

// Returns ssh and its options for `target`, to be followed by host and command. Nothing is
// forwarded, and no setting of the person's prevents a plain pipe.
// - Unknown and changed hosts are refused as by verifyHostKey().
// - With `target.key`, that is the only identity, and the person's configuration is not read at
//   all: ssh has no option that would empty its list of identity files. What the configuration says
//   of the connection is handed on as options.
// Throws Failure if there is no ssh, or if the configuration cannot be handed on.
std::vector<std::string> opensshOptions(const SshTarget& target, const OpensshUse& use);

// Returns a whole command: options, `more`, user and host.
std::vector<std::string> opensshCommand(const SshTarget& target, const OpensshUse& use,
                                        const std::vector<std::string>& more = {});

// Returns an ssh command to the last host of target.proxyJump that connects its standard input and
// output to the target.
std::vector<std::string> jumpCommand(const SshTarget& target);

// Returns that last host.
SshTarget lastHop(const SshTarget& target);

}  // namespace pibrain
