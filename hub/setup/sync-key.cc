#include "hub/setup/sync-key.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/known-hosts.h"
#include "hub/ssh/resolve.h"
#include "hub/ssh/target.h"

namespace pibrain {

namespace {

Output sshKeygen(std::vector<std::string> arguments) {
  auto program = findProgram("ssh-keygen");
  if (!program) {
    throw Failure(FailureId::OPENSSH_MISSING, "ssh-keygen was not found on PATH",
                  "pi-brain needs it to create and read keys.",
                  {{"Install OpenSSH's client", "sudo apt install openssh-client"}});
  }
  arguments.insert(arguments.begin(), *program);
  return runProgram(arguments, std::chrono::seconds(60));
}

std::string saidBy(const Output& output) {
  auto text = output.err + output.out;
  return escapeForTerminal(std::string(absl::StripAsciiWhitespace(text)));
}

// Returns the comment of the key in this file: the file's name, with which it can be found.
std::string commentOf(const std::string& path) {
  auto name = std::filesystem::path(path).filename().string();
  // It stands in a line of authorized_keys.
  return escapeForTerminal(name) == name ? name : "pi-brain-sync";
}

// Creates the key. Returns false if another process created it first; that key is used then.
bool makeKey(const std::string& path) {
  auto made = makeDirectories(std::filesystem::path(path).parent_path());
  if (!made.ok()) throw failureOf(made, FailureId::KEY_UNUSABLE);
  auto temporary = absl::StrCat(path, ".", getpid());
  auto output =
      sshKeygen({"-q", "-t", "ed25519", "-N", "", "-C", commentOf(path), "-f", temporary});
  auto publicFile = temporary + ".pub";
  bool linked = output.exitStatus == 0 && link(temporary.c_str(), path.c_str()) == 0;
  int error = errno;
  if (linked) rename(publicFile.c_str(), (path + ".pub").c_str());
  unlink(temporary.c_str());
  unlink(publicFile.c_str());
  if (linked || (output.exitStatus == 0 && error == EEXIST)) return linked;
  throw Failure(
      FailureId::KEY_UNUSABLE,
      absl::StrCat("cannot create the key ", escapeForTerminal(path), ": ",
                   output.exitStatus == 0 ? strerror(error) : withoutFullStop(saidBy(output))));
}

}  // namespace

std::string SyncKey::blob() const {
  std::vector<std::string> words = absl::StrSplit(publicText, ' ');
  return words.size() > 1 ? words[1] : "";
}

std::string SyncKey::fingerprint() const { return pibrain::fingerprint(publicKeyBlob(publicText)); }

SyncKey readSyncKey(const std::string& path) {
  auto name = escapeForTerminal(path);
  auto file = inspectKeyFile(path);
  if (auto problem = whyNoPrivateKey(file)) {
    throw Failure(problem->id, absl::StrCat("the key ", name, " ", problem->why), "",
                  {problem->fix});
  }
  if (file.encrypted) {
    throw Failure(FailureId::KEY_HAS_PASSPHRASE,
                  absl::StrCat("the key ", name, " has a passphrase"),
                  "Runs are unattended, so no one can type the passphrase.",
                  {{"Name another key with --key, or leave out --key to get a new one", ""}});
  }
  auto output = sshKeygen({"-y", "-f", path});
  std::string text(absl::StripAsciiWhitespace(output.out));
  if (output.exitStatus != 0 || publicKeyBlob(text).empty()) {
    throw Failure(
        FailureId::KEY_UNUSABLE,
        absl::StrCat("the key ", name, " cannot be used: ", withoutFullStop(saidBy(output))));
  }
  if (std::count(text.begin(), text.end(), ' ') == 1) text += " " + commentOf(path);
  return {path, text};
}

std::string syncKeyPath(const SpokeConfig& spoke) {
  if (!spoke.key.empty() || spoke.method == SyncMethod::SYNCTHING || isLocal(spoke)) {
    return spoke.key;
  }
  auto target = resolveSsh(sshRequestOf(spoke));
  if (!target.ok()) return "";
  for (auto& file : target->identityFiles) {
    if (access(file.c_str(), F_OK) == 0) return file;
  }
  return "";
}

SyncKey ensureSyncKey(const std::string& path) {
  bool made = access(path.c_str(), F_OK) != 0 && errno == ENOENT && makeKey(path);
  auto key = readSyncKey(path);
  key.made = made;
  return key;
}

}  // namespace pibrain
