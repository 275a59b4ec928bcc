#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <stdio.h>

#include <algorithm>

#include <memory>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/report/documents.h"
#include "hub/run/verify.h"
#include "hub/view/failure-text.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct VerifyArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool repair = false;
  bool json = false;
};

constexpr size_t MAX_PRINTED = 100;

std::string describe(const Difference& difference) {
  switch (difference.kind) {
    case Difference::Kind::MISSING:
      return "not in the mirror yet";
    case Difference::Kind::CHANGED:
      return absl::StrCat("changed since the last run (", formatBytes(difference.size),
                          " on the spoke, ", formatBytes(difference.mirrorSize), " on the hub)");
    case Difference::Kind::CONTENT:
      break;
  }
  if (!difference.offset) return "content differs although size and time are the same";
  return absl::StrCat("content differs in the block of ", difference.blockLength, " bytes at byte ",
                      *difference.offset, ", although size and time are the same");
}

// Returns "2 differ, 5 not in the mirror yet".
std::string differencesText(const Verification& result) {
  if (result.differences.empty()) return "all alike";
  auto missing =
      size_t(std::count_if(result.differences.begin(), result.differences.end(),
                           [](auto& one) { return one.kind == Difference::Kind::MISSING; }));
  auto others = result.differences.size() - missing;
  std::vector<std::string> parts;
  if (others > 0) parts.push_back(absl::StrCat(others, others == 1 ? " differs" : " differ"));
  if (missing > 0) parts.push_back(absl::StrCat(missing, " not in the mirror yet"));
  return absl::StrJoin(parts, ", ");
}

void printText(const SpokeConfig& spoke, const Verification& result) {
  auto& report = result.report;
  auto style = styleOfOutput();
  for (auto& warning : report.warnings) {
    printf("  %s %s: %s\n", style.mark(Mark::WARNING).c_str(), report.name.c_str(),
           style.plain(warning).c_str());
  }
  for (size_t i = 0; i < std::min(result.differences.size(), MAX_PRINTED); ++i) {
    auto& difference = result.differences[i];
    printf("    %s: %s\n", escapeForTerminal(difference.path).c_str(),
           describe(difference).c_str());
  }
  if (result.differences.size() > MAX_PRINTED) {
    printf("    %s and %zu more\n", style.ellipsis(), result.differences.size() - MAX_PRINTED);
  }
  if (report.outcome == Outcome::SKIPPED) {
    printf("  %s %s: skipped, %s\n", style.mark(Mark::SKIPPED).c_str(), report.name.c_str(),
           report.skipped.c_str());
  } else if (report.outcome != Outcome::OK) {
    auto start = absl::StrCat("  ", style.mark(Mark::BAD), " ", report.name, ": ");
    fputs(style.plain(failureText(start, *report.failure, style)).c_str(), stdout);
  } else {
    auto differ = differencesText(result);
    printf("  %s %s: %s compared, %s, %s%s%s%s; %s on the wire, %.1f s\n",
           style.mark(result.good() ? Mark::GOOD : Mark::BAD).c_str(), report.name.c_str(),
           countOf(result.files, "file").c_str(), formatBytes(result.bytes).c_str(), differ.c_str(),
           !result.repaired                 ? ""
           : result.differences.size() == 1 ? ", fetched"
                                            : ", all fetched",
           result.unread > 0 ? absl::StrCat(", ", result.unread, " not compared").c_str() : "",
           result.extra > 0 ? absl::StrCat(", ", result.extra, " only in the mirror").c_str() : "",
           formatBytes(report.wire.up + report.wire.down).c_str(), secondsOf(report));
    if (result.unread > 0) {
      printf(
          "    files that were not compared may differ; make them readable for the spoke's agent, "
          "and verify again\n");
    }
    if (result.differences.empty() || result.repaired) return;
    if (!result.good()) {
      printf("    '%s' fetches what differs\n",
             ownCommand("sync verify --spoke " + shellQuote(spoke.name) + " --repair").c_str());
    } else {
      printf("    '%s' fetches what differs\n", ownCommand("sync run").c_str());
    }
  }
}

int exitCodeOf(const std::vector<Verification>& results) {
  std::vector<SpokeReport> reports;
  for (auto& result : results) {
    bool differs = result.report.outcome == Outcome::OK && !result.good();
    if (differs) return EXIT_FAILED;
    reports.push_back(result.report);
  }
  return exitCodeOf(reports);
}

int syncVerify(const VerifyArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  auto& config = chosen->config;
  if (chosen->spokes.empty() && !arguments.json) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
    return EXIT_GOOD;
  }
  auto store = Store::openExisting(config.hub.databaseDir, warn);
  VerifyOptions options;
  options.repair = arguments.repair;
  auto results = verifySpokes(config, chosen->spokes, options, store.ok() ? store->get() : nullptr,
                              [&](auto& spoke, auto& result) {
                                if (!arguments.json) printText(spoke, result);
                                fflush(stdout);
                              });
  int code = exitCodeOf(results);
  if (arguments.json) puts(verifyJson(results, code == EXIT_GOOD).c_str());
  return code;
}

}  // namespace

void addVerify(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<VerifyArguments>();
  auto* command =
      sync.add_subcommand("verify", "Compare the mirrors with the spokes by content hashes");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command->add_flag("--repair", options->repair, "Fetch what differs");
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return syncVerify(*options); });
}

}  // namespace pibrain
