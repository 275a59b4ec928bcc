#include "hub/ssh/invocation.h"

#include <absl/strings/str_cat.h>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"

namespace pibrain {

std::string addressOf(const SshTarget& target) {
  return absl::StrCat(escapeForTerminal(target.host), " port ", target.port);
}

std::string sshInvocation(const SshRequest& request) {
  auto option = [](const char* name, const std::string& value) {
    return value.empty() ? "" : absl::StrCat(name, " ", escapeForTerminal(shellQuote(value)), " ");
  };
  return absl::StrCat("ssh ", option("-F", request.configFile), option("-i", request.key),
                      option("-l", request.user),
                      request.port > 0 ? absl::StrCat("-p ", request.port, " ") : "",
                      escapeForTerminal(request.host));
}

std::string sshInvocation(const SshTarget& target) {
  return sshInvocation(SshRequest{target.alias, target.user, target.configFile, target.key,
                                  target.portGiven ? target.port : uint16_t(0)});
}

std::string keyFamily(const std::string& type) {
  if (type.starts_with("ssh-rsa") || type.starts_with("rsa-")) return "rsa";
  return type.starts_with("ecdsa-") ? "ecdsa" : "ed25519";
}

Fix addHostKey(const SshTarget& target, const std::string& text, const std::string& type) {
  if (target.userKnownHostsFiles.empty()) {
    return {text + ": set a UserKnownHostsFile in the ssh configuration, and connect once by hand",
            sshInvocation(target)};
  }
  // ssh-keyscan cannot use a proxy.
  if (!target.proxyJump.empty() || !target.proxyCommand.empty()) {
    return {text + " by connecting once by hand", sshInvocation(target)};
  }
  auto alias =
      target.hostKeyAlias.empty()
          ? ""
          : absl::StrCat(" | sed 's/^[^ ]*/", escapeForTerminal(target.hostKeyAlias), "/'");
  return {text, absl::StrCat("ssh-keyscan ",
                             type.empty() ? "" : absl::StrCat("-t ", keyFamily(type), " "),
                             target.port == 22 ? "" : absl::StrCat("-p ", target.port, " "),
                             escapeForTerminal(target.host), alias, " >> ",
                             escapeForTerminal(shellQuote(target.userKnownHostsFiles[0])))};
}

}  // namespace pibrain
