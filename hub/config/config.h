#pragma once
// The settings for syncing in ~/.pi-brain/config.yaml.

#include <absl/status/statusor.h>
#include <stdint.h>

#include <optional>
#include <span>
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
  std::string sshConfig;  // a file in place of ~/.ssh/config; empty: none
  uint16_t port = 0;      // of its SSH server; 0: the ssh config's
  std::string key;        // the identity file for this spoke alone; empty: the ssh config's
  SshMode ssh = SshMode::AUTO;
  bool keepModes = false;
  std::vector<std::string> exclude;  // what the hub leaves out (common/text/exclusions.h)

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
  // A warning about a section that is not read, but may be meant for pi-brain.
  std::optional<std::string> doubt;
};

// Returns why pi-brain does not sync the spoke; nullopt: it does.
std::optional<std::string> reasonToSkip(const SpokeConfig& spoke);

// Returns what messages call the spoke's machine.
std::string placeOf(const SpokeConfig& spoke);

// Returns the login of its source, "user@host" or "host", safe to print and to paste.
std::string loginOf(const SpokeConfig& spoke);

// Returns whether its source is on this machine, so that SSH is not needed.
inline bool isLocal(const SpokeConfig& spoke) { return spoke.source.host.empty(); }

// Returns why a spoke cannot have this name, as the end of a sentence; nullopt: it can.
std::optional<std::string> whyNoName(const std::string& name);

// Returns what the spoke's mirror shares a directory with, as a clause; nullopt: nothing. A mirror
// must hold nothing but its spoke's files: --delete would archive anything else.
std::optional<std::string> overlapOf(const SpokeConfig& spoke, const HubConfig& hub,
                                     std::span<const SpokeConfig> others);

// Returns the spoke with this name; null: none.
const SpokeConfig* findSpoke(const Config& config, const std::string& name);

// Reads the file; an empty `path` means ~/.pi-brain/config.yaml, or the defaults if that does not
// exist. An error names the file, the line, the field and what it accepts.
absl::StatusOr<Config> loadConfig(const std::string& path);
// Returns the path of the file that loadConfig() reads.
std::string configPath(const std::string& path);
// Parses the text; `file` is for messages.
absl::StatusOr<Config> parseConfig(const std::string& text, const std::string& file);

}  // namespace pibrain
