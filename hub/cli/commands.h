#pragma once
// The commands of pi-brain: each takes its parsed options and returns the exit code.

#include <stdint.h>

#include <string>
#include <vector>

namespace pibrain {

// Documented in README.md.
enum ExitCode { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LOCKED = 75 };

struct RunArguments {
  std::string config;  // empty: the default
  std::vector<std::string> spokes;
  bool dryRun = false;
  bool deleteGone = false;
  uint64_t maxDelete = 0;
  uint32_t bwLimit = 0;  // KiB/s; 0: none
  uint32_t jobs = 8;
  bool due = false;
  bool verbose = false;
  bool quiet = false;
  std::string log;  // a file to append to; empty: none
  bool json = false;
};
int syncRun(const RunArguments& arguments);

struct StatusArguments {
  std::string config;
  bool json = false;
  bool prometheus = false;
};
int syncStatus(const StatusArguments& arguments);

struct HistoryArguments {
  std::string config;
  std::vector<std::string> spokes;
  uint32_t limit = 20;
  bool json = false;
};
int syncHistory(const HistoryArguments& arguments);

struct ListArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool absolute = false;
  bool names = false;  // of the spokes alone
  bool json = false;
};
int syncList(const ListArguments& arguments);

struct ArchiveListArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool json = false;
};
int syncArchiveList(const ArchiveListArguments& arguments);

struct ArchiveRestoreArguments {
  std::string config;
  std::string id;
  std::string to;  // empty: the file's place in the mirror
};
int syncArchiveRestore(const ArchiveRestoreArguments& arguments);

struct VerifyArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool repair = false;
  bool json = false;
};
int syncVerify(const VerifyArguments& arguments);

struct InstallTimerArguments {
  std::string config;
  std::string every;  // empty: 15min, or 1min with `due`
  bool due = false;
};
int syncInstallTimer(const InstallTimerArguments& arguments);
int syncUninstallTimer();

// What the commands that change spokes share.
struct ManageArguments {
  std::string config;
  std::string agents;  // a directory; empty: the usual places
  std::string via;     // another login; empty: the source's
  bool batch = false;  // ask for nothing
  bool dryRun = false;
  bool json = false;
};

struct SpokeAddArguments {
  ManageArguments manage;
  std::string name, target;
  std::string root, path, key, from;  // empty: the usual
};
int spokeAdd(const SpokeAddArguments& arguments);

struct SpokeUpgradeArguments {
  ManageArguments manage;
  std::vector<std::string> names;
  bool all = false;
};
int spokeUpgrade(const SpokeUpgradeArguments& arguments);

struct SpokeRotateArguments {
  ManageArguments manage;
  std::string name;
};
int spokeRotateKey(const SpokeRotateArguments& arguments);

struct SpokeRemoveArguments {
  ManageArguments manage;
  std::string name;
  bool keepMirror = false;
  bool force = false;
};
int spokeRemove(const SpokeRemoveArguments& arguments);

struct SpokeListArguments {
  std::string config;
  bool json = false;
};
int spokeList(const SpokeListArguments& arguments);

struct DoctorArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool json = false;
};
int syncDoctor(const DoctorArguments& arguments);

}  // namespace pibrain
