#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <stdio.h>

#include <algorithm>

#include <memory>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/daemon/control-client.h"
#include "hub/report/documents.h"
#include "hub/report/status.h"
#include "hub/view/failure-text.h"
#include "hub/view/prometheus.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct StatusArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool details = false;
  bool json = false;
  bool prometheus = false;
};

Mark markOf(SpokeState state) {
  switch (state) {
    case SpokeState::GOOD:
      return Mark::GOOD;
    case SpokeState::FAILED:
      return Mark::BAD;
    case SpokeState::NEVER:
    case SpokeState::STALE:
    case SpokeState::EMPTY:
      return Mark::WARNING;
    case SpokeState::DISABLED:
      break;
  }
  return Mark::SKIPPED;
}

// Returns the STATE in the table; for a failure, its id.
std::string stateWords(const SpokeStatus& spoke, int64_t now) {
  auto state = spoke.state(now);
  if (state == SpokeState::GOOD && spoke.live) return shownState(*spoke.live);
  if (state != SpokeState::FAILED) return toString(state);
  // A good run does not rule out that the mirror was removed since.
  if (!spoke.runs.lastFailure) return spoke.isFile ? "no directory" : "mirror is gone";
  return std::string(spoke.runs.lastFailure->idName());
}

std::string lastSync(const SpokeStatus& spoke, int64_t now) {
  return spoke.runs.lastGood ? formatAgo(*spoke.runs.lastGood, now) : "-";
}

void printDetails(const SpokeStatus& spoke, const TerminalStyle& style, int64_t now) {
  printf("  %s %s (%s): %s\n", style.mark(markOf(spoke.state(now))).c_str(),
         spoke.config->name.c_str(), toString(spoke.config->method), toString(spoke.state(now)));
  auto line = [](const char* what, const std::string& value) {
    printf("      %s: %s\n", what, value.c_str());
  };
  line("Sessions", absl::StrCat(spoke.sessions));
  line("Path", escapeForTerminal(spoke.config->path) + (spoke.exists   ? ""
                                                        : spoke.isFile ? " (is not a directory)"
                                                                       : " (does not exist)"));
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
  if (spoke.runs.lastGood) line("Last sync", formatAgo(*spoke.runs.lastGood, now));
  if (spoke.live) {
    line("Daemon",
         absl::StrCat(shownState(*spoke.live), " since ", formatAgo(spoke.live->since, now),
                      spoke.live->why.empty() ? "" : ": ", escapeForTerminal(spoke.live->why)));
  }
  if (auto problem = spoke.problem(now)) {
    auto when = spoke.runs.last && spoke.runs.lastFailure
                    ? formatAgo(spoke.runs.last->finished, now) + ": "
                    : "";
    auto start =
        absl::StrCat("      ", spoke.runs.lastFailure ? "Last error: " : "Problem: ", when);
    fputs(style.plain(failureText(start, *problem, style)).c_str(), stdout);
  }
  if (!spoke.config->enabled) {
    line("Enable", ownCommand("spoke enable " + escapeForTerminal(shellQuote(spoke.config->name))));
  }
}

// Prints one line per spoke, in 80 columns.
void printTable(const std::vector<const SpokeStatus*>& spokes, const TerminalStyle& style,
                int64_t now) {
  constexpr size_t COLUMNS = 80, LONGEST_NAME = 16;
  size_t width = 5;
  for (auto* spoke : spokes) width = std::max(width, columnsOf(spoke->config->name));
  width = std::min(width, LONGEST_NAME);
  auto row = [&](const std::string& mark, const std::string& name, const std::string& method,
                 const std::string& sessions, const std::string& size, const std::string& when,
                 const std::string& state) {
    auto shown = elideMiddle(name, LONGEST_NAME - 1);
    shown.append(width - std::min(width, columnsOf(shown)), ' ');
    auto start = absl::StrFormat("  %s %s  %-9s %8s %8s  %-9s ", mark, style.plain(shown), method,
                                 sessions, size, when);
    // An id can be longer than what is left.
    size_t left = COLUMNS - std::min(COLUMNS - 1, columnsOf(start));
    printf("%s%s\n", start.c_str(),
           (state.size() > left ? elideMiddle(state, left - 1) : state).c_str());
  };
  row(" ", "SPOKE", "METHOD", "SESSIONS", "SIZE", "LAST SYNC", "STATE");
  for (auto* spoke : spokes) {
    row(style.mark(markOf(spoke->state(now))), spoke->config->name, toString(spoke->config->method),
        absl::StrCat(spoke->sessions), formatBytes(spoke->bytes), lastSync(*spoke, now),
        stateWords(*spoke, now));
  }
}

std::string summaryOf(const Status& status, int64_t now) {
  uint64_t sessions = 0;
  for (auto& spoke : status.spokes) sessions += spoke.sessions;
  std::string text = absl::StrCat("Total: ", countOf(sessions, "session"), " from ",
                                  countOf(status.spokes.size(), "spoke"));
  for (auto state : {SpokeState::FAILED, SpokeState::STALE, SpokeState::NEVER, SpokeState::EMPTY,
                     SpokeState::DISABLED}) {
    auto count = std::count_if(status.spokes.begin(), status.spokes.end(),
                               [&](auto& spoke) { return spoke.state(now) == state; });
    if (count > 0) absl::StrAppend(&text, ", ", count, " ", toString(state));
  }
  return text;
}

void warnOfMissingRsync(const Status& status) {
  bool needed = std::any_of(status.spokes.begin(), status.spokes.end(), [](auto& spoke) {
    return spoke.config->method == SyncMethod::RSYNC && spoke.config->enabled;
  });
  if (!needed || status.rsyncAvailable) return;
  printf(
      "\nWarning: rsync was not found on PATH, but some spokes need it. To install it: sudo apt "
      "install rsync\n");
}

void printText(const Config& config, const Status& status, bool details) {
  int64_t now = wallClockNanos();
  printf("Hub %s: %s in %s\n\n", escapeForTerminal(status.hubName).c_str(),
         countOf(status.hubSessions, "session").c_str(),
         escapeForTerminal(config.hub.sessionsDir).c_str());
  if (status.spokes.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
    return;
  }
  auto style = styleOfOutput();
  std::vector<const SpokeStatus*> spokes;
  for (auto& spoke : status.spokes) spokes.push_back(&spoke);
  // Spokes with problems come first.
  std::stable_sort(spokes.begin(), spokes.end(),
                   [&](auto* a, auto* b) { return a->state(now) < b->state(now); });
  if (details) {
    for (auto* spoke : spokes) printDetails(*spoke, style, now);
  } else {
    printTable(spokes, style, now);
  }
  printf("\n%s\n", summaryOf(status, now).c_str());
  warnOfMissingRsync(status);
  bool failed = std::any_of(spokes.begin(), spokes.end(),
                            [&](auto* spoke) { return spoke->problem(now).has_value(); });
  if (failed && !details) {
    printf("Details: %s\nCauses:  %s\n", ownCommand("sync status --long").c_str(),
           ownCommand("sync doctor").c_str());
  }
}

// Adds what a daemon knows.
void addLive(const Config& config, Status& status) {
  try {
    auto daemon = ControlClient::connect(config);
    if (daemon == nullptr) return;
    for (auto& live : daemon->status()) {
      for (auto& spoke : status.spokes) {
        if (spoke.config->name == live.name) spoke.live = live;
      }
    }
  } catch (const Failure& e) {
    warn(e.what());
  }
}

int syncStatus(const StatusArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  auto& config = chosen->config;
  auto status = statusOf(config, warn);
  addLive(config, status);
  std::erase_if(status.spokes, [&](auto& spoke) {
    return std::count(chosen->spokes.begin(), chosen->spokes.end(), spoke.config) == 0;
  });
  bool details = arguments.details || !arguments.spokes.empty();
  if (arguments.prometheus) {
    fputs(prometheusText(status).c_str(), stdout);
  } else if (arguments.json) {
    puts(statusJson(config, status).c_str());
  } else {
    printText(config, status, details);
  }
  return EXIT_GOOD;
}

}  // namespace

void addStatus(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<StatusArguments>();
  auto* command = sync.add_subcommand("status", "Show the hub, its spokes and their last sync");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command->add_flag("-l,--long", options->details, "Show the details of each spoke");
  auto* json = addJson(command, options->json);
  command
      ->add_flag("--prometheus", options->prometheus,
                 "Print metrics for the node exporter's textfile collector instead of text")
      ->excludes(json);

  setAction(command, exitCode, [options]() { return syncStatus(*options); });
}

}  // namespace pibrain
