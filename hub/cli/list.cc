#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <memory>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/report/documents.h"
#include "hub/setup/timer.h"

namespace pibrain {

namespace {

struct ListArguments {
  std::string config;
  std::vector<std::string> spokes;
  std::string since;    // a span; empty: any time
  std::string project;  // empty: any
  bool details = false;
  bool names = false;  // print only the names of the spokes
  bool json = false;
};

// Returns where pi was started; if that is unknown, the project's name, or "-".
std::string placeOf(const ListedSession& session) {
  auto place = session.start ? session.start->directory : "";
  if (place.empty()) place = projectOf(session);
  return place.empty() ? "-" : escapeForTerminal(place);
}

void printSession(const SpokeConfig& spoke, const ListedSession& session, bool details) {
  printf("  %s  %8s  ", formatTime(session.mtime).c_str(), formatBytes(session.size).c_str());
  if (!details) return (void)puts(escapeForTerminal(session.path).c_str());
  auto title = session.start ? session.start->title : "";
  printf("%s%s%s\n    %s\n", placeOf(session).c_str(), title.empty() ? "" : "  ",
         escapeForTerminal(title).c_str(),
         escapeForTerminal(spoke.path + "/" + session.path).c_str());
}

void printText(const std::vector<SessionsOfSpoke>& all, bool details) {
  for (auto& [spoke, sessions, total] : all) {
    auto part = sessions.size() < total ? absl::StrCat(sessions.size(), " of ") : "";
    printf("%s (%s): %s%s\n", spoke->name.c_str(), toString(spoke->method), part.c_str(),
           countOf(total, "session").c_str());
    for (auto& session : sessions) printSession(*spoke, session, details);
  }
}

// Returns the time `seconds` before `now` (ns since the epoch); INT64_MIN if that is out of range.
int64_t timeBefore(int64_t now, int64_t seconds) {
  int64_t nanos = 0, then = 0;
  bool beyond = __builtin_mul_overflow(seconds, int64_t(1'000'000'000), &nanos) ||
                __builtin_sub_overflow(now, nanos, &then);
  return beyond ? INT64_MIN : then;
}

int syncList(const ListArguments& arguments) {
  bool ofSessions = !arguments.since.empty() || !arguments.project.empty() || arguments.details;
  if (arguments.names && ofSessions) {
    throw usageError("--names lists spokes, so it goes with none of --since, --project and --long");
  }
  SessionFilter filter;
  filter.project = arguments.project;
  filter.starts = arguments.details;
  if (!arguments.since.empty()) {
    auto seconds = parseSpan(arguments.since);
    if (!seconds) {
      throw usageError(absl::StrCat("--since ", inQuotes(arguments.since),
                                    " must be a span of time, for example 90min, 12h or 7d"));
    }
    filter.since = timeBefore(wallClockNanos(), *seconds);
  }
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  auto& config = chosen->config;
  if (arguments.names) {
    for (auto* spoke : chosen->spokes) puts(spoke->name.c_str());
    return EXIT_GOOD;
  }
  auto all = listSessions(chosen->spokes, filter, warn);
  if (arguments.json) {
    puts(sessionListJson(all, arguments.details).c_str());
  } else if (all.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
  } else {
    printText(all, arguments.details);
  }
  return EXIT_GOOD;
}

}  // namespace

void addList(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<ListArguments>();
  auto* command = sync.add_subcommand("list", "List the sessions in the mirrors, the latest first");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command
      ->add_option("--since", options->since,
                   "Only what changed within this time, for example 12h or 7d")
      ->type_name("SPAN")
      ->check(hasText);
  command
      ->add_option("--project", options->project,
                   "Only of projects whose name or path contains this")
      ->type_name("TEXT")
      ->check(hasText);
  command->add_flag("-l,--long", options->details,
                    "Show each session's project, first words and full path");
  auto* json = addJson(command, options->json);
  command->add_flag("--names", options->names, "Only the names of the spokes")->excludes(json);
  setAction(command, exitCode, [options]() { return syncList(*options); });
}

}  // namespace pibrain
