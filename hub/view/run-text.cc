#include "hub/view/run-text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/view/failure-text.h"

namespace pibrain {

namespace {

std::string changeLines(const SpokeReport& report, const RunTextOptions& options,
                        const TerminalStyle& style) {
  std::string out;
  if (!report.changes.empty()) absl::StrAppend(&out, "  ", report.name, ":\n");
  size_t left = report.changes.size() - std::min(report.changes.size(), options.mostChanges);
  for (size_t i = 0; i < report.changes.size() - left; ++i) {
    auto& change = report.changes[i];
    auto from = change.from.empty() ? "" : escapeForTerminal(change.from) + " -> ";
    // A dry run does not compare contents, so it cannot tell more.
    auto* kind =
        options.dryRun && change.kind == ChangeKind::TOUCH ? "compare" : toString(change.kind);
    auto added = change.kind == ChangeKind::GROW ? ", +" + formatBytes(change.added) : "";
    absl::StrAppendFormat(&out, "    %-8s %s%s (%s%s)\n", kind, from,
                          escapeForTerminal(change.path), formatBytes(change.size), added);
  }
  if (left > 0) {
    absl::StrAppend(&out, "    ", style.ellipsis(), " and ", left, " more; -v lists all\n");
  }
  return out;
}

// Returns the text with Unicode characters.
std::string richText(const SpokeReport& report, const RunTextOptions& options,
                     const TerminalStyle& style) {
  auto line = [&](Mark mark, const std::string& rest) {
    return absl::StrCat("  ", style.mark(mark), " ", report.name, ": ", rest, "\n");
  };
  bool failed = report.outcome == Outcome::FAILED, skipped = report.outcome == Outcome::SKIPPED;
  auto failure = [&](Mark mark) {
    return failureText(absl::StrCat("  ", style.mark(mark), " ", report.name, ": "),
                       *report.failure, style);
  };
  if (options.quiet) return failed ? failure(Mark::BAD) : "";
  std::string out;
  if (options.changes && !options.dryRun && !report.transport.empty()) {
    absl::StrAppend(&out, "  ", report.name, ": SSH by ", report.transport, "\n");
  }
  if (options.changes) out += changeLines(report, options, style);
  for (auto& warning : report.warnings) {
    auto start = absl::StrCat("  ", style.mark(Mark::WARNING), " ", report.name, ": ");
    out += style.terminal ? wrappedText(start, warning) : line(Mark::WARNING, warning);
  }
  if (skipped) return out + line(Mark::SKIPPED, "skipped, " + report.skipped);
  if (report.outcome == Outcome::LOCKED) return out + failure(Mark::SKIPPED);
  if (failed) return out + failure(Mark::BAD);
  auto cost = absl::StrFormat("%s on the wire, %.1f s",
                              formatBytes(report.wire.up + report.wire.down), secondsOf(report));
  // What a dry run costs says nothing about the run.
  return out + line(Mark::GOOD, absl::StrCat(options.dryRun ? "would sync: " : "",
                                             summarize(report, options.dryRun), "; ",
                                             countOf(report.counts.files, "file"),
                                             options.dryRun ? " (this check: " : ", ", cost,
                                             options.dryRun ? ")" : ""));
}

}  // namespace

// The longest path in a summary.
constexpr size_t MAX_PATH = 80;

std::string summarize(const SpokeReport& report, bool dryRun) {
  auto& counts = report.counts;
  std::vector<std::string> parts;
  auto add = [&](uint32_t count, const std::string& what) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", what));
  };
  // A person wants to know how much a run would fetch.
  uint64_t bytesNew = 0;
  for (auto& change : report.changes) {
    if (change.kind == ChangeKind::NEW) bytesNew += change.size;
  }
  add(counts.created, dryRun ? absl::StrCat("new (", formatBytes(bytesNew), ")") : "new");
  add(counts.grown, absl::StrCat("grew (+", formatBytes(report.bytesGrown), ")"));
  add(counts.rewritten, "rewritten");
  add(counts.moved, "moved");
  add(counts.touched, dryRun ? "to compare (just written or touched)" : "with a new time only");
  add(counts.deleted, "deleted");
  std::vector<std::string> deferred;
  for (auto& path : report.deferred) deferred.push_back(escapeBriefly(path, MAX_PATH));
  if (deferred.size() < counts.deferred && !deferred.empty()) deferred.push_back("…");
  add(counts.deferred, absl::StrCat("still being written",
                                    deferred.empty() ? "" : ": " + absl::StrJoin(deferred, ", ")));
  if (parts.empty()) parts.push_back("nothing new");
  add(counts.kept, "kept (deleted on the spoke)");
  return absl::StrJoin(parts, ", ");
}

std::string liveHourText(const SpokeReport& hour) {
  auto& counts = hour.counts;
  auto all = counts.created + counts.grown + counts.rewritten + counts.moved;
  auto text =
      absl::StrCat("live: ", countOf(all, "change"), " (+", formatBytes(hour.bytesLiteral), ")");
  auto add = [&](uint32_t count, const char* what) {
    if (count > 0) absl::StrAppend(&text, ", ", count, " ", what);
  };
  add(counts.created, "new");
  add(counts.rewritten, "rewritten");
  add(counts.moved, "moved");
  return absl::StrCat(text, "; ", formatBytes(hour.wire.up + hour.wire.down), " on the wire");
}

std::string runText(const SpokeReport& report, const RunTextOptions& options,
                    const TerminalStyle& style) {
  auto text = richText(report, options, style);
  return style.plain(text);
}

std::string runSummary(const std::vector<SpokeReport>& reports, bool dryRun) {
  if (reports.size() < 2) return "";
  std::vector<std::string> parts;
  auto add = [&](Outcome outcome, const char* word) {
    auto count = std::count_if(reports.begin(), reports.end(),
                               [&](auto& report) { return report.outcome == outcome; });
    if (count > 0) parts.push_back(absl::StrCat(count, " ", word));
  };
  add(Outcome::OK, dryRun ? "checked" : "synced");
  add(Outcome::FAILED, "failed");
  add(Outcome::LOCKED, "left to another run");
  add(Outcome::SKIPPED, "skipped");
  return absl::StrCat(countOf(reports.size(), "spoke"), ": ", absl::StrJoin(parts, ", "), "\n");
}

}  // namespace pibrain
