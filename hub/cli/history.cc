#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <stdio.h>

#include <memory>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/report/documents.h"
#include "hub/view/failure-text.h"
#include "hub/view/run-text.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct HistoryArguments {
  std::string config;
  std::vector<std::string> spokes;
  uint32_t limit = 20;
  bool json = false;
};

void printText(const std::vector<SpokeReport>& runs) {
  auto style = styleOfOutput();
  for (auto& run : runs) {
    bool good = run.outcome == Outcome::OK;
    auto start = absl::StrCat(formatTime(run.started), "  ",
                              style.mark(good ? Mark::GOOD : Mark::BAD), " ", run.name, ": ");
    if (run.failure) {
      fputs(style.plain(failureText(start, *run.failure, style)).c_str(), stdout);
      continue;
    }
    if (run.liveHour) {
      printf("%s%s\n", start.c_str(), style.plain(liveHourText(run)).c_str());
      continue;
    }
    auto what = absl::StrCat(summarize(run, false), "; ", formatBytes(run.wire.up + run.wire.down),
                             " on the wire, ", absl::StrFormat("%.1f s", secondsOf(run)));
    printf("%s%s\n", start.c_str(), style.plain(what).c_str());
  }
}

int syncHistory(const HistoryArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  auto& config = chosen->config;
  auto store = Store::openExisting(config.hub.databaseDir, warn);
  absl::StatusOr<std::vector<SpokeReport>> runs = std::vector<SpokeReport>();
  if (!store.ok()) {
    runs = store.status();
  } else if (*store != nullptr) {
    runs = (*store)->history(arguments.spokes, arguments.limit);
  }
  if (!runs.ok()) {
    throw Failure(FailureId::HISTORY_UNUSABLE,
                  absl::StrCat("the history cannot be read: ",
                               withoutFullStop(std::string(runs.status().message()))));
  }
  if (arguments.json) {
    puts(historyJson(*runs).c_str());
  } else if (runs->empty()) {
    printf("No runs yet. '%s' starts one.\n", ownCommand("sync run").c_str());
  } else {
    printText(*runs);
  }
  return EXIT_GOOD;
}

}  // namespace

void addHistory(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<HistoryArguments>();
  auto* command =
      sync.add_subcommand("history", "Show what the latest runs did, and each hour of live mode");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command->add_option("-n,--limit", options->limit, "Show this many runs (default 20)")
      ->type_name("N")
      ->check(between(1, 10'000'000));
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return syncHistory(*options); });
}

}  // namespace pibrain
