#pragma once

#include <chrono>
#include <string>

#include "hub/history/store.h"
#include "hub/pass/live.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Adds up what live mode mirrors of one spoke, and records it in the history: one row an hour.
class LiveTotals {
 public:
  // `store`: null: no history. It must outlive this.
  LiveTotals(const std::string& spoke, Store* store) : store_(store) { totals_.name = spoke; }
  ~LiveTotals() { record(); }
  LiveTotals(const LiveTotals&) = delete;
  LiveTotals& operator=(const LiveTotals&) = delete;

  void add(const LiveChange& change);
  // What was added is on the disk. `wire`: what travelled for it. Records it, at most once a
  // minute.
  void flushed(const WireBytes& wire);
  // Records what was added.
  void record();

 private:
  Store* const store_;
  SpokeReport totals_;  // not recorded yet; `started` is 0 if there is nothing
  std::chrono::steady_clock::time_point recorded_;
};

}  // namespace pibrain
