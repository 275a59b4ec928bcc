#include "hub/ssh/host-trust.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/text/text.h"
#include "hub/base/failure.h"
#include "hub/base/files.h"
#include "hub/ssh/failures.h"
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

// A list that cannot be read might have the key: nothing is trusted then.
bool isRevoked(const std::string& path, std::string_view blob) {
  auto text = readWholeFile(path);
  if (!text) {
    throw Failure(absl::StrCat("RevokedHostKeys names ", escapeForTerminal(path),
                               ", which cannot be read: ", strerror(errno),
                               ". Until it can be, or the setting is removed from the ssh "
                               "configuration, no host key is trusted."));
  }
  int number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    auto revoked = publicKeyBlob(std::string(line));
    if (revoked.empty()) {
      throw Failure(
          absl::StrCat(escapeForTerminal(path), ":", number,
                       ": RevokedHostKeys has to list public keys, 'TYPE BASE64'. Until "
                       "this line is corrected, no host key is trusted, by ssh neither."));
    }
    if (revoked == blob) return true;
  }
  return false;
}

// What could not be read may have the key, or another one: unknown is not yet what it is.
void requireAllRead(const SshTarget& target, const KnownTarget& known, const std::string& shown) {
  for (auto* host : {&known.own, &known.standardPort}) {
    if (!host->unread.empty()) throw Failure(unreadKnownHosts(target, host->unread[0], shown));
  }
}

// Appends the line whole, or returns an errno with the file as it was.
int append(int fd, std::string line) {
  off_t size = lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n') line = "\n" + line;
  ssize_t n = write(fd, line.data(), line.size());
  if (n == ssize_t(line.size())) return 0;
  // A disk that is full may take the beginning.
  int error = n < 0 ? errno : ENOSPC;
  if (n > 0 && lseek(fd, 0, SEEK_END) == size + n) (void)!ftruncate(fd, size);
  return error;
}

// Another run may have added the key meanwhile, or another key. Returns an errno if it cannot be
// added.
int addUnderLock(int fd, const SshTarget& target, std::string_view blob) {
  while (flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) return errno;
  }
  auto known = knownTargetOf(target);
  switch (judge(known, blob)) {
    case HostKeyVerdict::KNOWN:
      return 0;
    case HostKeyVerdict::UNKNOWN:
      requireAllRead(target, known, fingerprint(blob));
      break;
    default:
      throw Failure(changedHostKey(target, known.own, fingerprint(blob)));
  }
  return append(fd, knownHostsLine(knownHostsNameOf(target), blob, target.hashKnownHosts));
}

void acceptNew(const SshTarget& target, std::string_view blob, const std::string& shown,
               const std::function<void(std::string)>& warn) {
  auto name = escapeForTerminal(knownHostsNameOf(target));
  if (target.userKnownHostsFiles.empty()) {
    warn(absl::StrCat("the key of ", name, ", ", shown,
                      ", was unknown and is accepted, as StrictHostKeyChecking says; there is no "
                      "UserKnownHostsFile to remember it in"));
    return;
  }
  auto& file = target.userKnownHostsFiles[0];
  if (file == "/dev/null") return;  // it is meant to be forgotten, so that is no news
  // A relative name needs none; an error shows when the file is opened.
  auto slash = file.rfind('/');
  if (slash != std::string::npos && slash > 0) (void)makeDirectories(file.substr(0, slash));
  kj::AutoCloseFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
  int error = fd.get() < 0 ? errno : addUnderLock(fd, target, blob);
  if (error != 0) {
    warn(absl::StrCat("the key of ", name, ", ", shown, ", was accepted, but cannot be added to ",
                      escapeForTerminal(file), ": ", strerror(error)));
    return;
  }
  warn(absl::StrCat("the key of ", name, ", ", shown, ", was unknown; it was added to ",
                    escapeForTerminal(file), ", as StrictHostKeyChecking says"));
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
  return known;
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

HostKeyVerdict judge(const KnownTarget& known, std::string_view blob) {
  auto verdict = judge(known.own, blob);
  if (verdict != HostKeyVerdict::UNKNOWN) return verdict;
  // A different key there means nothing: it may be another machine behind the same address.
  auto standard = judge(known.standardPort, blob);
  return standard == HostKeyVerdict::CHANGED ? HostKeyVerdict::UNKNOWN : standard;
}

void requireTrusted(const SshTarget& target, const KnownTarget& known, std::string_view blob,
                    const std::function<void(std::string)>& warn) {
  auto shown = absl::StrCat(fingerprint(blob), " (", escapeForTerminal(keyType(blob)), ")");
  if (!target.revokedHostKeys.empty() && isRevoked(target.revokedHostKeys, blob)) {
    throw Failure(revokedHostKey(target, shown, target.revokedHostKeys));
  }
  switch (judge(known, blob)) {
    case HostKeyVerdict::KNOWN:
      return;
    case HostKeyVerdict::REVOKED:
      throw Failure(revokedHostKey(target, shown, "known_hosts (@revoked)"));
    case HostKeyVerdict::CHANGED:
      throw Failure(changedHostKey(target, known.own, shown));
    case HostKeyVerdict::UNKNOWN:
      requireAllRead(target, known, shown);
      if (!target.acceptNewHostKeys)
        throw Failure(unknownHostKey(target, known.hasCertAuthority(), shown));
      acceptNew(target, blob, shown, warn);
  }
}

bool isRevocationList(const std::string& path) {
  auto text = readWholeFile(path);
  return text && std::string_view(*text).starts_with(REVOCATION_LIST_MAGIC);
}

}  // namespace pibrain
