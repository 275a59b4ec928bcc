#pragma once
// A run's reports as text for people.

#include <string>
#include <vector>

#include "hub/pass/spoke-report.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

struct RunTextOptions {
  bool dryRun = false;
  bool changes = false;  // each file that changed
  bool quiet = false;    // only what failed
};

// What a spoke's report says, line by line, each with its end.
std::string runText(const SpokeReport& report, const RunTextOptions& options,
                    const TerminalStyle& style);

// "3 spokes: 2 synced, 1 failed"; empty for one spoke.
std::string runSummary(const std::vector<SpokeReport>& reports, bool dryRun);

// "12 new, 40 grew (+310 KB), 1 rewritten", or "nothing new".
std::string summarize(const SpokeReport& report, bool dryRun);

}  // namespace pibrain
