#include "hub/rsync/changes.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

namespace pibrain {

namespace {

using Kind = RsyncOutput::Kind;

ChangeKind kindOf(const RsyncOutput::Item& item, uint64_t before, bool rewritten) {
  switch (item.kind) {
    case Kind::NEW:
      return ChangeKind::NEW;
    case Kind::TOUCHED:
      return ChangeKind::TOUCH;
    case Kind::DELETED:
      return ChangeKind::DELETE;
    case Kind::CHANGED:
      break;
  }
  return item.size > before && !rewritten ? ChangeKind::GROW : ChangeKind::REWRITE;
}

}  // namespace

ReportedChanges::ReportedChanges(const MirrorBefore& before, SpokeReport& report)
    : before_(before), report_(report) {}

void ReportedChanges::add(const RsyncRun& ran, const OmittedFiles& leftOut,
                          const std::unordered_set<std::string>& rewritten) {
  for (auto& item : ran.output.items()) {
    if (item.kind == Kind::DELETED || leftOut.unwritten.contains(item.path)) continue;
    if (!added_.insert(item.path).second) continue;
    uint64_t before = before_.sizeOf(item.path);
    Change change{kindOf(item, before, rewritten.contains(item.path)), item.path, "", item.size};
    if (change.kind == ChangeKind::GROW) change.added = item.size - before;
    report_.bytesGrown += change.added;
    countChange(change.kind, report_.counts);
    report_.changes.push_back(std::move(change));
  }
  report_.counts.files =
      ran.output.files + uint32_t(leftOut.unwritten.size() + leftOut.folded.size());
  report_.bytesLiteral += ran.output.bytesLiteral;
}

void ReportedChanges::addDeleted(const std::string& path) {
  ++report_.counts.deleted;
  report_.changes.push_back({ChangeKind::DELETE, path, "", before_.sizeOf(path)});
}

void noteUnmirrored(const RsyncRun& ran, SpokeReport& report) {
  if (ran.output.skipped > 0) {
    report.warnings.push_back(
        absl::StrCat("skipped symlinks and special files: ", ran.output.skipped));
  }
  if (ran.exitStatus == rsync_exit::VANISHED) {
    report.warnings.push_back("files disappeared while they were read; the next run looks again");
  }
}

void addDifferences(const RsyncOutput& look, const MirrorBefore& before, Verification& result) {
  result.files = look.files;
  result.bytes = look.bytes;
  for (auto& item : look.items()) {
    if (item.kind == Kind::DELETED) ++result.extra;
    if (item.kind != Kind::NEW && item.kind != Kind::CHANGED) continue;
    Difference difference{Difference::Kind::CONTENT, item.path, item.size,
                          before.sizeOf(item.path)};
    if (item.unlike) difference.kind = Difference::Kind::CHANGED;
    if (item.kind == Kind::NEW) {
      difference.kind = Difference::Kind::MISSING;
      --result.files;
      result.bytes -= item.size;
    }
    result.differences.push_back(std::move(difference));
  }
  std::sort(result.differences.begin(), result.differences.end(),
            [](auto& a, auto& b) { return a.path < b.path; });
}

}  // namespace pibrain
