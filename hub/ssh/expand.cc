#include "hub/ssh/expand.h"
#include "common/text/environment.h"
#include "common/text/tilde.h"
#include "hub/base/user.h"

#include <absl/strings/str_cat.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <optional>
#include <string_view>

namespace pibrain {

namespace {

User thisUser() { return findUser(getuid()).value_or(User()); }

std::string hostName() {
  char name[HOST_NAME_MAX + 1] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

// Returns the value of a token (ssh_config(5), TOKENS); nullopt: a token that pi-brain does not
// support.
std::optional<std::string> tokenValue(char token, const SshTarget& target) {
  switch (token) {
    case '%':
      return "%";
    case 'd':
      return sshHome();
    case 'h':
      return target.host;
    case 'i':
      return absl::StrCat(getuid());
    case 'j':
      return target.proxyJump;
    case 'k':
      return target.hostKeyAlias.empty() ? target.alias : target.hostKeyAlias;
    case 'L':
      return hostName().substr(0, hostName().find('.'));
    case 'l':
      return hostName();
    case 'n':
      return target.alias;
    case 'p':
      return absl::StrCat(target.port);
    case 'r':
      return target.user;
    case 'u':
      return localUser();
    default:
      return std::nullopt;
  }
}

// Replaces tokens. An unknown one stays, and is noted in `target` as something for OpenSSH.
std::string expandTokens(const std::string& setting, const std::string& text, SshTarget& target) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 == text.size()) {
      result += text[i];
    } else if (auto value = tokenValue(text[++i], target)) {
      result += *value;
    } else {
      target.onlyOpenssh.push_back(absl::StrCat(setting, " ", text));
      return text;
    }
  }
  return result;
}

// Replaces ${VARIABLE} (ssh_config(5), ENVIRONMENT VARIABLES).
std::string expandVariables(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t end = text.compare(i, 2, "${") == 0 ? text.find('}', i) : std::string::npos;
    if (end == std::string::npos) {
      result += text[i];
    } else {
      result += environment(text.substr(i + 2, end - i - 2).c_str());
      i = end;
    }
  }
  return result;
}

}  // namespace

// ssh reads the home directory from the user database, not from $HOME.
std::string sshHome() {
  auto home = thisUser().home;
  return home.empty() ? environment("HOME") : home;
}

std::string localUser() {
  auto name = thisUser().name;
  return name.empty() ? environment("USER") : name;
}

std::string expandFile(const std::string& setting, const std::string& name, SshTarget& target) {
  return expandTokens(setting, expandVariables(expandTilde(name, sshHome())), target);
}

std::string expandProxyTokens(const std::string& text, const SshTarget& target) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    bool token = text[i] == '%' && i + 1 < text.size() &&
                 std::string_view("%hnpr").find(text[i + 1]) != std::string_view::npos;
    result += token ? *tokenValue(text[++i], target) : std::string(1, text[i]);
  }
  return result;
}

}  // namespace pibrain
