#include <absl/strings/str_cat.h>
#include <capnp/message.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/text/text.h"
#include "hub/base/subprocess.h"
#include "hub/cli/commands.h"
#include "hub/cli/status.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/report/json.h"
#include "hub/view/style.h"

namespace pibrain {

namespace {

Status collect(const Config& config) {
  Status status;
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  status.hubName = name;
  status.hubSessions = uint32_t(contentsOf(config.hub.sessionsDir).sessions.size());
  status.rsyncAvailable = findProgram("rsync").has_value();
  auto store = Store::openExisting(config.hub.databaseDir, warn);
  if (!store.ok()) {
    warn("the history cannot be read: " + std::string(store.status().message()));
  }
  for (auto& spoke : config.spokes) {
    SpokeStatus one{&spoke};
    struct stat st;
    one.exists = stat(spoke.path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
    auto contents = contentsOf(spoke.path);
    one.sessions = uint32_t(contents.sessions.size());
    one.files = contents.files;
    one.bytes = contents.bytes;
    if (store.ok() && *store != nullptr) {
      if (auto runs = (*store)->lastRuns(spoke.name); runs.ok()) one.runs = *runs;
    }
    one.archiveBytes = archivedBytes(config.hub.archiveDir, spoke.name);
    status.total += one.sessions;
    status.spokes.push_back(std::move(one));
  }
  return status;
}

// "less than a minute", "5 minutes", "3 hours", "2 days".
std::string formatSpan(int64_t nanos) {
  int64_t minutes = nanos / 60'000'000'000;
  if (minutes < 1) return "less than a minute";
  if (minutes < 2 * 60) return countOf(uint64_t(minutes), "minute");
  if (minutes < 2 * 24 * 60) return countOf(uint64_t(minutes / 60), "hour");
  return countOf(uint64_t(minutes / (24 * 60)), "day");
}

void printSpoke(const SpokeStatus& spoke, const Style& style, int64_t now) {
  bool good = spoke.exists && spoke.runs.lastError.empty();
  auto sign = !spoke.config->enabled ? Sign::SKIPPED : good ? Sign::GOOD : Sign::BAD;
  printf("  %s %s (%s)%s\n", style.sign(sign).c_str(), spoke.config->name.c_str(),
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
  if (!spoke.runs.lastError.empty()) {
    auto when = spoke.runs.last ? formatAgo(spoke.runs.last->finished, now) + ": " : "";
    line("Last error", when + style.plain(spoke.runs.lastError));
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

void printStatusJson(const Config& config, const Status& status) {
  int64_t now = wallClockNanos();
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::Status>();
  out.setHubName(toUtf8(status.hubName).c_str());
  out.setHubSessionsDir(toUtf8(config.hub.sessionsDir).c_str());
  out.setHubSessionsDirBytes(exactPath(config.hub.sessionsDir).c_str());
  out.setHubSessionCount(status.hubSessions);
  out.setRsyncAvailable(status.rsyncAvailable);
  out.setTotalSpokeSessionCount(status.total);
  auto spokes = out.initSpokes(uint32_t(status.spokes.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) {
    auto& spoke = status.spokes[i];
    spokes[i].setName(spoke.config->name.c_str());
    spokes[i].setSyncMethod(toString(spoke.config->method));
    spokes[i].setPath(toUtf8(spoke.config->path).c_str());
    spokes[i].setPathBytes(exactPath(spoke.config->path).c_str());
    spokes[i].setSource(toUtf8(spoke.config->sourceText).c_str());
    spokes[i].setEnabled(spoke.config->enabled);
    spokes[i].setExists(spoke.exists);
    spokes[i].setSessionCount(spoke.sessions);
    auto last = spoke.runs.lastGood;
    spokes[i].setLastSync(last ? formatTime(*last).c_str() : "");
    spokes[i].setLastSyncFormatted(last ? formatAgo(*last, now).c_str() : "");
    spokes[i].setArchiveBytes(double(spoke.archiveBytes));
    spokes[i].setMirrorBytes(double(spoke.bytes));
    spokes[i].setMirrorFiles(spoke.files);
    spokes[i].setLastRun(spoke.runs.last ? formatTime(spoke.runs.last->finished).c_str() : "");
    if (auto lag = spoke.lag(now)) spokes[i].setLagSeconds(double(*lag) / 1e9);
    spokes[i].setSchedule(spoke.config->scheduleText.c_str());
    spokes[i].setLastError(toUtf8(spoke.runs.lastError).c_str());
  }
  printJson(out.asReader());
}

}  // namespace

std::optional<int64_t> SpokeStatus::lag(int64_t now) const {
  if (!runs.lastGoodStarted) return std::nullopt;
  return std::max<int64_t>(0, now - *runs.lastGoodStarted);
}

int syncStatus(const StatusArguments& arguments) {
  auto config = takeConfig(arguments.config);
  if (!config) return EXIT_USAGE;
  auto status = collect(*config);
  if (arguments.prometheus) {
    fputs(prometheusText(status).c_str(), stdout);
  } else if (arguments.json) {
    printStatusJson(*config, status);
  } else {
    printText(*config, status);
  }
  return EXIT_GOOD;
}

}  // namespace pibrain
