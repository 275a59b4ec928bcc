// What `ssh -G` prints. Input: that text.

#include "hub/ssh/expand.h"
#include "hub/ssh/libssh2/algorithms.h"
#include "hub/ssh/parse-config.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

void run(Input input) {
  std::string text(input.rest());
  auto target = parseSshConfig(text, "alias");
  if (!target.ok()) {
    require(!target.status().message().empty(), "an error has words");
    return;
  }
  require(!target->host.empty() && !target->user.empty(), "a target has a host and a user");
  require(target->port > 0 && target->connectTimeout > 0, "a target can be tried");
  // But for one whose name a variable makes that, or a token ("none%j" without a jump): so it is
  // for ssh.
  bool expanded = text.find_first_of("$%") != text.npos;
  for (auto& file : target->identityFiles) require(file != "none" || expanded, "none is no file");
  expandProxyTokens(target->proxyCommand, *target);
  expandProxyTokens(target->proxyJump, *target);
}

}  // namespace pibrain::fuzz
