#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/mirror/restore.h"
#include "hub/report/documents.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct ArchiveRestoreArguments {
  std::string config;
  RestoreRequest request;
  std::string to;  // empty: the files' places in the mirrors
  bool dryRun = false;
  bool json = false;
};

// Returns EXIT_LOCKED if the only failure is that another run is changing a mirror.
int exitCodeOf(const RestoreChoice& choice, const std::vector<RestoredFile>& restored) {
  if (!choice.failures.empty()) return EXIT_FAILED;
  int code = EXIT_GOOD;
  for (auto& one : restored) {
    if (!one.failure) continue;
    if (one.failure->id() != FailureId::MIRROR_IN_USE) return EXIT_FAILED;
    code = EXIT_LOCKED;
  }
  return code;
}

// Warns if a spoke has 'delete: true', because a restored file does not stay in its mirror.
void warnOfDeletion(const Config& config, const std::vector<RestoredFile>& restored) {
  bool any = std::any_of(restored.begin(), restored.end(), [&](auto& one) {
    auto* spoke = findSpoke(config, one.file.spoke);
    return !one.failure && spoke != nullptr && spoke->deleteGone;
  });
  if (!any) return;
  fputs(
      "If this file is not on the spoke, the next run archives it again, because the config says "
      "'delete: true'.\n",
      stderr);
}

// Prints the result for one file, which was asked for by its id.
void printOne(const RestoredFile& one, bool dryRun) {
  if (one.failure) return printFailure(*one.failure);
  printf("%s %s\n", dryRun ? "Would restore" : "Restored", escapeForTerminal(one.path).c_str());
}

// Prints the fixes of all failures, each once.
void printFixes(const std::vector<RestoredFile>& restored) {
  std::set<Fix> fixes;
  for (auto& one : restored) {
    if (!one.failure) continue;
    for (auto& fix : one.failure->fixes()) {
      if (!fixes.insert(fix).second) continue;
      fprintf(stderr, "  Fix: %s%s%s\n", fix.text.c_str(), fix.command.empty() ? "" : ": ",
              fix.command.c_str());
    }
  }
}

void printTable(const RestoreChoice& choice, const std::vector<RestoredFile>& restored,
                bool dryRun) {
  auto style = styleOfOutput();
  std::string spoke;
  size_t failed = 0;
  uint64_t bytes = 0;
  for (auto& one : restored) {
    auto& file = one.file;
    if (file.spoke != spoke) printf("%s:\n", escapeForTerminal(spoke = file.spoke).c_str());
    auto why = one.failure ? ": " + style.plain(one.failure->summary()) : "";
    printf("  %s %s  %s  %8s  %s%s\n", style.mark(one.failure ? Mark::BAD : Mark::GOOD).c_str(),
           file.id.c_str(), formatTime(file.archived).c_str(), formatBytes(file.size).c_str(),
           escapeForTerminal(file.path).c_str(), why.c_str());
    failed += one.failure ? 1 : 0;
    bytes += one.failure ? 0 : file.size;
  }
  printf("%s%s %s, %s", restored.empty() ? "" : "\n",
         countOf(restored.size() - failed, "file").c_str(),
         dryRun ? "would be restored" : "restored", formatBytes(bytes).c_str());
  if (failed > 0) printf(", %zu failed", failed);
  if (!choice.older.empty()) {
    printf("; %s of them left in the archive",
           countOf(choice.older.size(), "older version").c_str());
  }
  printf("\n");
  fflush(stdout);
}

RestoreChoice choose(const ArchiveContents& contents, const RestoreRequest& request) {
  auto choice = chooseArchived(contents.files, request);
  bool oneIsFound = request.isOneId() && choice.failures.empty();
  if (contents.problem && !oneIsFound) {
    Failure unread(FailureId::ARCHIVE_UNREADABLE, withoutFullStop(*contents.problem));
    // The file that was not found may be in the part that cannot be read.
    if (request.isOneId()) choice.failures.clear();
    choice.failures.insert(choice.failures.begin(), unread);
  } else if (choice.files.empty() && choice.failures.empty()) {
    choice.failures.push_back(
        Failure(FailureId::ARCHIVED_FILE_UNKNOWN, "no archived file matches the request", "",
                {{"List the archived files", ownCommand("sync archive list")}}));
  }
  return choice;
}

int syncArchiveRestore(const ArchiveRestoreArguments& arguments) {
  auto& request = arguments.request;
  if (request.wanted.empty() && request.spokes.empty() && request.run.empty()) {
    throw usageError(
        "no file is named",
        "Name IDs, paths or patterns, or all of a spoke with --spoke NAME, or all of a run with "
        "--run RUN; 'pi-brain sync archive list' lists them.");
  }
  auto config = takeConfig(arguments.config);
  auto choice = choose(contentsOfArchive(config, request.spokes), request);
  bool one = request.isOneId() && choice.files.size() == 1;
  auto restored = restoreArchived(config, choice.files,
                                  {arguments.to, !one && !arguments.to.empty()}, arguments.dryRun);
  int code = exitCodeOf(choice, restored);
  if (arguments.json) {
    puts(restoreJson(choice, restored, code == EXIT_GOOD, arguments.dryRun).c_str());
  } else {
    if (one) {
      printOne(restored[0], arguments.dryRun);
    } else if (!restored.empty()) {
      printTable(choice, restored, arguments.dryRun);
      printFixes(restored);
    }
    for (auto& failure : choice.failures) printFailure(failure);
  }
  if (arguments.to.empty()) warnOfDeletion(config, restored);
  return code;
}

}  // namespace

void addArchiveRestore(CLI::App& archive, int& exitCode) {
  auto options = std::make_shared<ArchiveRestoreArguments>();
  auto* command = archive.add_subcommand("restore", "Restore files from the archive");
  addConfig(command, options->config);
  addSpokeOption(command, options->request.spokes);
  addPaths(command, "ID|PATTERN", options->request.wanted,
           "IDs from the list (the beginning is enough), or paths in the mirror, or patterns for "
           "them; put '--' first if one begins with '-'");
  command
      ->add_option("--run", options->request.run,
                   "Only what this run archived: its time as listed, or the first part of it")
      ->type_name("RUN")
      ->check([](const std::string& value) { return value.empty() ? "is empty" : std::string(); });
  addPath(
      command, "--to", options->to,
      "Where to restore it (default: its place in the mirror); a directory if several files are "
      "restored");
  command->add_flag("-n,--dry-run", options->dryRun, "Show what would be restored");
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return syncArchiveRestore(*options); });
}

}  // namespace pibrain
