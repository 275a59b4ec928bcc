#include "hub/ssh/host-trust.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"
#include "hub/ssh/host-key-failures.h"
#include "hub/ssh/key-file.h"

namespace pibrain {

namespace {

constexpr std::string_view REVOCATION_LIST_MAGIC("SSHKRL\n\0", 8);  // openssh/PROTOCOL.krl

std::vector<std::string> allFiles(const SshTarget& target) {
  auto files = target.userKnownHostsFiles;
  files.insert(files.end(), target.globalKnownHostsFiles.begin(),
               target.globalKnownHostsFiles.end());
  return files;
}

// Returns whether the key is in the list. Throws if the list cannot be read, since it may have the
// key.
bool isRevoked(const std::string& path, std::string_view blob) {
  auto text = readWholeFile(path);
  if (!text) {
    throw Failure(
        FailureId::REVOKED_KEYS_UNREADABLE,
        absl::StrCat("RevokedHostKeys names ", escapeForTerminal(path),
                     ", which cannot be read: ", whyUnread(errno)),
        "Until it can be read, no host key is trusted.",
        {{"Make the file readable, or remove the setting from the ssh configuration", ""}});
  }
  int number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    auto revoked = publicKeyBlob(std::string(line));
    if (revoked.empty()) {
      throw Failure(FailureId::REVOKED_KEYS_UNREADABLE,
                    absl::StrCat(escapeForTerminal(path), ":", number,
                                 ": RevokedHostKeys must list public keys, 'TYPE BASE64'"),
                    "Until it is fixed, pi-brain, like ssh, refuses every host key.",
                    {{"Correct this line of the file", ""}});
    }
    if (revoked == blob) return true;
  }
  return false;
}

void requireAcceptsNew(const SshTarget& target, const KnownTarget& known, const ShownKey& shown) {
  if (!known.unread().empty()) throw unreadKnownHosts(target, known.unread(), shown);
  if (!target.acceptNewHostKeys || !newKeysMayCount(target, known)) {
    throw unknownHostKey(target, known.hasCertAuthority(), shown);
  }
}

bool isRevokedIn(const KnownHost& known, const std::string& blob) {
  return std::any_of(known.keys.begin(), known.keys.end(),
                     [&](auto& key) { return key.revoked && key.blob == blob; });
}

std::string newKeyOf(const SshTarget& target, const ShownKey& shown) {
  return absl::StrCat("the key of ", escapeForTerminal(knownHostsNameOf(target)), ", ",
                      shown.text(), ",");
}

std::string addedKey(const SshTarget& target, const ShownKey& shown) {
  return absl::StrCat(newKeyOf(target, shown), " was unknown and has been added to ",
                      escapeForTerminal(target.userKnownHostsFiles[0]),
                      ", as StrictHostKeyChecking allows");
}

std::string unaddedKey(const SshTarget& target, const ShownKey& shown, int error) {
  return absl::StrCat(newKeyOf(target, shown), " was accepted, but cannot be added to ",
                      escapeForTerminal(target.userKnownHostsFiles[0]), ": ", strerror(error));
}

// Returns whether new keys are discarded on purpose, which needs no message.
bool forgets(const SshTarget& target) { return target.userKnownHostsFiles[0] == "/dev/null"; }

ShownKey shownKey(std::string_view blob) {
  return {fingerprint(blob), escapeForTerminal(keyType(blob))};
}

// Appends the whole line, or returns an errno and leaves the file unchanged.
int append(int fd, std::string line) {
  off_t size = lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n') line = "\n" + line;
  ssize_t n = write(fd, line.data(), line.size());
  if (n == ssize_t(line.size())) return 0;
  // A full disk may have stored only the beginning.
  int error = n < 0 ? errno : ENOSPC;
  if (n > 0 && lseek(fd, 0, SEEK_END) == size + n) (void)!ftruncate(fd, size);
  return error;
}

// Adds the key unless another run has added it meanwhile. Returns an errno if that fails.
int addUnderLock(int fd, const SshTarget& target, std::string_view blob) {
  while (flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) return errno;
  }
  auto known = knownTargetOf(target);
  switch (hostKeyVerdict(known, blob)) {
    case HostKeyVerdict::KNOWN:
      return 0;
    case HostKeyVerdict::UNKNOWN:
      requireAcceptsNew(target, known, shownKey(blob));
      break;
    default:
      throw changedHostKey(target, known.own, shownKey(blob));
  }
  return append(fd, knownHostsLine(knownHostsNameOf(target), blob, target.hashKnownHosts));
}

void acceptNew(const SshTarget& target, std::string_view blob,
               const std::function<void(std::string)>& warn) {
  if (forgets(target)) return;
  auto& file = target.userKnownHostsFiles[0];
  // Errors are ignored: opening the file shows them.
  auto slash = file.rfind('/');
  if (slash != std::string::npos && slash > 0) (void)makeDirectories(file.substr(0, slash));
  kj::AutoCloseFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
  int error = fd.get() < 0 ? errno : addUnderLock(fd, target, blob);
  auto shown = shownKey(blob);
  warn(error == 0 ? addedKey(target, shown) : unaddedKey(target, shown, error));
}

// Returns the key that ssh added to the files since `known` was read; empty: none.
ShownKey keyAddedSince(const SshTarget& target, const KnownTarget& known) {
  for (auto& key : knownTargetOf(target).own.keys) {
    if (hostKeyVerdict(known.own, key.blob) == HostKeyVerdict::UNKNOWN) return shownKey(key.blob);
  }
  return {};
}

}  // namespace

std::string knownHostsNameOf(const SshTarget& target) {
  return target.hostKeyAlias.empty() ? knownHostName(target.host, target.port)
                                     : knownHostName(target.hostKeyAlias, 22);
}

KnownTarget knownTargetOf(const SshTarget& target) {
  KnownTarget known;
  known.own = loadKnownHosts(allFiles(target), knownHostsNameOf(target));
  if (target.hostKeyAlias.empty() && target.port != 22) {
    known.standardPort = loadKnownHosts(allFiles(target), knownHostName(target.host, 22));
  }
  if (!target.unclearFiles.empty()) {
    known.own.unread.push_back(
        absl::StrCat(target.unclearFiles,
                     " cannot be read: it is either one name with blanks in it, or several names"));
  }
  return known;
}

std::string KnownTarget::unread() const {
  for (auto* host : {&own, &standardPort}) {
    if (!host->unread.empty()) return host->unread[0];
  }
  return "";
}

std::vector<std::string> knownAlgorithms(const KnownHost& known) {
  std::vector<std::string> names;
  for (auto& key : known.keys) {
    if (key.revoked) continue;
    if (key.type == "ssh-rsa") names.insert(names.end(), {"rsa-sha2-512", "rsa-sha2-256"});
    names.push_back(key.type);
  }
  return names;
}

std::vector<std::string> orderedHostKeyAlgorithms(const SshTarget& target,
                                                  const KnownTarget& known) {
  constexpr char CERTIFICATE[] = "-cert-v01@openssh.com";
  auto good = knownAlgorithms(known.own);
  if (good.empty()) good = knownAlgorithms(known.standardPort);
  auto names = target.hostKeyAlgorithms;
  if (names.empty()) return good;
  std::stable_partition(names.begin(), names.end(), [&](auto& name) {
    return (known.hasCertAuthority() && name.ends_with(CERTIFICATE)) ||
           std::find(good.begin(), good.end(), name) != good.end();
  });
  return names;
}

bool newKeysMayCount(const SshTarget& target, const KnownTarget& known) {
  auto& revoked = known.standardPort.keys;
  return known.unread().empty() && knownAlgorithms(known.own).empty() &&
         !target.userKnownHostsFiles.empty() &&
         std::none_of(revoked.begin(), revoked.end(),
                      [&](auto& key) { return key.revoked && !isRevokedIn(known.own, key.blob); });
}

HostKeyVerdict hostKeyVerdict(const KnownTarget& known, std::string_view blob) {
  auto verdict = hostKeyVerdict(known.own, blob);
  if (verdict != HostKeyVerdict::UNKNOWN) return verdict;
  // A different key for the standard port proves nothing: another machine may be behind the same
  // address.
  auto standard = hostKeyVerdict(known.standardPort, blob);
  return standard == HostKeyVerdict::CHANGED ? HostKeyVerdict::UNKNOWN : standard;
}

void verifyHostKey(const SshTarget& target, const KnownTarget& known, std::string_view blob,
                   const std::function<void(std::string)>& warn) {
  auto shown = shownKey(blob);
  if (!target.revokedHostKeys.empty() && isRevoked(target.revokedHostKeys, blob)) {
    throw revokedHostKey(target, shown, target.revokedHostKeys);
  }
  switch (hostKeyVerdict(known, blob)) {
    case HostKeyVerdict::KNOWN:
      return;
    case HostKeyVerdict::REVOKED:
      throw revokedHostKey(target, shown, "known_hosts (@revoked)");
    case HostKeyVerdict::CHANGED:
      throw changedHostKey(target, known.own, shown);
    case HostKeyVerdict::UNKNOWN:
      requireAcceptsNew(target, known, shown);
      acceptNew(target, blob, warn);
  }
}

ShownKey keyShownTo(const std::string& errors) {
  constexpr std::string_view LINE = "debug1: Server host key: ";
  auto start = errors.find(LINE);
  if (start == std::string::npos) return {};
  start += LINE.size();
  std::vector<std::string> words =
      absl::StrSplit(errors.substr(start, errors.find_first_of("\r\n", start) - start), ' ');
  if (words.size() < 2) return {};
  return {escapeForTerminal(words[1]), escapeForTerminal(words[0])};
}

std::string newKeyBySsh(const SshTarget& target, const KnownTarget& known,
                        const std::string& errors) {
  // A hop may write the same about itself.
  if (!newKeysMayCount(target, known) || forgets(target)) return "";
  auto& file = target.userKnownHostsFiles[0];
  auto name = knownHostsNameOf(target);
  auto says = [&](const std::string& words) { return absl::StrContains(errors, words); };
  // With CheckHostIP, the address follows the name.
  auto added = absl::StrCat("Permanently added '", name);
  if (says(added + "' (") || says(added + ",")) {
    return addedKey(target, keyAddedSince(target, known));
  }
  if (!says(absl::StrCat("Failed to add the host to the list of known hosts (", file, ")"))) {
    return "";
  }
  // ssh does not tell the reason.
  kj::AutoCloseFd fd(open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  return unaddedKey(target, keyShownTo(errors), fd.get() < 0 ? errno : EIO);
}

bool isRevocationList(const std::string& path) {
  auto text = readWholeFile(path);
  return text && std::string_view(*text).starts_with(REVOCATION_LIST_MAGIC);
}

}  // namespace pibrain
