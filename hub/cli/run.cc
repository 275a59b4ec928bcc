#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <system_error>

#include <memory>

#include "common/text/escape.h"
#include "hub/base/user.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/daemon/control-client.h"
#include "hub/history/store.h"
#include "hub/report/documents.h"
#include "hub/run/choose.h"
#include "hub/run/run.h"
#include "hub/setup/timer.h"
#include "hub/view/progress-display.h"
#include "hub/view/run-log.h"
#include "hub/view/run-text.h"

namespace pibrain {

namespace {

// Prints the reports, and on a terminal the progress of running spokes.
class RunPrinter {
 public:
  RunPrinter(const RunArguments& arguments, const std::vector<const SpokeConfig*>& spokes,
             std::unique_ptr<RunLog> log)
      : style_(styleOfOutput()), json_(arguments.json), log_(std::move(log)) {
    text_.dryRun = arguments.dryRun;
    text_.changes = arguments.verbose || (arguments.dryRun && !arguments.onlyTotals);
    // A person reads the totals, not thousands of lines.
    if (style_.terminal && !arguments.verbose) text_.mostChanges = 20;
    text_.quiet = arguments.quiet;
    for (auto* spoke : spokes) longest_ = std::max(longest_, spoke->name.size());
  }

  void began(const SpokeConfig& spoke, const Progress& progress) {
    if (!drawing_) startToDraw();
    if (live_ != nullptr) live_->begin(spoke.name, progress);
  }
  void ended(const SpokeReport& report) {
    if (log_ != nullptr) {
      auto all = text_;
      all.quiet = false;
      all.mostChanges = RunTextOptions().mostChanges;
      log_->write(runText(report, all, TerminalStyle()));
    }
    if (live_ != nullptr) {
      live_->end(report.name, [&]() { print(report); });
    } else if (!json_) {
      print(report);
    }
  }
  void finish(const std::vector<SpokeReport>& reports) {
    live_ = nullptr;
    if (!json_ && !text_.quiet) fputs(runSummary(reports, text_.dryRun).c_str(), stdout);
    if (reports.empty() && style_.terminal && !json_) puts("Nothing is due.");
  }

 private:
  static constexpr size_t LONGEST_NAME = 24;

  void startToDraw() {
    drawing_ = true;
    if (!style_.terminal || json_ || text_.quiet) return;
    try {
      live_ = std::make_unique<ProgressDisplay>(style_, std::min(longest_, LONGEST_NAME));
    } catch (const std::system_error&) {
      // Without a thread there is no progress display; reports are still printed.
    }
  }

  void print(const SpokeReport& report) {
    fputs(runText(report, text_, style_).c_str(), stdout);
    fflush(stdout);
  }

  const TerminalStyle style_;
  const bool json_;
  RunTextOptions text_;
  std::unique_ptr<RunLog> log_;            // null: no log
  size_t longest_ = 0;                     // the longest name of a spoke
  bool drawing_ = false;                   // live_ was started, if it is wanted
  std::unique_ptr<ProgressDisplay> live_;  // null: no progress is shown
};

// Returns null if there is no history, or, after a warning, if it cannot be used.
std::unique_ptr<Store> openHistory(const Config& config, bool dryRun) {
  auto opened = dryRun ? Store::openExisting(config.hub.databaseDir, warn)
                       : Store::open(config.hub.databaseDir, warn);
  if (opened.ok()) return std::move(*opened);
  warn(absl::StrCat("this run will not be recorded: ", opened.status().message()));
  return nullptr;
}

RunOptions optionsOf(const RunArguments& arguments, size_t spokes) {
  RunOptions options;
  options.dryRun = arguments.dryRun;
  options.deleteGone = arguments.deleteGone;
  options.maxDelete = arguments.maxDelete;
  options.jobs = arguments.jobs;
  options.passphrases = arguments.passphrases;
  options.untilWhole = arguments.untilWhole;
  if (arguments.wait == WAIT_FOREVER) {
    options.wait = std::chrono::years(1);
  } else {
    options.wait = std::chrono::seconds(parseSpan(arguments.wait).value_or(0));
  }
  if (arguments.bwLimit > 0) limitBandwidth(options, arguments.bwLimit, spokes);
  return options;
}

// Loads the config, and finds the spokes. Throws Failure.
std::unique_ptr<Selection> selectionOf(const RunArguments& arguments) {
  auto& names = arguments.spokes;
  try {
    return loadSelection(arguments.config, names);
  } catch (Failure& e) {
    auto span = std::find_if(names.begin(), names.end(), parseSpan);
    if (e.id() == FailureId::SPOKE_UNKNOWN && arguments.wait == WAIT_FOREVER &&
        span != names.end()) {
      e.addFix({"Write how long to wait as --wait=" + *span, ""});
    }
    throw;
  }
}

// Syncs the spokes over the connections that a daemon has. One limiter cannot be shared between
// processes, so a run with a limit of its own connects itself.
class ThroughDaemon {
 public:
  ThroughDaemon(const Config& config, const RunOptions& options)
      : config_(config), options_(options) {
    if (options.limiter != nullptr) return;
    try {
      // Not kept: a thread can have one event loop, and this one may sync a spoke itself.
      auto client = ControlClient::connect(config);
      if (client == nullptr) return;
      for (auto& spoke : client->status()) {
        (spoke.state == LiveState::CONNECTING ? away_ : connected_).insert(spoke.name);
      }
    } catch (const Failure& e) {
      warn(absl::StrCat("this run connects by itself, because ", e.what()));
    }
  }

  const std::set<std::string>& connected() const { return connected_; }

  // Called by several threads.
  std::optional<SpokeReport> sync(const SpokeConfig& spoke, Progress& progress) const {
    try {
      auto client = ControlClient::connect(config_);
      if (client != nullptr) return client->pass(spoke.name, options_, progress);
    } catch (const Failure&) {
      // It has ended since, or hangs.
    }
    return std::nullopt;
  }

  // Tells the daemon of a spoke that it could not reach, and that this run reached.
  void ended(const SpokeReport& report) {
    if (report.outcome != Outcome::OK || !away_.contains(report.name)) return;
    try {
      if (auto client = ControlClient::connect(config_)) client->doubt(report.name);
    } catch (const Failure&) {
      // It tries by itself, later.
    }
  }

 private:
  const Config& config_;
  const RunOptions& options_;
  std::set<std::string> connected_, away_;
};

std::string aSpan(const std::string& value) {
  return value == WAIT_FOREVER || parseSpan(value)
             ? ""
             : absl::StrCat("must be a span such as 90s, 10min or 2h, not '", value, "'");
}

}  // namespace

int syncRun(const RunArguments& arguments) {
  auto chosen = selectionOf(arguments);
  auto& config = chosen->config;
  if (chosen->spokes.empty() && !arguments.json) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
    return EXIT_GOOD;
  }
  std::unique_ptr<RunLog> log;
  if (!arguments.log.empty()) {
    auto opened = RunLog::open(expandHome(arguments.log));
    if (!opened.ok()) throw usageError(withoutFullStop(std::string(opened.status().message())));
    log = std::move(*opened);
  }
  auto store = openHistory(config, arguments.dryRun);
  auto [ours, reports] =
      arguments.due ? chooseDue(chosen->spokes, store.get()) : chooseSpokes(chosen->spokes);
  RunPrinter printer(arguments, ours, std::move(log));
  auto ended = [&](const SpokeReport& report) {
    printer.ended(report);
    if (arguments.ended) arguments.ended(report);
  };
  for (auto& report : reports) ended(report);
  RunObserver observer;
  observer.began = [&](auto& spoke, auto& progress) { printer.began(spoke, progress); };
  auto options = optionsOf(arguments, ours.size());
  ThroughDaemon daemon(config, options);
  observer.ended = [&](auto& report) {
    daemon.ended(report);
    ended(report);
  };
  auto synced =
      syncSpokes(config, ours, options, store.get(), observer, daemon.connected(),
                 [&](auto& spoke, auto& progress) { return daemon.sync(spoke, progress); });
  reports.insert(reports.end(), synced.begin(), synced.end());
  printer.finish(reports);
  int code = exitCodeOf(reports);
  if (arguments.json)
    puts(runJson(reports,
                 {code == EXIT_GOOD, arguments.dryRun, arguments.verbose || arguments.dryRun})
             .c_str());
  return code;
}

void addRun(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<RunArguments>();
  auto* command = sync.add_subcommand("run", "Bring the mirrors up to date");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command->add_flag("-n,--dry-run", options->dryRun, "Show what would be done, but change nothing");
  command->add_flag("--delete", options->deleteGone,
                    "Move files that are gone on the spoke to the archive");
  command
      ->add_option("--max-delete", options->maxDelete,
                   "Let --delete remove this many files (default: half of a mirror)")
      ->type_name("N")
      ->check(between(1, UINT32_MAX));
  command
      ->add_option("--bwlimit", options->bwLimit,
                   "Use at most this bandwidth for all spokes together, both ways (0: no limit)")
      ->type_name("KB/s")
      ->check(between(0, 100'000'000, "KB per second"));
  command->add_option("--jobs", options->jobs, "Sync this many spokes at a time (default 8)")
      ->type_name("N")
      ->check(between(1, 256));
  command->add_flag("--due", options->due,
                    "Only spokes whose schedule has come due since their last good run");
  command
      ->add_flag("--wait", options->wait,
                 "If another run is syncing a spoke, wait for it instead of skipping the spoke; "
                 "--wait=10min waits for 10 minutes at most")
      ->option_text("[=SPAN]")
      ->check(aSpan);
  auto* verbose =
      command->add_flag("-v,--verbose", options->verbose, "List the files that changed");
  command->add_flag("-q,--quiet", options->quiet, "Print only what failed")->excludes(verbose);
  addPath(command, "--log", options->log,
          "Also append the output to this file, each line with its time; it is rotated at 1 MB, "
          "and three old files are kept");
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return syncRun(*options); });
}

}  // namespace pibrain
