#include "hub/pass/spoke-report.h"

namespace pibrain {

const char* toString(Outcome outcome) {
  switch (outcome) {
    case Outcome::OK:
      return "ok";
    case Outcome::FAILED:
      return "failed";
    case Outcome::LOCKED:
      return "locked";
    case Outcome::SKIPPED:
      return "skipped";
  }
  return "?";
}

const char* toString(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::NEW:
      return "new";
    case ChangeKind::GROW:
      return "grow";
    case ChangeKind::REWRITE:
      return "rewrite";
    case ChangeKind::MOVE:
      return "move";
    case ChangeKind::TOUCH:
      return "touch";
    case ChangeKind::DELETE:
      return "delete";
    case ChangeKind::KEEP:
      return "keep";
  }
  return "?";
}

void countChange(ChangeKind kind, Counts& counts) {
  switch (kind) {
    case ChangeKind::NEW:
      ++counts.created;
      break;
    case ChangeKind::GROW:
      ++counts.grown;
      break;
    case ChangeKind::REWRITE:
      ++counts.rewritten;
      break;
    case ChangeKind::MOVE:
      ++counts.moved;
      break;
    case ChangeKind::TOUCH:
      ++counts.touched;
      break;
    case ChangeKind::DELETE:
      ++counts.deleted;
      break;
    case ChangeKind::KEEP:
      ++counts.kept;
      break;
  }
}

double secondsOf(const SpokeReport& report) {
  return double(report.finished - report.started) / 1e9;
}

}  // namespace pibrain
