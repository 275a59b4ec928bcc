#include "hub/ssh/openssh-client.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <chrono>
#include <mutex>
#include <vector>

#include "common/text/text.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"

namespace pibrain {

namespace {

constexpr char OPENSSH[] = "OpenSSH_";

struct Client {
  std::string path;
  std::string version;  // the line of what `ssh -V` says that names OpenSSH, or else the first

  bool isOpenssh() const { return version.starts_with(OPENSSH); }
};

std::string askVersion(const std::string& path) {
  auto output = runProgram({path, "-V"}, std::chrono::seconds(5));
  // To standard error; others may print theirs. A wrapper, or the loader, may say something first.
  std::vector<std::string> lines =
      absl::StrSplit(absl::StrCat(output.err, "\n", output.out), '\n', absl::SkipEmpty());
  for (auto& line : lines) {
    if (line.starts_with(OPENSSH)) return line;
  }
  return lines.empty() ? "" : lines[0];
}

std::optional<Client> client() {
  static std::mutex mutex;
  static Client last;
  auto path = findProgram("ssh");
  if (!path) return std::nullopt;
  std::lock_guard lock(mutex);
  if (last.path != *path) last = {*path, askVersion(*path)};
  return last;
}

}  // namespace

std::optional<std::string> findOpenssh() {
  auto found = client();
  return found && found->isOpenssh() ? std::optional(found->path) : std::nullopt;
}

std::string whatIsNotOpenssh() {
  auto found = client();
  if (!found) return "there is no ssh on PATH";
  return absl::StrCat(escapeForTerminal(found->path), " is not OpenSSH's client",
                      found->version.empty()
                          ? ""
                          : absl::StrCat(" ('ssh -V' says: ",
                                         escapeForTerminal(shorten(found->version, 100)), ")"));
}

std::string requireOpenssh(const std::string& host) {
  if (auto path = findOpenssh()) return *path;
  throw Failure(absl::StrCat("OpenSSH's client is needed for ", escapeForTerminal(host), ", and ",
                             whatIsNotOpenssh(),
                             ". Install it with 'sudo apt install openssh-client', and see that it "
                             "comes first on PATH."));
}

}  // namespace pibrain
