#include <stdio.h>

#include <algorithm>
#include <memory>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/failure-status.h"
#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/report/documents.h"

namespace pibrain {

namespace {

struct ArchiveListArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool json = false;
};

// Returns the archives of these spokes, or of all. Spokes that are no longer in the config may
// still have one.
absl::StatusOr<ArchiveContents> contentsOf(const Config& config,
                                           const std::vector<std::string>& spokes) {
  auto contents = archiveContents(config.hub.archiveDir, spokes);
  if (!contents.ok()) return contents;
  for (auto& name : contents->without) {
    auto chosen = selectSpokes(config, {name});
    if (!chosen.ok()) return chosen.status();
  }
  return contents;
}

void printText(const Config& config, const std::vector<ArchivedFile>& files) {
  std::string spoke;
  for (auto& file : files) {
    if (file.spoke != spoke) printf("%s:\n", escapeForTerminal(spoke = file.spoke).c_str());
    auto* reason = file.reason == ArchiveReason::UNKNOWN ? "-" : toString(file.reason);
    printf("  %s  %s  %-9s  %8s  %s\n", file.id.c_str(), formatTime(file.archived).c_str(), reason,
           formatBytes(file.size).c_str(), escapeForTerminal(file.path).c_str());
  }
  printf("%s%s in the archive, %s", files.empty() ? "" : "\n",
         countOf(files.size(), "file").c_str(), formatBytes(bytesOf(files)).c_str());
  auto forGood =
      size_t(std::count_if(files.begin(), files.end(), [](auto& f) { return f.forGood; }));
  if (config.hub.archiveDays == 0) {
    printf(", kept for ever\n");
  } else if (forGood > 0 && forGood == files.size()) {
    printf(", of spokes that were removed: kept until you remove %s\n",
           forGood == 1 ? "it" : "them");
  } else {
    printf(", kept for at least %s\n", countOf(config.hub.archiveDays, "day").c_str());
    if (forGood > 0) {
      printf("%s of these, of spokes that were removed, %s kept until you remove %s.\n",
             countOf(forGood, "file").c_str(), forGood == 1 ? "is" : "are",
             forGood == 1 ? "it" : "them");
    }
  }
  if (!files.empty()) {
    printf(
        "'%s' restores one file to its mirror; --to PATH restores it elsewhere. A path, a pattern, "
        "--run TIME or --spoke NAME restores many.\n",
        ownCommand("sync archive restore ID").c_str());
  }
}

int syncArchiveList(const ArchiveListArguments& arguments) {
  auto config = takeConfig(arguments.config);
  if (!config) return EXIT_USAGE;
  auto all = contentsOf(*config, arguments.spokes);
  if (!all.ok()) {
    auto failure = failureOf(all.status(), FailureId::ARCHIVE_UNREADABLE);
    bool usage = failure.id() == FailureId::SPOKE_UNKNOWN;
    return printFailure(failure), usage ? EXIT_USAGE : EXIT_FAILED;
  }
  if (arguments.json) {
    puts(archiveJson(all->files).c_str());
  } else {
    printText(*config, all->files);
  }
  if (all->problem.empty()) return EXIT_GOOD;
  return printError(all->problem), EXIT_FAILED;
}

}  // namespace

void addArchive(CLI::App& sync, int& exitCode) {
  auto* archive = sync.add_subcommand("archive", "Files that syncs overwrote or deleted");
  archive->require_subcommand(1);
  auto list = std::make_shared<ArchiveListArguments>();
  auto* listing = archive->add_subcommand("list", "List the files in the archive");
  addConfig(listing, list->config);
  addSpokes(listing, list->spokes);
  listing->add_flag("--json", list->json, "Print one JSON document instead of text");
  listing->callback([list, &exitCode]() { exitCode = syncArchiveList(*list); });

  addArchiveRestore(*archive, exitCode);
}

}  // namespace pibrain
