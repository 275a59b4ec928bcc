#include "hub/setup/systemd.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs/own-program.h"
#include "common/text/environment.h"
#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"

namespace pibrain {

std::string unitDirectory() {
  auto config = environment("XDG_CONFIG_HOME");
  return (config.starts_with('/') ? config : expandHome("~/.config")) + "/systemd/user";
}

std::string unitQuote(const std::string& word, bool program) {
  auto quoted =
      absl::StrReplaceAll(word, {{"\\", "\\\\"}, {"\"", "\\\""}, {"%", "%%"}, {"\n", "\\n"}});
  // systemd expands no variables in the first word.
  return absl::StrCat("\"", program ? quoted : absl::StrReplaceAll(quoted, {{"$", "$$"}}), "\"");
}

std::string thisProgram() {
  auto path = ownProgram();
  return path.empty() ? "pi-brain" : path;
}

absl::Status writeUnit(const std::string& name, const std::string& text, const std::string& mark,
                       const Say& say) {
  auto made = makeDirectories(unitDirectory());
  if (!made.ok()) return made;
  auto path = absl::StrCat(unitDirectory(), "/", name);
  auto before = readWholeFile(path);
  if (before && !absl::StrContains(*before, mark)) {
    auto kept = path + ".old";
    if (rename(path.c_str(), kept.c_str()) != 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot move ", escapeForTerminal(path), " away: ", strerror(errno)));
    }
    say("kept the existing unit as " + escapeForTerminal(kept));
  }
  auto written = replaceFile(path, text, 0644);
  if (written.ok()) say("wrote " + escapeForTerminal(path));
  return written;
}

bool removeUnit(const std::string& name, FailureId failure, const Say& say) {
  auto path = absl::StrCat(unitDirectory(), "/", name);
  if (unlink(path.c_str()) == 0) {
    say("removed " + escapeForTerminal(path));
    return true;
  }
  if (errno == ENOENT) return false;
  throw Failure(failure,
                absl::StrCat("cannot remove ", escapeForTerminal(path), ": ", strerror(errno)));
}

std::optional<std::string> systemctl(const std::vector<std::string>& arguments) {
  auto program = findProgram("systemctl");
  if (!program) return "systemctl was not found on PATH";
  std::vector<std::string> argv{*program, "--user"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto done = runProgram(argv, std::chrono::seconds(30));
  if (done.exitStatus == 0) return std::nullopt;
  auto said = std::string(absl::StripAsciiWhitespace(done.err));
  return said.empty() ? absl::StrCat("systemctl ended with exit status ", done.exitStatus) : said;
}

bool unitIsInstalled(const std::string& name) {
  return access(absl::StrCat(unitDirectory(), "/", name).c_str(), F_OK) == 0;
}

void sayIfLogoutStopsIt(const Say& say) {
  auto user = findUser(getuid());
  struct stat st;
  bool lingers =
      user && stat(absl::StrCat("/var/lib/systemd/linger/", user->name).c_str(), &st) == 0;
  if (!lingers)
    say("It starts when you log in, and stops when you log out. To keep it running: 'loginctl "
        "enable-linger'");
}

}  // namespace pibrain
