#include <capnp/message.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/file-io.h"
#include "common/text.h"
#include "hub/cli/commands.h"
#include "hub/cli/json.h"
#include "hub/cli/support.h"
#include "hub/store.h"
#include "hub/subprocess.h"
#include "hub/sync/archive-catalog.h"

namespace pibrain {

namespace {

struct SpokeStatus {
  const SpokeConfig* config;
  bool exists = false;
  uint32_t sessions = 0;
  Store::LastRuns runs;
  uint64_t archiveBytes = 0;
};

struct Status {
  std::string hubName;
  uint32_t hubSessions = 0;
  bool rsyncAvailable = false;
  std::vector<SpokeStatus> spokes;
  uint32_t total = 0;
};

Status collect(const Config& config) {
  Status status;
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  status.hubName = name;
  status.hubSessions = uint32_t(sessionsIn(config.hub.sessionsDir).size());
  status.rsyncAvailable = findProgram("rsync").has_value();
  auto store = Store::open(config.hub.databaseDir);
  if (!store.ok()) {
    complain("warning: the history cannot be read: " + std::string(store.status().message()));
  }
  for (auto& spoke : config.spokes) {
    SpokeStatus one{&spoke};
    struct stat st;
    one.exists = stat(spoke.path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
    one.sessions = uint32_t(sessionsIn(spoke.path).size());
    if (store.ok()) {
      if (auto runs = (*store)->lastRuns(spoke.name); runs.ok()) one.runs = *runs;
    }
    one.archiveBytes = archivedBytes(config.hub.archiveDir, spoke.name);
    status.total += one.sessions;
    status.spokes.push_back(std::move(one));
  }
  return status;
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
  for (auto& spoke : status.spokes) {
    bool good = spoke.exists && spoke.runs.lastError.empty();
    printf("  %s %s (%s)%s\n", good ? "✓" : "✗", spoke.config->name.c_str(),
           toString(spoke.config->method), spoke.config->enabled ? "" : " disabled");
    printf("      Sessions: %u\n      Path: %s%s\n", spoke.sessions,
           escapeForTerminal(spoke.config->path).c_str(), spoke.exists ? "" : " (does not exist)");
    if (!spoke.config->sourceText.empty()) {
      printf("      Source: %s\n", escapeForTerminal(spoke.config->sourceText).c_str());
    }
    if (spoke.archiveBytes > 0) {
      printf("      Archive: %s\n", formatBytes(spoke.archiveBytes).c_str());
    }
    printf("      Last sync: %s\n",
           spoke.runs.lastGood ? formatAgo(*spoke.runs.lastGood, now).c_str() : "never synced");
    if (!spoke.runs.lastError.empty()) {
      printf("      Last error: %s\n", spoke.runs.lastError.c_str());
    }
  }
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
  out.setHubSessionCount(status.hubSessions);
  out.setRsyncAvailable(status.rsyncAvailable);
  out.setTotalSpokeSessionCount(status.total);
  auto spokes = out.initSpokes(uint32_t(status.spokes.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) {
    auto& spoke = status.spokes[i];
    spokes[i].setName(spoke.config->name.c_str());
    spokes[i].setSyncMethod(toString(spoke.config->method));
    spokes[i].setPath(toUtf8(spoke.config->path).c_str());
    spokes[i].setSource(toUtf8(spoke.config->sourceText).c_str());
    spokes[i].setEnabled(spoke.config->enabled);
    spokes[i].setExists(spoke.exists);
    spokes[i].setSessionCount(spoke.sessions);
    auto last = spoke.runs.lastGood;
    spokes[i].setLastSync(last ? formatTime(*last).c_str() : "");
    spokes[i].setLastSyncFormatted(last ? formatAgo(*last, now).c_str() : "");
    spokes[i].setArchiveBytes(double(spoke.archiveBytes));
    spokes[i].setLastError(toUtf8(spoke.runs.lastError).c_str());
  }
  printJson(out.asReader());
}

}  // namespace

int syncStatus(const StatusArguments& arguments) {
  auto config = loadConfig(arguments.config);
  if (!config.ok()) return complain(std::string(config.status().message())), EXIT_USAGE;
  auto status = collect(*config);
  if (arguments.json) {
    printStatusJson(*config, status);
  } else {
    printText(*config, status);
  }
  return EXIT_GOOD;
}

}  // namespace pibrain
