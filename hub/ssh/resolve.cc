#include "hub/ssh/resolve.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>

#include "common/text.h"
#include "hub/subprocess.h"

namespace pibrain {

namespace {

using Settings = std::multimap<std::string, std::string>;

constexpr std::chrono::seconds RESOLVE_TIMEOUT{5};

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

struct UserEntry {
  std::string name;
  std::string home;
};

// This user, as the user database has it. Called from several threads.
UserEntry ownEntry() {
  struct passwd entry;
  struct passwd* found = nullptr;
  char buffer[16384];
  if (getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found) != 0 || found == nullptr) {
    return {};
  }
  return {found->pw_name, found->pw_dir};
}

// ssh reads the home from the user database, not $HOME.
std::string passwdHome() {
  auto home = ownEntry().home;
  return home.empty() ? environment("HOME") : home;
}

std::string localUser() {
  auto name = ownEntry().name;
  return name.empty() ? environment("USER") : name;
}

std::string first(const Settings& settings, const std::string& key) {
  auto found = settings.find(key);
  return found == settings.end() ? "" : found->second;
}

// ssh_config(5), TOKENS and ENVIRONMENT VARIABLES; ssh -G leaves them in identity files.
std::string expandTokens(const std::string& text, const SshTarget& target) {
  std::string out = text == "~" || text.starts_with("~/") ? passwdHome() + text.substr(1) : text;
  std::string result;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '%' && i + 1 < out.size()) {
      switch (out[++i]) {
        case '%':
          result += '%';
          break;
        case 'd':
          result += passwdHome();
          break;
        case 'h':
          result += target.host;
          break;
        case 'n':
          result += target.alias;
          break;
        case 'p':
          result += absl::StrCat(target.port);
          break;
        case 'r':
          result += target.user;
          break;
        case 'u':
          result += localUser();
          break;
        default:
          result += out.substr(i - 1, 2);
      }
    } else if (out.compare(i, 2, "${") == 0 && out.find('}', i) != std::string::npos) {
      size_t end = out.find('}', i);
      result += environment(out.substr(i + 2, end - i - 2).c_str());
      i = end;
    } else {
      result += out[i];
    }
  }
  return result;
}

void addFiles(const std::string& list, const SshTarget& target, std::vector<std::string>& files) {
  for (absl::string_view file : absl::StrSplit(list, ' ', absl::SkipEmpty())) {
    if (file != "none") files.push_back(expandTokens(std::string(file), target));
  }
}

absl::Status unsupported(const SshTarget& target, const std::string& setting,
                         const std::string& value) {
  return absl::UnimplementedError(
      absl::StrCat("the ssh configuration for '", escapeForTerminal(target.alias), "' sets ",
                   setting, " to '", escapeForTerminal(value),
                   "', which pi-brain cannot obey yet. Remove it for this host, or "
                   "give the spoke an ssh_config of its own."));
}

absl::StatusOr<SshTarget> defaults(const std::string& user, const std::string& host) {
  auto home = passwdHome();
  return parseSshConfig(
      absl::StrCat("hostname ", host, "\nport 22\nuser ", user.empty() ? localUser() : user,
                   "\nidentityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ecdsa\n"
                   "identityfile ~/.ssh/id_ed25519\nuserknownhostsfile ",
                   home, "/.ssh/known_hosts ", home, "/.ssh/known_hosts2\n",
                   "globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n"),
      host);
}

}  // namespace

absl::StatusOr<SshTarget> parseSshConfig(const std::string& text, const std::string& alias) {
  Settings settings;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::pair<std::string, std::string> pair = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    for (auto& c : pair.first) c = char(tolower(c));
    settings.insert(pair);
  }
  SshTarget target;
  target.alias = alias;
  target.host = first(settings, "hostname");
  target.user = first(settings, "user");
  uint32_t port = 22, timeout = 0;
  if (absl::SimpleAtoi(first(settings, "port"), &port) && port > 0 && port < 65536) {
    target.port = uint16_t(port);
  }
  if (absl::SimpleAtoi(first(settings, "connecttimeout"), &timeout) && timeout > 0) {
    target.connectTimeout = timeout;
  }
  if (target.host.empty() || target.user.empty()) {
    return absl::InternalError("ssh -G gave no host name or user");
  }
  for (auto* setting : {"ProxyJump", "ProxyCommand", "RevokedHostKeys", "KnownHostsCommand"}) {
    auto value = first(settings, absl::AsciiStrToLower(setting));
    if (!value.empty() && value != "none") return unsupported(target, setting, value);
  }
  target.hostKeyAlias = first(settings, "hostkeyalias");
  if (target.hostKeyAlias == "none") target.hostKeyAlias.clear();
  target.identitiesOnly = first(settings, "identitiesonly") == "yes";
  auto files = settings.equal_range("identityfile");
  for (auto file = files.first; file != files.second; ++file) {
    if (file->second != "none") {
      target.identityFiles.push_back(expandTokens(file->second, target));
    }
  }
  auto agent = first(settings, "identityagent");
  if (agent.empty() || agent == "SSH_AUTH_SOCK") {
    target.identityAgent = environment("SSH_AUTH_SOCK");
  } else if (agent.starts_with('$')) {
    target.identityAgent = environment(agent.c_str() + 1);
  } else if (agent != "none") {
    target.identityAgent = expandTokens(agent, target);
  }
  addFiles(first(settings, "userknownhostsfile"), target, target.knownHostsFiles);
  addFiles(first(settings, "globalknownhostsfile"), target, target.knownHostsFiles);
  return target;
}

absl::StatusOr<SshTarget> resolveSsh(const std::string& user, const std::string& host,
                                     const std::string& configFile) {
  auto ssh = findProgram("ssh");
  if (!ssh) return defaults(user, host);
  std::vector<std::string> command{*ssh, "-G"};
  if (!configFile.empty()) command.insert(command.end(), {"-F", configFile});
  if (!user.empty()) command.insert(command.end(), {"-l", user});
  command.insert(command.end(), {"--", host});
  auto output = runProgram(command, RESOLVE_TIMEOUT);
  if (output.timedOut) {
    return absl::DeadlineExceededError(
        absl::StrCat("'ssh -G ", escapeForTerminal(host),
                     "' took longer than 5 s. A 'Match exec' in the ssh "
                     "configuration may hang; run the command by hand to see."));
  }
  if (output.exitStatus != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "ssh cannot read its configuration for '", escapeForTerminal(host),
        "': ", escapeForTerminal(output.err.substr(0, output.err.find_first_of("\r\n"))),
        ". 'ssh -G ", escapeForTerminal(host), "' shows the same; correct the file."));
  }
  return parseSshConfig(output.out, host);
}

}  // namespace pibrain
