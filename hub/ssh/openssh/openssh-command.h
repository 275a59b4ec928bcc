#pragma once
// How OpenSSH's client is started: with options that hold it to what host-trust.h and identities.h
// promise, since it would go by the person's configuration alone. Whom to trust and which key to
// offer is thereby the same whether libssh2, ssh, or an ssh that rsync starts connects.

#include <string>
#include <vector>

#include "hub/ssh/target.h"

namespace pibrain {

inline constexpr int SSH_FAILED =
    255;  // ssh(1), EXIT STATUS: it is ssh's own, or else the command's

struct OpensshUse {
  const char* logLevel = "INFO";
  bool mayAsk = false;  // a person, at the terminal: for a password, or about an unknown host
};

// ssh and its options for `target`, whose host and command are to follow: nothing is forwarded, and
// nothing of the person's keeps it from being a plain pipe.
// - A host that is unknown or has changed is refused as verifyHostKey() refuses it.
// - With `target.key`, that is the only identity, and the person's configuration is not read at
//   all: ssh has no option that would empty its list of identity files. What the configuration says
//   of the connection is handed on as options.
// Throws Failure if there is no ssh, or if the configuration cannot be handed on.
std::vector<std::string> opensshOptions(const SshTarget& target, const OpensshUse& use);

// A whole command: the options, and the target as user and host. `more` goes before these.
std::vector<std::string> opensshCommand(const SshTarget& target, const OpensshUse& use,
                                        const std::vector<std::string>& more = {});

// An ssh to the last host of target.proxyJump whose standard input and output are connected to the
// target.
std::vector<std::string> jumpCommand(const SshTarget& target);

// That last host.
SshTarget lastHop(const SshTarget& target);

}  // namespace pibrain
