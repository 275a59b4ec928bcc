#pragma once
// Turns a run's reports into text for people.

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "hub/pass/spoke-report.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

struct RunTextOptions {
  bool dryRun = false;
  bool changes = false;           // list each changed file
  size_t mostChanges = SIZE_MAX;  // how many of them for each spoke
  bool quiet = false;             // only failures
};

// Returns the lines about a spoke, each with a line end.
std::string runText(const SpokeReport& report, const RunTextOptions& options,
                    const TerminalStyle& style);

// Returns "3 spokes: 2 synced, 1 failed"; empty for one spoke.
std::string runSummary(const std::vector<SpokeReport>& reports, bool dryRun);

// Returns "12 new, 40 grew (+310 KB), 1 rewritten", or "nothing new". A dry run shows the size of
// new files too.
std::string summarize(const SpokeReport& report, bool dryRun);

// Returns "live: 312 changes (+1.2 MB), 2 new; 340 KB on the wire".
std::string liveHourText(const SpokeReport& hour);

}  // namespace pibrain
