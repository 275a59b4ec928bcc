#include "hub/ssh/openssh/proxy.h"

#include <fcntl.h>
#include <stdlib.h>

#include <vector>

#include "common/text/environment.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/openssh/failed-start.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

std::vector<std::string> proxyCommand(const SshTarget& target) {
  if (!target.proxyJump.empty()) {
    return jumpCommand(target);
  }
  auto shell = environment("SHELL");
  return {shell.empty() ? "/bin/sh" : shell, "-c",
          "exec " + expandProxyTokens(target.proxyCommand, target)};
}

}  // namespace

Proxy::Proxy(const SshTarget& target)
    : target_(target), child_(spawnWithSocket(proxyCommand(target))) {
  fcntl(child_.stdio, F_SETFL, fcntl(child_.stdio, F_GETFL) | O_NONBLOCK);
}

Proxy::~Proxy() noexcept(false) {
  int status;
  waitOrKill(child_.pid, std::chrono::milliseconds(0), status);
}

std::optional<Failure> Proxy::explain() {
  // Gives the proxy a moment to end by itself.
  auto status = exitStatusOf(child_.pid, std::chrono::milliseconds(500));
  if (!status) return std::nullopt;
  return explainProxy(target_, readBack(child_.errors));
}

}  // namespace pibrain
