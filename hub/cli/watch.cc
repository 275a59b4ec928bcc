#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <memory>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/daemon/control-client.h"
#include "hub/history/store.h"
#include "hub/report/documents.h"
#include "hub/run/watch.h"
#include "hub/view/failure-text.h"
#include "hub/view/run-text.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct WatchArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool json = false;
};

void put(const std::string& line) {
  fputs((line + "\n").c_str(), stdout);
  fflush(stdout);
}

WatchObserver printJson() {
  WatchObserver observer;
  observer.entered = [](auto& spoke, LiveState state, const std::string& why) {
    put(watchJson({spoke.name, wallClockNanos(), toString(state), why}));
  };
  observer.changed = [](auto& spoke, const LiveChange& change) {
    put(watchJson({spoke.name, change.mirrored, "changed", "", &change}));
  };
  observer.passed = [](auto& spoke, const SpokeReport& report) {
    put(watchJson({spoke.name, wallClockNanos(), "scanned", "", nullptr, report.failure}));
  };
  observer.lost = [](auto& spoke, const Failure& failure, auto) {
    put(watchJson({spoke.name, wallClockNanos(), "lost", "", nullptr, failure}));
  };
  return observer;
}

WatchObserver printText() {
  auto style = styleOfOutput();
  WatchObserver observer;
  observer.entered = [=](auto& spoke, LiveState state, const std::string& why) {
    if (state != LiveState::LIVE && state != LiveState::POLLING) return;
    put(absl::StrCat("  ", style.mark(state == LiveState::LIVE ? Mark::GOOD : Mark::WARNING), " ",
                     spoke.name, ": ", toString(state),
                     why.empty() ? "" : ": " + style.plain(escapeForTerminal(why))));
  };
  observer.changed = [=](auto& spoke, const LiveChange& change) {
    bool grew = change.kind == ChangeKind::GROW;
    put(absl::StrCat(formatTime(change.mirrored), "  ", spoke.name, "  ",
                     style.plain(escapeForTerminal(change.path)), "  ", toString(change.kind), " ",
                     grew ? "+" : "", formatBytes(change.to - change.from)));
  };
  observer.passed = [=](auto&, const SpokeReport& report) {
    bool news = report.failure || !report.warnings.empty() || report.wire.down > 0;
    if (news) fputs(runText(report, {.changes = true, .mostChanges = 20}, style).c_str(), stdout);
    fflush(stdout);
  };
  observer.lost = [=](auto& spoke, const Failure& failure, std::chrono::milliseconds pause) {
    auto start = absl::StrCat("  ", style.mark(Mark::BAD), " ", spoke.name, ": ");
    fputs(style.plain(failureText(start, failure, style)).c_str(), stdout);
    put(absl::StrCat("    The next attempt is in ", (pause.count() + 999) / 1000, " s."));
  };
  return observer;
}

int syncWatch(const WatchArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  auto observer = arguments.json ? printJson() : printText();
  if (auto daemon = ControlClient::connect(chosen->config)) {
    try {
      daemon->watch(chosen->config, arguments.spokes, observer);
    } catch (const Failure& e) {
      if (!arguments.json) throw;
      // A line like the others.
      put(watchJson({"", wallClockNanos(), "ended", "", nullptr, e}));
      return exitCodeOf(e);
    }
  }
  std::vector<const SpokeConfig*> watched;
  for (auto* spoke : chosen->spokes) {
    if (spoke->enabled && spoke->method == SyncMethod::AGENT) {
      watched.push_back(spoke);
    } else if (!arguments.spokes.empty()) {
      throw usageError(
          absl::StrCat(spoke->name, " cannot be watched"),
          spoke->enabled ? "Only spokes with 'sync_method: agent' can." : "It is disabled.");
    }
  }
  if (watched.empty())
    throw usageError("there is no spoke to watch",
                     "Only spokes with 'sync_method: agent' can be watched.");
  auto store = Store::open(chosen->config.hub.databaseDir, warn);
  if (!store.ok()) warn(std::string(store.status().message()));
  // The config lives as long as the selection.
  std::shared_ptr<const Config> config(std::shared_ptr<void>(), &chosen->config);
  watchSpokes(config, watched, store.ok() ? store->get() : nullptr, observer);
  return EXIT_GOOD;
}

}  // namespace

void addWatch(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<WatchArguments>();
  auto* command = sync.add_subcommand("watch", "Mirror changes as they happen, until Ctrl-C");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command->add_flag("--json", options->json, "Print one JSON object a line instead of text");
  setAction(command, exitCode, [options]() { return syncWatch(*options); });
}

}  // namespace pibrain
