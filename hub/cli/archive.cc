#include <stdio.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/report/documents.h"

namespace pibrain {

namespace {

struct ArchiveListArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool json = false;
};

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
    printf(", of spokes that were removed: kept until you remove %s from %s\n",
           forGood == 1 ? "it" : "them", escapeForTerminal(config.hub.archiveDir).c_str());
  } else {
    printf(", kept for at least %s\n", countOf(config.hub.archiveDays, "day").c_str());
    if (forGood > 0) {
      printf("%zu of these files %s to removed spokes, and %s kept until you delete %s from %s.\n",
             forGood, forGood == 1 ? "belongs" : "belong", forGood == 1 ? "is" : "are",
             forGood == 1 ? "it" : "them", escapeForTerminal(config.hub.archiveDir).c_str());
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
  auto all = contentsOfArchive(config, arguments.spokes);
  std::optional<Failure> failure;
  if (all.problem) failure.emplace(FailureId::ARCHIVE_UNREADABLE, withoutFullStop(*all.problem));
  if (arguments.json) {
    puts(archiveJson(all.files, failure).c_str());
  } else {
    printText(config, all.files);
  }
  if (!failure) return EXIT_GOOD;
  printFailure(*failure);
  return EXIT_FAILED;
}

}  // namespace

void addArchive(CLI::App& sync, int& exitCode) {
  auto* archive = sync.add_subcommand("archive", "Files that syncs overwrote or deleted");
  archive->require_subcommand(1);
  addConfigToGroup(*archive);
  auto list = std::make_shared<ArchiveListArguments>();
  auto* listing = archive->add_subcommand("list", "List the files in the archive");
  addConfig(listing, list->config);
  addSpokes(listing, list->spokes);
  addJson(listing, list->json);
  setAction(listing, exitCode, [list]() { return syncArchiveList(*list); });

  addArchiveRestore(*archive, exitCode);
}

}  // namespace pibrain
