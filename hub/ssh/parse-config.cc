#include "hub/ssh/parse-config.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "common/text/environment.h"
#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/ssh/expand.h"

namespace pibrain {

namespace {

using Settings = std::multimap<std::string, std::string>;

constexpr uint32_t DEFAULT_RSA_BITS = 1024;  // ssh_config(5), RequiredRSASize

std::string first(const Settings& settings, const std::string& key) {
  auto found = settings.find(key);
  return found == settings.end() ? "" : found->second;
}

std::vector<std::string> split(const std::string& list, char separator) {
  return absl::StrSplit(list, separator, absl::SkipEmpty());
}

// `ssh -G` separates the files by spaces and does not quote names with spaces, so a piece that does
// not begin like a path is ambiguous.
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
  // With "no" (printed as "false"), OpenSSH accepts changed keys too, but pi-brain treats it like
  // accept-new.
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

// Notes settings that change trust or login, and that libssh2 does not support.
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
  // Some distributions set it for every host, but it has an effect only with a ticket.
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

}  // namespace

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
    auto command = "ssh -G " + escapeForTerminal(alias);
    return toStatus(Failure(FailureId::SSH_CONFIG_INVALID,
                            absl::StrCat("'", command, "' gave no host name or user"),
                            "ssh clients older than OpenSSH 6.8 do not support -G.",
                            {{"Run the command by hand to see why", command}}));
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

}  // namespace pibrain
