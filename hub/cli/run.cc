#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <capnp/message.h>
#include <stdio.h>

#include <algorithm>

#include "common/text.h"
#include "hub/cli/commands.h"
#include "hub/cli/json.h"
#include "hub/cli/support.h"
#include "hub/store.h"
#include "hub/sync/run.h"

namespace pibrain {

namespace {

// "12 new, 40 grown, 1 rewritten", or "nothing new".
std::string summarize(const Counts& counts, bool dryRun) {
  std::vector<std::string> parts;
  auto add = [&](uint32_t count, const char* what) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", what));
  };
  add(counts.created, "new");
  add(counts.grown, "grown");
  add(counts.rewritten, "rewritten");
  add(counts.moved, "moved");
  add(counts.touched, dryRun ? "to compare" : "touched");
  add(counts.deleted, "deleted");
  add(counts.deferred, "still being written");
  if (parts.empty()) parts.push_back("nothing new");
  add(counts.kept, "kept that the spoke no longer has");
  return absl::StrJoin(parts, ", ");
}

void printChanges(const SpokeReport& report) {
  for (auto& change : report.changes) {
    auto from = change.from.empty() ? "" : escapeForTerminal(change.from) + " -> ";
    printf("    %-8s %s%s (%s)\n", toString(change.kind), from.c_str(),
           escapeForTerminal(change.path).c_str(), formatBytes(change.size).c_str());
  }
}

void printReport(const SpokeReport& report, const RunArguments& arguments) {
  if (arguments.verbose && !report.transport.empty()) {
    printf("    SSH by %s\n", report.transport.c_str());
  }
  if (arguments.verbose || arguments.dryRun) printChanges(report);
  for (auto& warning : report.warnings) {
    printf("  ! %s: %s\n", report.name.c_str(), warning.c_str());
  }
  switch (report.outcome) {
    case Outcome::OK:
      printf("  ✓ %s: %s%s; %s, %s on the wire, %.1f s\n", report.name.c_str(),
             arguments.dryRun ? "would sync: " : "",
             summarize(report.counts, arguments.dryRun).c_str(),
             countOf(report.counts.files, "file").c_str(),
             formatBytes(report.wire.up + report.wire.down).c_str(), secondsOf(report));
      break;
    case Outcome::SKIPPED:
      printf("  - %s: skipped, %s\n", report.name.c_str(), report.error.c_str());
      break;
    default:
      printf("  ✗ %s: %s\n", report.name.c_str(), report.error.c_str());
      break;
  }
  fflush(stdout);
}

void fillCounts(const Counts& counts, report::Run::Counts::Builder out) {
  out.setNew(counts.created);
  out.setGrown(counts.grown);
  out.setRewritten(counts.rewritten);
  out.setMoved(counts.moved);
  out.setTouched(counts.touched);
  out.setDeleted(counts.deleted);
  out.setKept(counts.kept);
  out.setDeferred(counts.deferred);
  out.setFailed(counts.failed);
  out.setFiles(counts.files);
}

void fillSpoke(const SpokeReport& report, bool changes, report::Run::Spoke::Builder out) {
  out.setName(report.name.c_str());
  out.setOutcome(toString(report.outcome));
  out.setError(toUtf8(report.error).c_str());
  out.setTransport(toUtf8(report.transport).c_str());
  auto warnings = out.initWarnings(uint32_t(report.warnings.size()));
  for (uint32_t i = 0; i < warnings.size(); ++i)
    warnings.set(i, toUtf8(report.warnings[i]).c_str());
  fillCounts(report.counts, out.initCounts());
  out.setSeconds(secondsOf(report));
  out.setBytesLiteral(double(report.bytesLiteral));
  out.setWireUp(double(report.wire.up));
  out.setWireDown(double(report.wire.down));
  auto list = out.initChanges(changes ? uint32_t(report.changes.size()) : 0);
  for (uint32_t i = 0; i < list.size(); ++i) {
    auto& change = report.changes[i];
    list[i].setKind(toString(change.kind));
    list[i].setPath(toUtf8(change.path).c_str());
    list[i].setFrom(toUtf8(change.from).c_str());
    list[i].setSize(double(change.size));
  }
}

void printRunJson(const std::vector<SpokeReport>& reports, const RunArguments& arguments, bool ok) {
  capnp::MallocMessageBuilder message;
  auto run = message.initRoot<report::Run>();
  run.setOk(ok);
  run.setDryRun(arguments.dryRun);
  auto spokes = run.initSpokes(uint32_t(reports.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) {
    fillSpoke(reports[i], arguments.verbose || arguments.dryRun, spokes[i]);
  }
  printJson(run.asReader());
}

}  // namespace

int syncRun(const RunArguments& arguments) {
  auto config = loadConfig(arguments.config);
  if (!config.ok()) return complain(std::string(config.status().message())), EXIT_USAGE;
  auto chosen = chooseSpokes(*config, arguments.spokes);
  if (!chosen.ok()) return complain(std::string(chosen.status().message())), EXIT_USAGE;
  if (chosen->empty() && !arguments.json) {
    fputs(firstSpokeHelp(*config).c_str(), stdout);
    return EXIT_GOOD;
  }

  RunOptions options;
  options.dryRun = arguments.dryRun;
  options.deleteGone = arguments.deleteGone;
  options.maxDelete = arguments.maxDelete;
  options.jobs = arguments.jobs;
  if (arguments.bwLimit > 0) {
    options.limiter = std::make_shared<RateLimiter>(arguments.bwLimit * 1024.0);
  }
  RunObserver observer;
  observer.began = [&](const SpokeConfig& spoke) {
    if (!arguments.json) printf("Syncing %s…\n", spoke.name.c_str()), fflush(stdout);
  };
  observer.ended = [&](const SpokeReport& report) {
    if (!arguments.json) printReport(report, arguments);
  };
  std::vector<const SpokeConfig*> ours;
  std::vector<SpokeReport> reports;
  for (auto* spoke : *chosen) {
    auto why = reasonToSkip(*spoke);
    if (why.empty()) {
      ours.push_back(spoke);
    } else {
      reports.push_back(skipped(*spoke, why));
      observer.ended(reports.back());
    }
  }
  SyncRun run(*config, ours, options);
  auto store = Store::open(config->hub.databaseDir);
  if (store.ok()) {
    run.dialEarly(**store);
  } else {
    complain(absl::StrCat("warning: this run will not be recorded: ",
                          std::string(store.status().message())));
  }
  initLibraries();
  auto synced = run.finish(store.ok() ? store->get() : nullptr, observer);
  reports.insert(reports.end(), synced.begin(), synced.end());
  int code = exitCodeOf(reports);
  if (arguments.json) printRunJson(reports, arguments, code == EXIT_GOOD);
  return code;
}

}  // namespace pibrain
