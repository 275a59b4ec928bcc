#include "hub/cli/support.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/environment.h"
#include "common/text/escape.h"
#include "common/text/tilde.h"
#include "hub/base/failure-status.h"
#include "hub/base/own-command.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"
#include "hub/cli/commands.h"
#include "hub/config/spelling.h"
#include "hub/report/documents.h"
#include "hub/view/failure-text.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

void say(const std::string& text) {
  puts(text.c_str());
  fflush(stdout);
}

void printFailure(const Failure& failure) {
  auto style = styleOf(STDERR_FILENO);
  fputs(style.plain(failureText("pi-brain: ", failure, style)).c_str(), stderr);
}
bool confirm(const std::string& question) {
  printf("%s [y/N] ", question.c_str());
  fflush(stdout);
  char answer[16];
  return fgets(answer, sizeof(answer), stdin) != nullptr && (answer[0] == 'y' || answer[0] == 'Y');
}

void warn(const std::string& message) {
  fprintf(stderr, "pi-brain: warning: %s\n", message.c_str());
}

int refuse(const Failure& failure, bool json) {
  printFailure(failure);
  if (json) puts(refusalJson(failure).c_str());
  return exitCodeOf(failure);
}

Failure usageError(std::string what, std::string cause) {
  return Failure(FailureId::USAGE, std::move(what), std::move(cause));
}

namespace {

// Returns the failure that there is no home directory, without which the default config has no
// path; nullopt: there is one.
std::optional<Failure> noHome() {
  auto home = homeDirectory();
  struct stat st;
  bool found = home.starts_with('/') && stat(home.c_str(), &st) == 0;
  if (found && S_ISDIR(st.st_mode)) return std::nullopt;
  auto why = found || !home.starts_with('/') ? "it is not a directory" : strerror(errno);
  return Failure(FailureId::CONFIG_UNREADABLE,
                 absl::StrCat(!environment("HOME").empty()
                                  ? "HOME is not an existing directory: "
                                  : "HOME is not set, and the user database has no existing home "
                                    "directory: ",
                              inQuotes(home), " (", why, ")"),
                 "",
                 {{"Set HOME to the directory that contains .pi-brain/config.yaml, or name the "
                   "config with --config",
                   ""}});
}

Failure unknownSpoke(const Config& config, const std::string& name) {
  std::vector<std::string> known;
  const std::string* nearest = nullptr;
  for (auto& spoke : config.spokes) {
    known.push_back(spoke.name);
    if (nearest == nullptr && isLike(name, spoke.name)) nearest = &spoke.name;
  }
  Failure failure(FailureId::SPOKE_UNKNOWN,
                  absl::StrCat("there is no spoke '", escapeForTerminal(name), "' in ",
                               escapeForTerminal(config.file)),
                  known.empty() ? "The config has no spokes yet."
                                : "The spokes are: " + absl::StrJoin(known, ", ") + ".");
  if (nearest != nullptr) failure.addFix({"Use the name '" + *nearest + "'", ""});
  failure.addFix({"List the spokes", ownCommand("spoke list")});
  return failure;
}

}  // namespace

Config takeConfig(const std::string& configFile) {
  setConfigInUse(configFile);
  bool inHome = configFile.empty() || beginsWithTilde(configFile);
  if (auto failure = inHome ? noHome() : std::nullopt) throw *failure;
  auto config = loadConfig(configFile);
  if (!config.ok()) throw failureOf(config.status(), FailureId::CONFIG_INVALID);
  if (config->doubt) warn(*config->doubt);
  return *std::move(config);
}

std::vector<const SpokeConfig*> selectSpokes(const Config& config,
                                             const std::vector<std::string>& names) {
  std::vector<const SpokeConfig*> chosen;
  if (names.empty()) {
    for (auto& spoke : config.spokes) chosen.push_back(&spoke);
    return chosen;
  }
  for (auto& name : names) {
    auto* found = findSpoke(config, name);
    if (found == nullptr) throw unknownSpoke(config, name);
    if (std::find(chosen.begin(), chosen.end(), found) == chosen.end()) chosen.push_back(found);
  }
  return chosen;
}

std::unique_ptr<Selection> loadSelection(const std::string& configFile,
                                         const std::vector<std::string>& names) {
  auto chosen = std::make_unique<Selection>(Selection{takeConfig(configFile), {}});
  chosen->spokes = selectSpokes(chosen->config, names);
  return chosen;
}

ArchiveContents contentsOfArchive(const Config& config, const std::vector<std::string>& spokes) {
  auto contents = archiveContents(config.hub.archiveDir, spokes);
  if (!contents.ok()) throw failureOf(contents.status(), FailureId::ARCHIVE_UNREADABLE);
  for (auto& name : contents->without) (void)selectSpokes(config, {name});
  return *std::move(contents);
}

int exitCodeOf(const Failure& failure) {
  switch (failure.id()) {
    case FailureId::USAGE:
    case FailureId::CONFIG_INVALID:
    case FailureId::CONFIG_UNREADABLE:
    case FailureId::SPOKE_EXISTS:
    case FailureId::SPOKE_UNKNOWN:
      return EXIT_USAGE;
    case FailureId::MIRROR_IN_USE:
      return EXIT_LOCKED;
    default:
      return EXIT_FAILED;
  }
}

int exitCodeOf(const std::vector<SpokeReport>& reports) {
  auto any = [&](Outcome outcome) {
    return std::any_of(reports.begin(), reports.end(),
                       [&](auto& report) { return report.outcome == outcome; });
  };
  return any(Outcome::FAILED) ? EXIT_FAILED : any(Outcome::LOCKED) ? EXIT_LOCKED : EXIT_GOOD;
}

std::string firstSpokeHelp(const Config& config) {
  return absl::StrCat("No spokes yet. '", ownCommand("spoke add laptop user@laptop"),
                      "' adds a machine that you can log in to; or write in ",
                      escapeForTerminal(config.file),
                      ":\n\n"
                      "  spokes:\n"
                      "    - name: laptop\n"
                      "      sync_method: agent\n"
                      "      source: user@laptop:~/.pi/agent/sessions\n"
                      "      path: ~/.pi-brain/synced/laptop\n");
}

}  // namespace pibrain
