#pragma once
// What a run did, as plain values: filled by the engines, kept by hub/history, shown by hub/report
// and hub/view.

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/base/wire-bytes.h"

namespace pibrain {

enum class Outcome { OK, FAILED, LOCKED, SKIPPED };
const char* toString(Outcome outcome);

struct Counts {
  uint32_t files = 0;  // on the spoke
  uint32_t created = 0;
  uint32_t grown = 0;
  uint32_t rewritten = 0;
  uint32_t moved = 0;
  uint32_t touched = 0;  // the same content under another time
  uint32_t deleted = 0;
  uint32_t kept = 0;      // gone on the spoke, kept in the mirror
  uint32_t deferred = 0;  // still being written; the next run fetches them
  uint32_t failed = 0;
};

enum class ChangeKind { NEW, GROW, REWRITE, MOVE, TOUCH, DELETE, KEEP };
const char* toString(ChangeKind kind);

// Adds one to the count of this kind.
void countChange(ChangeKind kind, Counts& counts);

struct Change {
  ChangeKind kind;
  std::string path;
  std::string from;    // MOVE: the old path
  uint64_t size = 0;   // on the spoke; DELETE, KEEP: in the mirror
  uint64_t added = 0;  // GROW: how much of it is new
};

struct SpokeReport {
  std::string name;
  Outcome outcome = Outcome::OK;
  std::optional<Failure> failure;  // FAILED, LOCKED
  std::string skipped;             // SKIPPED: why
  std::vector<std::string> warnings;
  // What the agent said of itself; empty: it did not get that far, or the spoke has none.
  std::string agentVersion, sandbox;
  std::string transport;  // which program spoke SSH, and why; empty: none did
  Counts counts;
  std::vector<std::string> deferred;  // some of those that are counted as such
  std::vector<Change> changes;
  int64_t started = 0;        // ns since the epoch
  int64_t finished = 0;       // later by as long as it took
  uint64_t bytesGrown = 0;    // by which the grown files did
  uint64_t bytesLiteral = 0;  // content received, decompressed
  WireBytes wire;

  // Why it did not come to a good end, in one line; empty if it did.
  std::string error() const { return failure ? failure->what() : skipped; }
};

// How long it took.
double secondsOf(const SpokeReport& report);

}  // namespace pibrain
