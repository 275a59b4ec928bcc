// What `ssh -G` prints. Input: that text.

#include "common/text.h"
#include "hub/ssh/methods.h"
#include "hub/ssh/resolve.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

void run(Input input) {
  auto target = parseSshConfig(std::string(input.rest()), "alias");
  if (!target.ok()) {
    require(!target.status().message().empty(), "an error has words");
    return;
  }
  require(!target->host.empty() && !target->user.empty(), "a target has a host and a user");
  require(target->port > 0 && target->connectTimeout > 0, "a target can be tried");
  for (auto& file : target->identityFiles) require(file != "none", "none is no file");
  expandProxyTokens(target->proxyCommand, *target);
  expandProxyTokens(target->proxyJump, *target);
}

}  // namespace pibrain::fuzz
