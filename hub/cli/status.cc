#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <algorithm>

#include <memory>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/report/documents.h"
#include "hub/report/status.h"
#include "hub/view/prometheus.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct StatusArguments {
  std::string config;
  bool json = false;
  bool prometheus = false;
};

// "less than a minute", "5 minutes", "3 hours", "2 days".
std::string formatSpan(int64_t nanos) {
  int64_t minutes = nanos / 60'000'000'000;
  if (minutes < 1) return "less than a minute";
  if (minutes < 2 * 60) return countOf(uint64_t(minutes), "minute");
  if (minutes < 2 * 24 * 60) return countOf(uint64_t(minutes / 60), "hour");
  return countOf(uint64_t(minutes / (24 * 60)), "day");
}

void printSpoke(const SpokeStatus& spoke, const TerminalStyle& style, int64_t now) {
  bool good = spoke.exists && !spoke.runs.lastFailure;
  auto mark = !spoke.config->enabled ? Mark::SKIPPED : good ? Mark::GOOD : Mark::BAD;
  printf("  %s %s (%s)%s\n", style.mark(mark).c_str(), spoke.config->name.c_str(),
         toString(spoke.config->method), spoke.config->enabled ? "" : " disabled");
  auto line = [](const char* what, const std::string& value) {
    printf("      %s: %s\n", what, value.c_str());
  };
  line("Sessions", absl::StrCat(spoke.sessions));
  line("Path", escapeForTerminal(spoke.config->path) + (spoke.exists ? "" : " (does not exist)"));
  if (!spoke.config->sourceText.empty()) {
    line("Source", escapeForTerminal(spoke.config->sourceText));
  }
  if (!spoke.config->scheduleText.empty()) {
    line("Schedule", escapeForTerminal(spoke.config->scheduleText));
  }
  if (spoke.exists) {
    line("Mirror", absl::StrCat(formatBytes(spoke.bytes), " in ", countOf(spoke.files, "file")));
  }
  if (spoke.archiveBytes > 0) line("Archive", formatBytes(spoke.archiveBytes));
  line("Last sync", spoke.runs.lastGood ? formatAgo(*spoke.runs.lastGood, now) : "never synced");
  if (auto lag = spoke.lag(now)) line("Lag", formatSpan(*lag));
  if (spoke.runs.lastFailure) {
    auto when = spoke.runs.last ? formatAgo(spoke.runs.last->finished, now) + ": " : "";
    line("Last error", when + style.plain(spoke.runs.lastError()));
  }
}

void printText(const Config& config, const Status& status) {
  int64_t now = wallClockNanos();
  printf("Hub: %s\n  Sessions: %u\n  Directory: %s\n\n", escapeForTerminal(status.hubName).c_str(),
         status.hubSessions, escapeForTerminal(config.hub.sessionsDir).c_str());
  if (status.spokes.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
    return;
  }
  printf("Spokes:\n");
  auto style = styleOfOutput();
  for (auto& spoke : status.spokes) printSpoke(spoke, style, now);
  printf("\nTotal: %s from %s\n", countOf(status.total, "session").c_str(),
         countOf(status.spokes.size(), "spoke").c_str());
  bool needed = std::any_of(status.spokes.begin(), status.spokes.end(), [](auto& spoke) {
    return spoke.config->method == SyncMethod::RSYNC && spoke.config->enabled;
  });
  if (needed && !status.rsyncAvailable) {
    printf(
        "\nWarning: rsync was not found on PATH, and some spokes need it. "
        "Install it: sudo apt install rsync\n");
  }
}

int syncStatus(const StatusArguments& arguments) {
  auto config = takeConfig(arguments.config);
  if (!config) return EXIT_USAGE;
  auto status = statusOf(*config, warn);
  if (arguments.prometheus) {
    fputs(prometheusText(status).c_str(), stdout);
  } else if (arguments.json) {
    puts(statusJson(*config, status).c_str());
  } else {
    printText(*config, status);
  }
  return EXIT_GOOD;
}

}  // namespace

void addStatus(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<StatusArguments>();
  auto* command = sync.add_subcommand("status", "Show the hub, its spokes and their last sync");
  addConfig(command, options->config);
  auto* json =
      command->add_flag("--json", options->json, "Print one JSON document instead of text");
  command
      ->add_flag("--prometheus", options->prometheus,
                 "Print metrics for the node exporter's textfile collector instead of text")
      ->excludes(json);
  command->callback([options, &exitCode]() { exitCode = syncStatus(*options); });
}

}  // namespace pibrain
