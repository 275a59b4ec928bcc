#pragma once
// The result of a run, as plain values: the engines fill them in, hub/history stores them,
// hub/report and hub/view show them.

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
  uint32_t touched = 0;  // the same content with another time
  uint32_t deleted = 0;
  uint32_t kept = 0;      // gone on the spoke, kept in the mirror
  uint32_t deferred = 0;  // still being written; the next run fetches them
  uint32_t failed = 0;

  // Returns how many files of the mirror a dry run found to be behind the spoke's.
  uint32_t pending() const { return created + grown + rewritten + moved + touched + deferred; }
};

enum class ChangeKind { NEW, GROW, REWRITE, MOVE, TOUCH, DELETE, KEEP };
const char* toString(ChangeKind kind);

// Increments the count of this kind.
void countChange(ChangeKind kind, Counts& counts);

struct Change {
  ChangeKind kind;
  std::string path;
  std::string from;    // MOVE: the old path
  uint64_t size = 0;   // on the spoke; DELETE, KEEP: in the mirror
  uint64_t added = 0;  // GROW: how many bytes are new
};

struct SpokeReport {
  std::string name;
  Outcome outcome = Outcome::OK;
  std::optional<Failure> failure;  // FAILED, LOCKED
  std::string skipped;             // SKIPPED: why
  std::vector<std::string> warnings;
  // What the agent said of itself; empty: the run failed before, or the spoke has no agent.
  std::string agentVersion, sandbox;
  std::string transport;  // which program spoke SSH, and why; empty: none
  Counts counts;
  std::vector<std::string> deferred;  // paths, some of counts.deferred
  std::vector<Change> changes;
  int64_t started = 0;        // ns since the epoch
  int64_t finished = 0;       // started + the duration by a steady clock
  uint64_t bytesGrown = 0;    // how much the grown files grew
  uint64_t bytesLiteral = 0;  // content received, decompressed
  WireBytes wire;
  bool liveHour = false;  // the totals of what live mode mirrored within one hour

  // Returns why it failed or was skipped, in one line; empty if it succeeded.
  std::string error() const { return failure ? failure->what() : skipped; }
};

// Returns the duration.
double secondsOf(const SpokeReport& report);

}  // namespace pibrain
