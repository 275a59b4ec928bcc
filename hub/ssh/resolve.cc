#include "hub/ssh/resolve.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"
#include "hub/ssh/config-files.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/openssh-client.h"
#include "hub/ssh/openssh-errors.h"

namespace pibrain {

namespace {

using Settings = std::multimap<std::string, std::string>;

constexpr std::chrono::seconds RESOLVE_TIMEOUT{5};
// What says with which identities, or by which other proofs, one logs in; as in
// SshTarget::onlyOpenssh.
constexpr std::string_view OF_IDENTITY[] = {
    "PKCS11Provider ",       "HostbasedAuthentication ",  "GSSAPIAuthentication ",
    "PubkeyAuthentication ", "PreferredAuthentications ", "IdentityFile ",
    "IdentityAgent "};
constexpr uint32_t DEFAULT_RSA_BITS = 1024;  // ssh_config(5), RequiredRSASize

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

std::string hostName() {
  char name[HOST_NAME_MAX + 1] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

// What ssh_config(5), TOKENS, puts for %c; nullopt for those that this program does not know.
std::optional<std::string> tokenValue(char token, const SshTarget& target) {
  switch (token) {
    case '%':
      return "%";
    case 'd':
      return passwdHome();
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

// Replaces tokens. One that is not known is left, and noted as something for OpenSSH.
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

// ${VARIABLE} (ssh_config(5), ENVIRONMENT VARIABLES).
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

// A file name as ssh expands it; ssh -G leaves "~", tokens and variables in some.
std::string expandFile(const std::string& setting, const std::string& name, SshTarget& target) {
  auto path = name == "~" || name.starts_with("~/") ? passwdHome() + name.substr(1) : name;
  return expandTokens(setting, expandVariables(path), target);
}

std::vector<std::string> split(const std::string& list, char separator) {
  return absl::StrSplit(list, separator, absl::SkipEmpty());
}

// ssh -G separates the files by spaces, and does not quote those that have some themselves: a piece
// that does not begin like a path may be either.
std::vector<std::string> fileList(const std::string& setting, const std::string& list,
                                  SshTarget& target) {
  std::vector<std::string> files;
  for (auto& piece : split(list, ' ')) {
    if (piece == "none") continue;
    if (!files.empty() && piece.find_first_of("/~%$") != 0) {
      target.unclearFiles = absl::StrCat(setting, " ", list);
      target.onlyOpenssh.push_back(target.unclearFiles);
      return {};
    }
    files.push_back(expandFile(setting, piece, target));
  }
  return files;
}

std::string valueOf(const Settings& settings, const std::string& key) {
  auto value = first(settings, key);
  return value == "none" ? "" : value;
}

bool isSet(const Settings& settings, const std::string& key) {
  auto value = first(settings, key);
  return value == "yes" || value == "true";
}

void readNumber(const Settings& settings, const std::string& key, uint32_t& number) {
  uint32_t value = 0;
  if (absl::SimpleAtoi(first(settings, key), &value)) number = value;
}

void readConnection(const Settings& settings, SshTarget& target) {
  auto family = first(settings, "addressfamily");
  target.addressFamily = family == "inet" ? AF_INET : family == "inet6" ? AF_INET6 : AF_UNSPEC;
  target.bindAddress = valueOf(settings, "bindaddress");
  target.proxyCommand = valueOf(settings, "proxycommand");
  target.proxyJump = valueOf(settings, "proxyjump");
  readNumber(settings, "connecttimeout", target.connectTimeout);
  if (target.connectTimeout == 0) target.connectTimeout = SshTarget().connectTimeout;
  readNumber(settings, "serveraliveinterval", target.serverAliveInterval);
  readNumber(settings, "serveralivecountmax", target.serverAliveCountMax);
}

void readTrust(const Settings& settings, SshTarget& target) {
  target.hostKeyAlias = valueOf(settings, "hostkeyalias");
  target.userKnownHostsFiles =
      fileList("UserKnownHostsFile", first(settings, "userknownhostsfile"), target);
  target.globalKnownHostsFiles =
      fileList("GlobalKnownHostsFile", first(settings, "globalknownhostsfile"), target);
  target.revokedHostKeys =
      expandFile("RevokedHostKeys", valueOf(settings, "revokedhostkeys"), target);
  // "no" (printed as "false") lets OpenSSH accept changed keys as well, which libssh2 is not let
  // do.
  auto strict = first(settings, "stricthostkeychecking");
  target.acceptNewHostKeys = strict == "accept-new" || strict == "false" || strict == "no";
  target.hashKnownHosts = isSet(settings, "hashknownhosts");
}

void readIdentities(const Settings& settings, SshTarget& target) {
  target.identitiesOnly = isSet(settings, "identitiesonly");
  target.batchMode = isSet(settings, "batchmode");
  auto files = settings.equal_range("identityfile");
  for (auto file = files.first; file != files.second; ++file) {
    if (file->second == "none") continue;
    target.identityFiles.push_back(expandFile("IdentityFile", file->second, target));
  }
  auto agent = first(settings, "identityagent");
  if (agent.empty() || agent == "SSH_AUTH_SOCK") {
    target.identityAgent = environment("SSH_AUTH_SOCK");
  } else if (agent.starts_with('$') && !agent.starts_with("${")) {
    target.identityAgent = environment(agent.c_str() + 1);
  } else if (agent != "none") {
    target.identityAgent = expandFile("IdentityAgent", agent, target);
  }
}

void readAlgorithms(const Settings& settings, SshTarget& target) {
  target.hostKeyAlgorithms = split(first(settings, "hostkeyalgorithms"), ',');
  target.kexAlgorithms = split(first(settings, "kexalgorithms"), ',');
  target.ciphers = split(first(settings, "ciphers"), ',');
  target.macs = split(first(settings, "macs"), ',');
  target.pubkeyAlgorithms = split(first(settings, "pubkeyacceptedalgorithms"), ',');
}

bool hasKerberosTicket() {
  return !environment("KRB5CCNAME").empty() ||
         access(absl::StrCat("/tmp/krb5cc_", getuid()).c_str(), F_OK) == 0;
}

// Settings that change who is trusted or how one logs in, and that libssh2 has nothing for.
void noteForOpenssh(const Settings& settings, SshTarget& target) {
  auto note = [&](const char* name) {
    target.onlyOpenssh.push_back(
        absl::StrCat(name, " ", first(settings, absl::AsciiStrToLower(name))));
  };
  for (auto* name : {"KnownHostsCommand", "PKCS11Provider", "BindInterface"}) {
    if (!valueOf(settings, absl::AsciiStrToLower(name)).empty()) note(name);
  }
  for (auto* name :
       {"CheckHostIP", "HostbasedAuthentication", "VerifyHostKeyDNS", "ProxyUseFdpass"}) {
    if (isSet(settings, absl::AsciiStrToLower(name))) note(name);
  }
  // Some distributions set it for every host; it means something to those who have a ticket.
  if (isSet(settings, "gssapiauthentication") && hasKerberosTicket()) note("GSSAPIAuthentication");
  auto pubkey = first(settings, "pubkeyauthentication");
  if (pubkey == "false" || pubkey == "no") note("PubkeyAuthentication");
  auto methods = first(settings, "preferredauthentications");
  if (!methods.empty() && !absl::StrContains(methods, "publickey"))
    note("PreferredAuthentications");
  uint32_t bits = 0;
  readNumber(settings, "requiredrsasize", bits);
  if (bits > DEFAULT_RSA_BITS) note("RequiredRSASize");
  auto certificates = settings.equal_range("certificatefile");
  for (auto file = certificates.first; file != certificates.second; ++file) {
    auto path = expandFile("CertificateFile", file->second, target);
    if (access(path.c_str(), F_OK) != 0) continue;
    target.certificateFiles.push_back(path);
    target.onlyOpenssh.push_back("CertificateFile " + file->second);
  }
}

// The configuration's identities, and other proofs than a key, do not count then.
void onlyBy(const std::string& key, SshTarget& target) {
  target.key = key;
  target.identityFiles = {key};
  target.identitiesOnly = true;
  target.identityAgent.clear();
  auto blob = inspectKeyFile(key).publicBlob;
  std::erase_if(target.certificateFiles, [&](auto& file) { return !isCertificateOf(file, blob); });
  bool certified = !target.certificateFiles.empty();
  std::erase_if(target.onlyOpenssh, [&](auto& setting) {
    if (setting.starts_with("CertificateFile ")) return !certified;
    return std::any_of(std::begin(OF_IDENTITY), std::end(OF_IDENTITY),
                       [&](auto& name) { return setting.starts_with(name); });
  });
}

// ssh finds tokens and variables in the names that it is given; only the former can be escaped.
absl::Status requireNoVariables(const SshTarget& target) {
  auto files = target.certificateFiles;
  files.insert(files.begin(), target.key);
  for (auto& file : files) {
    if (!absl::StrContains(file, "${")) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the name of the key, ", escapeForTerminal(file),
                     ", has '${' in it, which ssh takes for a variable of the environment. Give "
                     "the file another name, here and in the config."));
  }
  return absl::OkStatus();
}

absl::Status notAFile(const char* setting, const std::string& file) {
  return absl::InvalidArgumentError(
      absl::StrCat(setting, " names ", escapeForTerminal(file),
                   ", which cannot be read: it is a pipe, a socket or a device, and no file. Who "
                   "reads it may wait for ever: 'ls -l ",
                   escapeForTerminal(shellQuote(file)), "' shows what it is."));
}

// Of all that is read to connect, by ssh or here.
absl::Status requireFiles(const SshTarget& target) {
  auto look = [](const char* setting, const std::vector<std::string>& files,
                 std::initializer_list<const char*> endings) -> absl::Status {
    for (auto& file : files) {
      for (auto* ending : endings) {
        if (isNoFile(file + ending)) return notAFile(setting, file + ending);
      }
    }
    return absl::OkStatus();
  };
  auto status = look("UserKnownHostsFile", target.userKnownHostsFiles, {""});
  status.Update(look("GlobalKnownHostsFile", target.globalKnownHostsFiles, {""}));
  status.Update(look("RevokedHostKeys", {target.revokedHostKeys}, {""}));
  status.Update(look("CertificateFile", target.certificateFiles, {""}));
  status.Update(look(target.key.empty() ? "IdentityFile" : "key", target.identityFiles,
                     {"", ".pub", "-cert.pub"}));
  return status;
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

std::string sshHome() { return passwdHome(); }

std::string SshTarget::setting(const std::string& name) const {
  return valueOf(settings, absl::AsciiStrToLower(name));
}

absl::StatusOr<SshTarget> parseSshConfig(const std::string& text, const std::string& alias) {
  Settings settings;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::pair<std::string, std::string> pair = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    settings.emplace(absl::AsciiStrToLower(pair.first), pair.second);
  }
  SshTarget target;
  target.alias = alias;
  target.host = first(settings, "hostname");
  target.user = first(settings, "user");
  uint32_t port = 0;
  readNumber(settings, "port", port);
  if (port > 0 && port < 65536) target.port = uint16_t(port);
  if (target.host.empty() || target.user.empty()) {
    return absl::InternalError(
        absl::StrCat("'ssh -G ", escapeForTerminal(alias),
                     "' gave no host name or user. Run it by hand; an ssh client older than "
                     "OpenSSH 6.8 does not know -G."));
  }
  readConnection(settings, target);
  readTrust(settings, target);
  readIdentities(settings, target);
  readAlgorithms(settings, target);
  noteForOpenssh(settings, target);
  target.hasSessionType = settings.contains("sessiontype");
  target.settings = std::move(settings);
  return target;
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

SshRequest sshRequestOf(const SpokeConfig& spoke) {
  return {spoke.source.host, spoke.source.user, spoke.sshConfig, spoke.key};
}

SshResolution::SshResolution(SshRequest request) : request_(std::move(request)) {
  auto ssh = findOpenssh();
  noFile_ = noFileInSshConfig(request_.configFile);
  if (!ssh || !noFile_.empty()) return;
  // With a command, ssh does not complain of settings that want one.
  std::vector<std::string> command{*ssh, "-G", "-T", "-o", "RemoteCommand=none"};
  if (!request_.configFile.empty()) {
    command.insert(command.end(), {"-F", request_.configFile});
  }
  if (!request_.user.empty()) command.insert(command.end(), {"-l", request_.user});
  command.insert(command.end(), {"--", request_.host, "true"});
  ssh_ = std::make_unique<RunningProgram>(command);
}

absl::StatusOr<SshTarget> SshResolution::get() {
  auto target = configured();
  if (!target.ok()) return target;
  target->configFile = request_.configFile;
  if (!request_.key.empty()) {
    onlyBy(request_.key, *target);
    auto named = requireNoVariables(*target);
    if (!named.ok()) return named;
  }
  auto readable = requireFiles(*target);
  if (!readable.ok()) return readable;
  return target;
}

absl::StatusOr<SshTarget> SshResolution::configured() {
  auto host = escapeForTerminal(request_.host);
  if (!noFile_.empty()) return notAFile("the ssh configuration", noFile_);
  if (ssh_ == nullptr && hasSshConfig(request_.configFile)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the ssh configuration cannot be asked about ", host, ": ", whatIsNotOpenssh(),
        ". What it says (a proxy, another port, keys that are revoked) is not passed over. Install "
        "OpenSSH's client with 'sudo apt install openssh-client', and see that it comes first on "
        "PATH."));
  }
  if (ssh_ == nullptr) return defaults(request_.user, request_.host);
  auto output = ssh_->wait(RESOLVE_TIMEOUT);
  if (output.timedOut) {
    return absl::DeadlineExceededError(
        absl::StrCat("'", sshInvocation(request_),
                     " -G' took longer than 5 s. A 'Match exec' in the ssh configuration may hang; "
                     "run the command by hand to see."));
  }
  if (output.exitStatus != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("ssh cannot read its configuration for '", host, "': ", stderrTail(output.err),
                     ". '", sshInvocation(request_), " -G' shows the same; correct the file."));
  }
  // What is missing may be whom not to trust.
  if (output.cut) {
    return absl::ResourceExhaustedError(
        absl::StrCat("'", sshInvocation(request_), " -G' could not be read: ", WHY_CUT));
  }
  return parseSshConfig(output.out, request_.host);
}

absl::StatusOr<SshTarget> resolveSsh(SshRequest request) {
  return SshResolution(std::move(request)).get();
}

}  // namespace pibrain
