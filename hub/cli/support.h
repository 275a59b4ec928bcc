#pragma once
// Functions that several commands use.

#include <memory>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Prints "pi-brain: " and the failure to standard error; on a terminal with the cause and the fixes
// on their own lines.
void printFailure(const Failure& failure);
// Prints a line to standard output, before anything that goes to standard error next.
void say(const std::string& text);
// Asks a question on the terminal. Returns whether the answer was yes.
bool confirm(const std::string& question);

// Prints a warning to standard error.
void warn(const std::string& message);

// Prints the failure that ended a command before it had its own document; with `json`, also as a
// document. Returns the exit code.
int refuse(const Failure& failure, bool json);

// Returns the failure for a mistake in the command line.
Failure usageError(std::string what, std::string cause = "");

// Calls loadConfig and prints doubts. Throws Failure, also if there is no home directory.
Config takeConfig(const std::string& configFile);

// Returns the spokes with these names, or all if there are no names. Throws a Failure, which lists
// the known names, if one is unknown.
std::vector<const SpokeConfig*> selectSpokes(const Config& config,
                                             const std::vector<std::string>& names);

// The config and spokes of a command.
struct Selection {
  Config config;
  std::vector<const SpokeConfig*> spokes;
};
// Loads both from the file. Throws Failure.
std::unique_ptr<Selection> loadSelection(const std::string& configFile,
                                         const std::vector<std::string>& names);

// Returns the archives of these spokes, or of all. Spokes that are no longer in the config may
// still have one. Throws Failure.
ArchiveContents contentsOfArchive(const Config& config, const std::vector<std::string>& spokes);

// Return the exit code of a command that failed, and of one with these reports.
int exitCodeOf(const Failure& failure);
int exitCodeOf(const std::vector<SpokeReport>& reports);

// Returns how to add the first spoke to a config.
std::string firstSpokeHelp(const Config& config);

}  // namespace pibrain
