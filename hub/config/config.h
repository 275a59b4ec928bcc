#pragma once
// ~/.pi-brain/config.yaml: the parts of it that concern syncing.

#include <absl/status/statusor.h>
#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

#include "hub/config/schedule.h"
#include "hub/config/source.h"
#include "hub/config/ssh-mode.h"

namespace pibrain {

enum class SyncMethod { AGENT, RSYNC, SYNCTHING };
const char* toString(SyncMethod method);

struct SpokeConfig {
  std::string name;
  SyncMethod method;
  std::string path;        // the mirror, "~" expanded
  std::string sourceText;  // as written; empty: none
  Source source;
  bool enabled = true;
  std::optional<Schedule> schedule;
  std::string scheduleText;  // as written; empty: none
  uint32_t bwLimit = 0;      // KiB/s; 0: none
  bool deleteGone = false;
  std::vector<std::string> extraArgs;
  uint32_t timeoutSeconds = 300;
  std::string sshConfig;  // another file than ~/.ssh/config; empty: that one
  std::string key;        // the identity file for this spoke alone; empty: as the ssh config has it
  SshMode ssh = SshMode::AUTO;
  bool keepModes = false;

  bool operator==(const SpokeConfig&) const = default;
};

struct HubConfig {
  std::string sessionsDir;
  std::string databaseDir;
  std::string archiveDir;
  uint32_t archiveDays = 30;  // 0: for ever
  uint32_t listingMiB = 192;  // memory for what a spoke lists
  std::string sshConfig;
  SshMode ssh = SshMode::AUTO;
  uint32_t webUiPort = 8765;

  bool operator==(const HubConfig&) const = default;
};

struct Config {
  std::string file;  // for messages
  HubConfig hub;
  std::vector<SpokeConfig> spokes;
  // What may be meant for this program and is not read, for a warning. Empty: nothing.
  std::string doubt;
};

// Why a spoke is not for this program to sync; empty if it is.
std::string reasonToSkip(const SpokeConfig& spoke);

// How to call the spoke's machine in a message.
std::string placeOf(const SpokeConfig& spoke);

// The login of its source, "user@host" or "host", safe to print and to paste.
std::string loginOf(const SpokeConfig& spoke);

// Whether its source is on this machine, so that nothing goes by SSH.
inline bool isLocal(const SpokeConfig& spoke) { return spoke.source.host.empty(); }

// The spoke of this name; null: there is none.
const SpokeConfig* findSpoke(const Config& config, const std::string& name);

// Reads the file; `path` empty is ~/.pi-brain/config.yaml, and if that is missing, the defaults.
// An error names the file, the line, the field and what is accepted.
absl::StatusOr<Config> loadConfig(const std::string& path);
// Where that is.
std::string configPath(const std::string& path);
// The same from a text; `file` is for messages.
absl::StatusOr<Config> parseConfig(const std::string& text, const std::string& file);

}  // namespace pibrain
