#include "hub/config/config-fields.h"

#include <stdlib.h>

#include <algorithm>

#include "hub/config/schedule.h"

namespace pibrain {

namespace {

constexpr std::string_view REQUIRED = "required";
constexpr std::string_view AS_IN_HUB = "as in `hub`";

constexpr ConfigField HUB_FIELDS[] = {
    {"sessions_dir", "path", "~/.pi/agent/sessions", "", "/srv/pi/sessions",
     "The hub's own sessions. `sync status` counts them; no run changes them."},
    {"database_dir", "path", "~/.pi-brain/data", "", "/srv/pi-brain/data",
     "Where `sync.db` (the history of runs) and `archive-ages` (how long the archive has had each "
     "run) are. A `sync.db` that is damaged, or lacks a table, is set aside as `sync.db.broken`, "
     "and "
     "a new one is begun. A daemon has its socket here."},
    {"archive_dir", "path", "~/.pi-brain/archive", "", "/srv/pi-brain/archive",
     "Where files go before they are overwritten or deleted."},
    {"archive_days", "days", "30", "", "90",
     "How long the archive keeps them; 0 keeps them for ever. What `spoke remove` put there never "
     "expires.",
     0, 36500},
    {"listing_mb", "MiB", "192", "", "512",
     "The most memory that the names and sizes of one spoke may use. 192 MiB hold some 300,000 "
     "new files in one run.",
     1, 1'000'000},
    {"ssh_config", "path", "", "as for `ssh`", "~/.ssh/config.sync",
     "The ssh configuration file to use instead of `~/.ssh/config`."},
    {"ssh", "`auto`, `libssh2` or `openssh`", "auto", "", "openssh",
     "Which program speaks SSH. `auto` uses libssh2, and OpenSSH's client for what libssh2 cannot "
     "do."},
    {"web_ui_port", "port", "8765", "", "9000",
     "The port of pi-brain's web interface. Syncing does not use it.", 1, 65535},
};

constexpr ConfigField SPOKE_FIELDS[] = {
    {"name", "string", "", REQUIRED, "laptop",
     "What the spoke is called on command lines and in the archive. Each spoke needs its own. No "
     "slash, backslash or control character, and no `.` or `-` in front."},
    {"sync_method", "`agent`, `rsync` or `syncthing`", "", REQUIRED, "agent",
     "`agent` reads through `pi-brain-agent` on the spoke. `rsync` runs the system's rsync, under "
     "the same lock, with the same archive and history. `syncthing` only lists and counts what "
     "Syncthing syncs by itself."},
    {"source", "`user@host:path`", "", "required, except for `syncthing`",
     "will@laptop.local:~/.pi/agent/sessions",
     "Where the sessions are: `user@host:path`, `host:path`, or a path on the hub that begins with "
     "`/` or `~/`. The host may be a `Host` of the ssh configuration; an IPv6 address needs "
     "brackets, as in `user@[2001:db8::1]:path`. URLs and ports are refused, so a path like "
     "`2222/sessions` is written `./2222/sessions`. With `agent`, the "
     "forced command decides: if `authorized_keys` on the spoke names another directory, that one "
     "is mirrored, and the run says so."},
    {"port", "port", "", "as in the ssh configuration", "2222",
     "The port of the spoke's SSH server, whichever program connects. It takes precedence over the "
     "`Port` of the ssh configuration; the port of a jump host stays as it is there.",
     1, 65535},
    {"path", "path", "", REQUIRED, "~/.pi-brain/synced/laptop",
     "The mirror: a directory on the hub for this spoke alone."},
    {"enabled", "`true` or `false`", "true", "", "false", "`false` leaves the spoke out of runs."},
    {"schedule", "five fields as in crontab(5)", USUAL_SCHEDULE, "", "*/5 8-18 * * mon-fri",
     "When `sync run --due` runs the spoke: minute, hour, day of the month, month and day of the "
     "week, with lists, ranges, steps and names; or `@hourly`, `@daily`, `@midnight`, `@weekly`, "
     "`@monthly`, `@yearly` or `@annually`. In local time. A daemon runs spokes with `sync_method: "
     "rsync` by it, and keeps the others up to date all the time."},
    {"keep_modes", "`true` or `false`", "false", "", "true",
     "`true` gives files the permission bits that they have on the spoke, plus 0600 and never "
     "setuid, setgid or sticky. Otherwise they are 0600."},
    {"exclude", "list of patterns", "[]", "", "[\"*.tmp\", node_modules/]",
     "For `sync_method: agent`: what the hub leaves out. What the mirror has of it stays there, as "
     "kept. `spoke add --exclude` sets it, and writes the patterns to `authorized_keys` on the "
     "spoke too, so that the agent does not serve these files whatever the hub asks for."},
    {"key", "path", "", "as in the ssh configuration", "~/.ssh/pi-brain-sync",
     "The only key for this spoke, instead of those from the ssh configuration and ssh-agent. "
     "`spoke add` sets it."},
    {"ssh_config", "path", "", AS_IN_HUB, "~/.ssh/config.laptop", "As in `hub`, for this spoke."},
    {"ssh", "`auto`, `libssh2` or `openssh`", "", AS_IN_HUB, "libssh2",
     "As in `hub`, for this spoke."},
    {"rsync_options", "mapping", "", "none", "{bw_limit: 5000}",
     "The fields below. Despite the name, all but `extra_args` apply to `agent` too."},
};

constexpr ConfigField RSYNC_OPTIONS_FIELDS[] = {
    {"bw_limit", "KB/s of 1,024 bytes", "0", "", "5000",
     "The most bandwidth for this spoke, both ways; 0 is no limit.", 0, 100'000'000},
    {"delete", "`true` or `false`", "false", "", "true",
     "`true` deletes in each run, as `sync run --delete` does once: files that are gone on the "
     "spoke go to the archive."},
    {"timeout_seconds", "seconds", "300", "", "60",
     "A connection that is silent for this long is given up.", 1, 86400},
    {"extra_args", "list of strings", "[]", "", "[\"--exclude=*.tmp\"]",
     "For `sync_method: rsync`: more arguments. Filters, and options for comparison, compression "
     "and the network are allowed, with their names written out. All others are refused: they "
     "could "
     "run a command, change the spoke, write elsewhere, or get in the way of the archive."},
};

}  // namespace

std::span<const ConfigField> fieldsOf(ConfigSection section) {
  switch (section) {
    case ConfigSection::HUB:
      return HUB_FIELDS;
    case ConfigSection::SPOKE:
      return SPOKE_FIELDS;
    case ConfigSection::RSYNC_OPTIONS:
      return RSYNC_OPTIONS_FIELDS;
  }
  abort();
}

const ConfigField& fieldOf(ConfigSection section, std::string_view name) {
  auto fields = fieldsOf(section);
  auto found = std::find_if(fields.begin(), fields.end(), [&](auto& f) { return f.name == name; });
  if (found == fields.end()) abort();
  return *found;
}

}  // namespace pibrain
