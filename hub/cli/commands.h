#pragma once
// The commands of pi-brain. Each file has a command's options and action.

#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hub/base/passphrase-prompt.h"
#include "hub/pass/options.h"
#include "hub/pass/spoke-report.h"

namespace CLI {
class App;
}

namespace pibrain {

// Documented in pi-brain(1).
enum ExitCode { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LOCKED = 75 };

// Each adds its commands to a group. A command that is parsed runs and sets `exitCode`.
void addRun(CLI::App& sync, int& exitCode);
void addStatus(CLI::App& sync, int& exitCode);
void addHistory(CLI::App& sync, int& exitCode);
void addList(CLI::App& sync, int& exitCode);
void addTimer(CLI::App& sync, int& exitCode);
void addArchive(CLI::App& sync, int& exitCode);
void addArchiveRestore(CLI::App& archive, int& exitCode);
void addVerify(CLI::App& sync, int& exitCode);
void addDoctor(CLI::App& sync, int& exitCode);
void addWatch(CLI::App& sync, int& exitCode);
void addFlush(CLI::App& sync, int& exitCode);
void addDaemon(CLI::App& app, int& exitCode);
void addHealth(CLI::App& app, int& exitCode);
void addSpokeAdd(CLI::App& spoke, int& exitCode);
void addSpokeUpgrade(CLI::App& spoke, int& exitCode);
void addSpokeRotate(CLI::App& spoke, int& exitCode);
void addSpokeRemove(CLI::App& spoke, int& exitCode);
void addSpokeRename(CLI::App& spoke, int& exitCode);
void addSpokeEnable(CLI::App& spoke, int& exitCode);  // and disable
void addSpokeList(CLI::App& spoke, int& exitCode);

// The value that CLI11 gives to a flag without one: `sync run --wait` without a span.
constexpr char WAIT_FOREVER[] = "true";

// `spoke add` uses these too, for its last steps.
struct RunArguments {
  std::string config;  // empty: the default
  std::vector<std::string> spokes;
  bool dryRun = false;
  bool deleteGone = false;
  uint64_t maxDelete = 0;
  uint32_t bwLimit = 0;  // KiB/s; 0: none
  uint32_t jobs = USUAL_JOBS;
  bool due = false;
  std::string wait;  // a span, or WAIT_FOREVER; empty: do not wait
  bool verbose = false;
  bool quiet = false;
  bool onlyTotals = false;  // a dry run does not list files
  bool untilWhole = false;  // repeat until no file is still being written
  std::string log;          // a file to append to; empty: none
  bool json = false;
  // Passphrases typed in this command.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  std::function<void(const SpokeReport&)> ended;  // called for each spoke, unless null
};
int syncRun(const RunArguments& arguments);

struct DoctorArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool json = false;
  // Passphrases typed in this command.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
};
int syncDoctor(const DoctorArguments& arguments);

}  // namespace pibrain
