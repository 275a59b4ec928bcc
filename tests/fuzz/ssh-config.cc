// The output of `ssh -G`. Input: that text.

#include "hub/ssh/expand.h"
#include "hub/ssh/libssh2/algorithms.h"
#include "hub/ssh/parse-config.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

void run(Input input) {
  std::string text(input.rest());
  auto target = parseSshConfig(text, "alias");
  if (!target.ok()) {
    require(!target.status().message().empty(), "an error has a message");
    return;
  }
  require(!target->host.empty() && !target->user.empty(), "a target has a host and a user");
  require(target->port > 0 && target->connectTimeout > 0, "a target has a port and a time limit");
  // Except a name that expands to "none" by a variable or a token ("none%j" without a jump), which
  // ssh tries as a file.
  bool expanded = text.find_first_of("$%") != text.npos;
  for (auto& file : target->identityFiles)
    require(file != "none" || expanded, "none is not a file");
  expandProxyTokens(target->proxyCommand, *target);
  expandProxyTokens(target->proxyJump, *target);
}

}  // namespace pibrain::fuzz
