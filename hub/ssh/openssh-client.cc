#include "hub/ssh/openssh-client.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <elf.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

constexpr char OPENSSH[] = "OpenSSH_";

struct Client {
  std::string path;
  // `said`: the line of `ssh -V` that names OpenSSH, or else the first. `program`: empty for a
  // script.
  SshVersion version;

  bool isOpenssh() const { return version.said.starts_with(OPENSSH); }
};

std::mutex mutex;     // guards all that follows
Client last;          // no path: no program was asked yet
SshVersion recalled;  // no program: nothing is known

// Returns the file's state; empty for a script, which can stay the same and start another program.
std::string stateOf(const std::string& path) {
  kj::AutoCloseFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st;
  char magic[SELFMAG];
  if (file.get() < 0 || fstat(file, &st) != 0 || read(file, magic, SELFMAG) != SELFMAG ||
      memcmp(magic, ELFMAG, SELFMAG) != 0) {
    return "";
  }
  return absl::StrCat(path, " ", fileState(st));
}

std::string askVersion(const std::string& path) {
  auto output = runProgram({path, "-V"}, std::chrono::seconds(5));
  // OpenSSH prints its version to standard error, others to either. A wrapper or the loader may
  // print something first.
  std::vector<std::string> lines =
      absl::StrSplit(absl::StrCat(output.err, "\n", output.out), '\n', absl::SkipEmpty());
  for (auto& line : lines) {
    if (line.starts_with(OPENSSH)) return line;
  }
  return lines.empty() ? "" : lines[0];
}

std::optional<Client> client() {
  auto path = findProgram("ssh");
  if (!path) return std::nullopt;
  std::lock_guard lock(mutex);
  if (last.path == *path) return last;
  last = {*path, {stateOf(*path), ""}};
  bool known = !recalled.program.empty() && recalled.program == last.version.program;
  last.version.said = known ? recalled.said : askVersion(*path);
  return last;
}

}  // namespace

void recallSshVersion(SshVersion known) {
  std::lock_guard lock(mutex);
  recalled = std::move(known);
}

std::optional<SshVersion> sshVersionToRecall() {
  std::lock_guard lock(mutex);
  return last.version.program.empty() ? std::nullopt : std::optional(last.version);
}

std::optional<std::string> findOpenssh() {
  auto found = client();
  return found && found->isOpenssh() ? std::optional(found->path) : std::nullopt;
}

Failure noOpenssh(const std::string& what, const std::string& why) {
  auto found = client();
  auto said = found ? escapeForTerminal(elideMiddle(found->version.said, 100)) : "";
  auto printed = said.empty() ? "" : absl::StrCat(" ('ssh -V' prints: ", said, ")");
  auto reason = why.empty() ? "" : " " + why;
  if (said.starts_with("No user exists for uid")) {
    return Failure(
        FailureId::SSH_CLIENT_FAILED, what,
        absl::StrCat("OpenSSH's client does not run for this user", printed, ".", reason),
        {{"Run pi-brain as a user that this lists", "getent passwd"}});
  }
  return Failure(FailureId::OPENSSH_MISSING, what,
                 absl::StrCat(found ? absl::StrCat(escapeForTerminal(found->path),
                                                   " is not OpenSSH's client", printed)
                                    : "ssh was not found on PATH",
                              ".", reason),
                 {{"Install OpenSSH's client, and make sure that it is first on PATH",
                   "sudo apt install openssh-client"}});
}

std::string requireOpenssh(const std::string& host) {
  if (auto path = findOpenssh()) return *path;
  throw noOpenssh("OpenSSH's client is needed for " + escapeForTerminal(host));
}

}  // namespace pibrain
