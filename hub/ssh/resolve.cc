#include "hub/ssh/resolve.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/base/user-files.h"
#include "hub/ssh/config-files.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/openssh-client.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/parse-config.h"

namespace pibrain {

namespace {

constexpr std::chrono::seconds RESOLVE_TIMEOUT{5};
// The settings in SshTarget::onlyOpenssh that are about identities or other methods of
// authentication.
constexpr std::string_view OF_IDENTITY[] = {
    "PKCS11Provider ",       "HostbasedAuthentication ",  "GSSAPIAuthentication ",
    "PubkeyAuthentication ", "PreferredAuthentications ", "IdentityFile ",
    "IdentityAgent "};

// Ignores the configuration's identities, and all methods but keys.
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

// ssh expands tokens and variables in file names, and only tokens can be escaped.
absl::Status requireNoVariables(const SshTarget& target) {
  auto files = target.certificateFiles;
  files.insert(files.begin(), target.key);
  for (auto& file : files) {
    if (!absl::StrContains(file, "${")) continue;
    return toStatus(
        Failure(FailureId::KEY_UNUSABLE,
                absl::StrCat("the name of the key, ", escapeForTerminal(file), ", has '${' in it"),
                "ssh would replace it by an environment variable.",
                {{"Rename the file, and change its name in the config", ""}}));
  }
  return absl::OkStatus();
}

absl::Status notAFile(const char* setting, const std::string& file,
                      FailureId id = FailureId::SSH_CONFIG_INVALID) {
  return toStatus(Failure(
      id,
      absl::StrCat(setting, " names ", escapeForTerminal(file), ", which is not a regular file"),
      "It is a pipe, a socket or a device, and reading it could block for ever.",
      {{"Name a regular file in that setting", ""}}));
}

constexpr char OWN_KEY[] = "the spoke's 'key' in the config";

// Checks all files that are read in order to connect, by ssh or by pi-brain.
absl::Status requireFiles(const SshTarget& target) {
  auto look = [](const char* setting, const std::vector<std::string>& files,
                 std::initializer_list<const char*> endings) -> absl::Status {
    for (auto& file : files) {
      for (auto* ending : endings) {
        bool own = setting == std::string_view(OWN_KEY);
        auto id = own ? FailureId::KEY_UNUSABLE : FailureId::SSH_CONFIG_INVALID;
        if (isNoFile(file + ending)) return notAFile(setting, file + ending, id);
      }
    }
    return absl::OkStatus();
  };
  auto status = look("UserKnownHostsFile", target.userKnownHostsFiles, {""});
  status.Update(look("GlobalKnownHostsFile", target.globalKnownHostsFiles, {""}));
  status.Update(look("RevokedHostKeys", {target.revokedHostKeys}, {""}));
  status.Update(look("CertificateFile", target.certificateFiles, {""}));
  status.Update(look(target.key.empty() ? "IdentityFile" : OWN_KEY, target.identityFiles,
                     {"", ".pub", "-cert.pub"}));
  return status;
}

absl::StatusOr<SshTarget> defaults(const SshRequest& request) {
  auto home = sshHome();
  return parseSshConfig(
      absl::StrCat("hostname ", request.host, "\nport ", request.port > 0 ? request.port : 22,
                   "\nuser ", request.user.empty() ? localUser() : request.user,
                   "\nidentityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ecdsa\n"
                   "identityfile ~/.ssh/id_ed25519\nuserknownhostsfile ",
                   home, "/.ssh/known_hosts ", home, "/.ssh/known_hosts2\n",
                   "globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n"),
      request.host);
}

}  // namespace

SshRequest sshRequestOf(const SpokeConfig& spoke) {
  auto setUp =
      absl::StrCat("spoke add ", escapeForTerminal(shellQuote(spoke.name)), " ", loginOf(spoke));
  if (spoke.port > 0) absl::StrAppend(&setUp, " --port ", spoke.port);
  return {spoke.source.host, spoke.source.user, spoke.sshConfig, spoke.key, spoke.port, setUp};
}

SshResolution::SshResolution(SshRequest request) : request_(std::move(request)) {
  auto ssh = findOpenssh();
  noFile_ = noFileInSshConfig(request_.configFile);
  if (!ssh || !noFile_.empty()) return;
  // With a command, ssh does not reject settings that require one.
  std::vector<std::string> command{*ssh, "-G", "-T", "-o", "RemoteCommand=none"};
  if (!request_.configFile.empty()) {
    command.insert(command.end(), {"-F", request_.configFile});
  }
  if (!request_.user.empty()) command.insert(command.end(), {"-l", request_.user});
  if (request_.port > 0) command.insert(command.end(), {"-p", absl::StrCat(request_.port)});
  command.insert(command.end(), {"--", request_.host, "true"});
  ssh_ = std::make_unique<RunningProgram>(command);
}

absl::StatusOr<SshTarget> SshResolution::get() {
  auto target = configured();
  if (!target.ok()) return target;
  target->configFile = request_.configFile;
  target->portGiven = request_.port > 0;
  target->setUp = request_.setUp;
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
    return toStatus(noOpenssh("the ssh configuration cannot be queried for " + host,
                              "The configuration may set a proxy, another port or revoked keys, "
                              "which must not be ignored."));
  }
  if (ssh_ == nullptr) return defaults(request_);
  auto output = ssh_->wait(RESOLVE_TIMEOUT);
  auto command = sshInvocation(request_) + " -G";
  if (output.timedOut) {
    return toStatus(Failure(FailureId::SSH_CONFIG_INVALID,
                            absl::StrCat("'", command, "' took longer than 5 s"),
                            "A 'Match exec' in the ssh configuration may hang.",
                            {{"Run the command by hand to see why", command}}));
  }
  if (output.exitStatus != 0) {
    return toStatus(Failure(FailureId::SSH_CONFIG_INVALID,
                            absl::StrCat("ssh cannot read its configuration for '", host,
                                         "': ", stderrTail(output.err)),
                            "", {{"Correct the file; this shows the same error", command}}));
  }
  // The missing part may name revoked keys.
  if (output.cut) {
    return toStatus(Failure(FailureId::SSH_CONFIG_INVALID,
                            absl::StrCat("'", command, "' could not be read: ", WHY_CUT)));
  }
  return parseSshConfig(output.out, request_.host);
}

absl::StatusOr<SshTarget> resolveSsh(SshRequest request) {
  return SshResolution(std::move(request)).get();
}

}  // namespace pibrain
