#include "hub/ssh/openssh/openssh-command.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>

#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/openssh-client.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

namespace {

// The destination of -W, as tokens of a ProxyCommand.
constexpr char DESTINATION[] = "[%h]:%p";

constexpr int MAX_JUMPS = 16;

using Argv = std::vector<std::string>;

void add(Argv& argv, const std::string& name, const std::string& value) {
  argv.insert(argv.end(), {"-o", absl::StrCat(name, "=", value)});
}

// Quotes one word for ssh_config(5); `ssh -G` prints words without the quotes that blanks need.
std::string asWord(const std::string& value) {
  return absl::StrCat("\"", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// Escapes '%', so that ssh finds no tokens (ssh_config(5)).
std::string withoutTokens(const std::string& text) {
  return absl::StrReplaceAll(text, {{"%", "%%"}});
}

// --- Spokes with their own key.

// How a setting's value is written in a line of the configuration.
enum class Form {
  LINE,  // as printed
  WORD,  // one word, which is printed without its quotes
};

struct Setting {
  const char* name;
  Form form = Form::LINE;
};

// The settings that are copied from the person's configuration: those for connecting and
// negotiating, but none that names identities or allows other methods of authentication.
constexpr Setting TAKEN_OVER[] = {
    {"AddressFamily"},
    {"BindAddress", Form::WORD},
    {"BindInterface", Form::WORD},
    {"CASignatureAlgorithms"},
    {"CheckHostIP"},
    {"Ciphers"},
    {"Compression"},
    {"ConnectionAttempts"},
    {"HashKnownHosts"},
    {"HostKeyAlias", Form::WORD},
    {"IPQoS"},
    {"KexAlgorithms"},
    {"KnownHostsCommand"},
    {"MACs"},
    {"ProxyCommand"},
    {"ProxyUseFdpass"},
    {"PubkeyAcceptedAlgorithms"},
    {"PubkeyAcceptedKeyTypes"},  // its name before OpenSSH 8.5
    {"RekeyLimit"},
    {"RequiredRSASize"},
    {"RevokedHostKeys", Form::WORD},
    {"SecurityKeyProvider", Form::WORD},
    {"ServerAliveCountMax"},
    {"ServerAliveInterval"},
    {"TCPKeepAlive"},
    {"VerifyHostKeyDNS"},
};

void addSettings(const SshTarget& target, Argv& argv) {
  for (auto& [name, form] : TAKEN_OVER) {
    auto value = target.setting(name);
    if (value.empty()) continue;
    add(argv, name, form == Form::WORD ? asWord(value) : value);
  }
  if (!target.unclearFiles.empty()) {
    throw Failure(
        FailureId::SSH_CONFIG_UNSUPPORTED,
        absl::StrCat("the ssh configuration of ", escapeForTerminal(target.alias), " sets ",
                     escapeForTerminal(target.unclearFiles),
                     ", which may be one name with blanks in it or several"),
        "",
        {{"Use absolute names without blanks in that setting, or remove 'key' from the spoke",
          ""}});
  }
  for (auto* name : {"UserKnownHostsFile", "GlobalKnownHostsFile"}) {
    auto value = target.setting(name);
    add(argv, name, value.empty() ? "none" : value);
  }
  add(argv, "HostName", withoutTokens(target.host));
}

// Adds options that allow only `target.key`: no other key, and no other method.
void addOnlyKey(const SshTarget& target, Argv& argv) {
  // Not -i, which ignores a file that does not exist before tokens are replaced.
  add(argv, "IdentityFile", asWord(withoutTokens(target.key)));
  for (auto option :
       {"IdentitiesOnly=yes", "IdentityAgent=none", "PubkeyAuthentication=yes",
        "PreferredAuthentications=publickey", "PasswordAuthentication=no",
        "HostbasedAuthentication=no", "GSSAPIAuthentication=no", "ControlPath=none"}) {
    argv.insert(argv.end(), {"-o", option});
  }
  // The certificates of this key.
  for (auto& file : target.certificateFiles) {
    add(argv, "CertificateFile", asWord(withoutTokens(file)));
  }
}

// --- Trust.

// Makes ssh decide as verifyHostKey() does. If that accepts no new key, ssh must not ask a person
// about one.
void addTrust(const SshTarget& target, const KnownTarget& known, const OpensshUse& use,
              Argv& argv) {
  bool mayBeNew = newKeysMayCount(target, known);
  if (target.acceptNewHostKeys && mayBeNew) {
    add(argv, "StrictHostKeyChecking", "accept-new");
  } else if (!use.mayAsk || !mayBeNew) {
    add(argv, "StrictHostKeyChecking", "yes");
  }
  // ssh's own order ignores keys under the standard port's name, and does not apply to a given
  // list.
  auto algorithms = orderedHostKeyAlgorithms(target, known);
  bool isGiven = !target.key.empty() || algorithms != target.hostKeyAlgorithms;
  if (isGiven && !target.hostKeyAlgorithms.empty()) {
    add(argv, "HostKeyAlgorithms", absl::StrJoin(algorithms, ","));
  }
  add(argv, "NoHostAuthenticationForLocalhost", "no");
  // The host must not change which keys are trusted.
  if (!use.mayAsk) add(argv, "UpdateHostKeys", "no");
}

// --- Jumps.

struct Hop {
  std::string user, host, port;  // empty: from the ssh configuration
};

// Parses [user@]host[:port], or an ssh:// URI of these (ssh_config(5), ProxyJump).
Hop parseHop(std::string text) {
  Hop hop;
  if (text.starts_with("ssh://")) text = text.substr(6);
  if (auto at = text.rfind('@'); at != std::string::npos) {
    hop.user = text.substr(0, at);
    text = text.substr(at + 1);
  }
  auto colon = text.rfind(':');
  bool bracketed = text.starts_with('[');
  // An IPv6 address also has colons.
  bool hasPort =
      colon != std::string::npos && (bracketed ? text[colon - 1] == ']' : text.find(':') == colon);
  if (hasPort) {
    hop.port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (bracketed && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  hop.host = text;
  return hop;
}

// Quotes a word for a shell with backslashes only, which can be nested, and in which ssh finds no
// unbalanced quotes.
std::string backslashQuote(const std::string& word) {
  constexpr std::string_view PLAIN =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
  std::string quoted;
  for (char c : word) {
    if (PLAIN.find(c) == std::string_view::npos) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

// Returns a ProxyCommand that runs this. Only DESTINATION in it has tokens for ssh.
std::string asProxyCommand(const Argv& argv) {
  std::vector<std::string> words;
  for (auto& arg : argv) {
    words.push_back(backslashQuote(arg == DESTINATION ? arg : withoutTokens(arg)));
  }
  return absl::StrJoin(words, " ");
}

// Returns an ssh command to the last hop that connects its standard input and output to
// `destination`.
Argv jumpTo(const SshTarget& target, const std::string& destination, bool mayAsk) {
  return opensshCommand(lastHop(target), {.mayAsk = mayAsk}, {"-W", destination});
}

}  // namespace

std::vector<std::string> opensshOptions(const SshTarget& target, const OpensshUse& use) {
  Argv argv{requireOpenssh(target.alias), "-T", "-a", "-x"};
  bool ownKey = !target.key.empty();
  if (ownKey) {
    argv.insert(argv.end(), {"-F", "none"});
  } else if (!target.configFile.empty()) {
    argv.insert(argv.end(), {"-F", target.configFile});
  }
  for (auto option : {use.mayAsk ? "BatchMode=no" : "BatchMode=yes", "ClearAllForwardings=yes",
                      "PermitLocalCommand=no", "RemoteCommand=none",
                      // A master would keep running in the background.
                      "ControlMaster=no"}) {
    argv.insert(argv.end(), {"-o", option});
  }
  if (target.hasSessionType) {
    for (auto option : {"SessionType=default", "StdinNull=no", "ForkAfterAuthentication=no"}) {
      argv.insert(argv.end(), {"-o", option});
    }
  }
  argv.insert(argv.end(), {"-p", absl::StrCat(target.port)});
  add(argv, "LogLevel", use.logLevel);
  add(argv, "ConnectTimeout", absl::StrCat(target.connectTimeout));
  // ssh has no option for the kernel's keep-alives, whose default is two hours.
  constexpr uint32_t WATCH_INTERVAL = 10;
  if (target.watches &&
      (target.serverAliveInterval == 0 || target.serverAliveInterval > WATCH_INTERVAL)) {
    add(argv, "ServerAliveInterval", absl::StrCat(WATCH_INTERVAL));
    add(argv, "ServerAliveCountMax", "2");
  }
  auto known = knownTargetOf(target);
  addTrust(target, known, use, argv);
  // For hops, ssh's own ProxyJump would use only the person's configuration, could ask questions,
  // and has no time limit.
  if (!target.proxyJump.empty()) {
    add(argv, "ProxyJump", "none");
    add(argv, "ProxyCommand", asProxyCommand(jumpTo(target, DESTINATION, use.mayAsk)));
  }
  if (ownKey) {
    addOnlyKey(target, argv);
    addSettings(target, argv);
  }
  return argv;
}

std::vector<std::string> opensshCommand(const SshTarget& target, const OpensshUse& use,
                                        const std::vector<std::string>& more) {
  auto argv = opensshOptions(target, use);
  argv.insert(argv.end(), more.begin(), more.end());
  argv.insert(argv.end(), {"-l", target.user, "--", target.alias});
  return argv;
}

std::vector<std::string> jumpCommand(const SshTarget& target) {
  return jumpTo(target, absl::StrCat("[", target.host, "]:", target.port), false);
}

SshTarget lastHop(const SshTarget& target) {
  auto jump = expandProxyTokens(target.proxyJump, target);
  auto comma = jump.rfind(',');
  auto hop = parseHop(comma == std::string::npos ? jump : jump.substr(comma + 1));
  auto resolved = resolveSsh({hop.host, hop.user, target.configFile});
  if (!resolved.ok()) throw failureOf(resolved.status(), FailureId::SSH_CONFIG_INVALID);
  auto result = *std::move(resolved);
  uint32_t port;
  if (absl::SimpleAtoi(hop.port, &port)) result.port = uint16_t(port);
  result.connectTimeout = target.connectTimeout;
  result.watches = target.watches;
  // The hops before it are its own ProxyJump; without any, its configuration decides.
  if (comma != std::string::npos) result.proxyJump = jump.substr(0, comma);
  result.jumps = target.jumps + 1;
  if (result.jumps > MAX_JUMPS) {
    throw Failure(
        FailureId::SSH_CONFIG_INVALID,
        absl::StrCat("the ProxyJump of ", escapeForTerminal(target.alias), " forms a loop"), "",
        {{"Check the ProxyJump of each hop", "ssh -G " + escapeForTerminal(hop.host)}});
  }
  return result;
}

}  // namespace pibrain
