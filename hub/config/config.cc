#include "hub/config/config.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>

#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/text/exclusions.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/base/own-command.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"
#include "hub/config/config-shape.h"
#include "hub/config/fields.h"
#include "hub/config/rsync-arguments.h"

namespace pibrain {

namespace {

std::string expandField(const std::string& path) {
  auto expanded = std::filesystem::path(expandHome(path)).lexically_normal().string();
  while (expanded.size() > 1 && expanded.ends_with('/')) expanded.pop_back();
  return expanded;
}

HubConfig defaultHub() {
  HubConfig hub;
  hub.sessionsDir = expandHome("~/.pi/agent/sessions");
  hub.databaseDir = expandHome("~/.pi-brain/data");
  hub.archiveDir = expandHome("~/.pi-brain/archive");
  return hub;
}

std::optional<SshMode> parseSshMode(const Fields& fields) {
  auto text = fields.text("ssh");
  if (!text) return std::nullopt;
  for (auto mode : {SshMode::AUTO, SshMode::LIBSSH2, SshMode::OPENSSH}) {
    if (*text == toString(mode)) return mode;
  }
  reject(*fields.node("ssh"),
         absl::StrCat(fields.field("ssh"), " must be auto, libssh2 or openssh, not '",
                      escapeForTerminal(*text), "'"));
}

HubConfig parseHub(const YAML::Node& node) {
  auto hub = defaultHub();
  Fields fields(node, "hub", ConfigSection::HUB);
  if (auto text = fields.text("sessions_dir")) hub.sessionsDir = expandField(*text);
  if (auto text = fields.text("database_dir")) hub.databaseDir = expandField(*text);
  if (auto text = fields.text("archive_dir")) hub.archiveDir = expandField(*text);
  if (auto days = fields.integer("archive_days")) hub.archiveDays = *days;
  if (auto size = fields.integer("listing_mb")) hub.listingMiB = *size;
  if (auto text = fields.text("ssh_config")) hub.sshConfig = expandField(*text);
  if (auto mode = parseSshMode(fields)) hub.ssh = *mode;
  if (auto port = fields.integer("web_ui_port")) hub.webUiPort = *port;
  return hub;
}

constexpr char METHODS[] = "The methods are: agent, rsync, syncthing.";

SyncMethod parseMethod(const Fields& fields) {
  auto text = fields.required("sync_method");
  if (text == "agent") return SyncMethod::AGENT;
  if (text == "rsync") return SyncMethod::RSYNC;
  if (text == "syncthing") return SyncMethod::SYNCTHING;
  auto node = *fields.node("sync_method");
  if (text == "api") {
    reject(node, fields.field("sync_method") + ": 'api' is not implemented", METHODS);
  }
  reject(
      node,
      absl::StrCat(fields.field("sync_method"), " '", escapeForTerminal(text), "' does not exist"),
      METHODS);
}

void parseRsyncOptions(const YAML::Node& node, const std::string& where, SpokeConfig& spoke) {
  Fields fields(node, where, ConfigSection::RSYNC_OPTIONS);
  if (auto limit = fields.integer("bw_limit")) spoke.bwLimit = *limit;
  if (auto gone = fields.boolean("delete")) spoke.deleteGone = *gone;
  if (auto timeout = fields.integer("timeout_seconds")) spoke.timeoutSeconds = *timeout;
  spoke.extraArgs = fields.texts("extra_args");
  if (auto refused = refusedForRsync(spoke.extraArgs)) {
    reject((*fields.node("extra_args"))[refused->index],
           absl::StrCat(fields.field("extra_args"), ": '",
                        escapeForTerminal(spoke.extraArgs[refused->index]), "' is refused"),
           refused->why);
  }
}

void parseSourceField(const Fields& fields, SpokeConfig& spoke) {
  if (spoke.method == SyncMethod::SYNCTHING) {
    spoke.sourceText = fields.text("source").value_or("");
    return;
  }
  spoke.sourceText = fields.required(
      "source", "Write user@host:path, for example will@laptop:~/.pi/agent/sessions");
  auto source = parseSource(spoke.sourceText);
  auto good = source.status();
  if (good.ok() && spoke.method == SyncMethod::AGENT) good = checkAgentPath(source->path);
  if (!good.ok()) {
    auto failure = failureOf(good, FailureId::CONFIG_INVALID);
    reject(*fields.node("source"), absl::StrCat(fields.field("source"), ": ", failure.summary()),
           failure.cause(), failure.fixes().empty() ? "" : failure.fixes().front().text);
  }
  spoke.source = *source;
}

void parsePortField(const Fields& fields, SpokeConfig& spoke) {
  auto port = fields.integer("port");
  if (!port) return;
  spoke.port = uint16_t(*port);
  if (spoke.method == SyncMethod::SYNCTHING || !isLocal(spoke)) return;
  reject(*fields.node("port"),
         absl::StrCat(fields.field("port"), " is the port of an SSH server, but the source '",
                      escapeForTerminal(spoke.sourceText), "' is on this machine"),
         "", "Remove the port");
}

void parseExcludeField(const Fields& fields, SpokeConfig& spoke) {
  spoke.exclude = fields.texts("exclude");
  auto field = fields.field("exclude");
  if (!spoke.exclude.empty() && spoke.method != SyncMethod::AGENT) {
    reject(*fields.node("exclude"), absl::StrCat(field, " is for sync_method agent"), "",
           spoke.method == SyncMethod::RSYNC
               ? "For rsync, write --exclude=PATTERN in rsync_options.extra_args"
               : "");
  }
  if (spoke.exclude.size() > Exclusions::MAX_PATTERNS) {
    reject(*fields.node("exclude"),
           absl::StrCat(field, " has more than ", Exclusions::MAX_PATTERNS, " patterns"));
  }
  for (size_t i = 0; i < spoke.exclude.size(); ++i) {
    auto why = Exclusions::whyNot(spoke.exclude[i]);
    if (!why) continue;
    reject((*fields.node("exclude"))[i],
           absl::StrCat(field, ": '", escapeForTerminal(spoke.exclude[i]),
                        "' is not a valid pattern: ", *why));
  }
}

void parseScheduleField(const Fields& fields, SpokeConfig& spoke) {
  auto text = fields.text("schedule");
  if (!text) return;
  auto schedule = Schedule::parse(*text);
  if (!schedule.ok()) {
    reject(*fields.node("schedule"),
           absl::StrCat(fields.field("schedule"), " '", escapeForTerminal(*text),
                        "': ", std::string(schedule.status().message())));
  }
  spoke.schedule = *schedule;
  spoke.scheduleText = *text;
}

SpokeConfig parseSpoke(const YAML::Node& node, const std::string& where, const HubConfig& hub) {
  Fields fields(node, where, ConfigSection::SPOKE);
  SpokeConfig spoke;
  spoke.name = fields.required("name");
  if (auto why = whyNoName(spoke.name)) {
    reject(*fields.node("name"), absl::StrCat(fields.field("name"), " ", withoutFullStop(*why)));
  }
  spoke.method = parseMethod(fields);
  spoke.path = expandField(fields.required("path"));
  if (!spoke.path.starts_with('/')) {
    reject(*fields.node("path"),
           absl::StrCat(fields.field("path"), " must be absolute or begin with '~/', not '",
                        escapeForTerminal(spoke.path), "'"));
  }
  parseSourceField(fields, spoke);
  if (auto enabled = fields.boolean("enabled")) spoke.enabled = *enabled;
  parseScheduleField(fields, spoke);
  if (auto keep = fields.boolean("keep_modes")) spoke.keepModes = *keep;
  spoke.sshConfig = hub.sshConfig;
  if (auto file = fields.text("ssh_config")) spoke.sshConfig = expandField(*file);
  spoke.ssh = parseSshMode(fields).value_or(hub.ssh);
  if (auto key = fields.text("key")) spoke.key = expandField(*key);
  parsePortField(fields, spoke);
  parseExcludeField(fields, spoke);
  if (auto options = fields.node("rsync_options")) {
    parseRsyncOptions(*options, where + ".rsync_options", spoke);
  }
  return spoke;
}

// Returns whether the paths are equal, or one is inside the other.
bool overlap(const std::string& one, const std::string& other) {
  // Follows symlinks as far as the paths exist.
  auto real = [](const std::string& path) {
    std::error_code error;
    auto resolved = std::filesystem::weakly_canonical(path, error);
    auto text = error ? path : resolved.string();
    return text.ends_with('/') ? text : text + "/";
  };
  auto first = real(one), second = real(other);
  return first.starts_with(second) || second.starts_with(first);
}

void rejectOverlaps(const YAML::Node& node, const Config& config) {
  std::span<const SpokeConfig> spokes = config.spokes;
  for (size_t i = 0; i < spokes.size(); ++i) {
    if (auto overlap = overlapOf(spokes[i], config.hub, spokes.first(i))) {
      reject(node[i]["path"], absl::StrCat("spokes[", i, "].path ", *overlap), "",
             "Give each mirror its own directory");
    }
  }
}

void parseSpokes(const YAML::Node& node, Config& config) {
  if (!node.IsSequence()) {
    reject(node, "spokes must be a list with one '- name: …' for each machine");
  }
  for (size_t i = 0; i < node.size(); ++i) {
    auto where = absl::StrCat("spokes[", i, "]");
    auto spoke = parseSpoke(node[i], where, config.hub);
    for (auto& other : config.spokes) {
      if (other.name == spoke.name) {
        reject(node[i]["name"],
               absl::StrCat(where, ".name '", spoke.name, "' is the name of another spoke too"), "",
               "Give each spoke its own name");
      }
    }
    config.spokes.push_back(std::move(spoke));
  }
  rejectOverlaps(node, config);
}

Config parse(const std::string& text) {
  Config config;
  config.hub = defaultHub();
  auto mistake = findLoneReturn(text);
  if (!mistake) mistake = findSecondDocument(text);
  if (mistake) throw ConfigError(mistake->line, mistake->what, "", mistake->fix);
  YAML::Node root = YAML::Load(withMarkerEnded(text));
  if (!root.IsDefined() || root.IsNull()) return config;
  if (!root.IsMap()) reject(root, "the file must be a mapping with 'hub:' and 'spokes:'");
  for (auto* section : {"hub", "spokes"}) {
    size_t given = 0;
    for (auto entry : root) {
      if (!entry.first.IsScalar() || entry.first.Scalar() != section || ++given < 2) continue;
      reject(entry.first, absl::StrCat("'", section, ":' is given twice"), "", "Merge the two");
    }
  }
  mistake = findShapeMistake(root);
  if (mistake) {
    if (mistake->certain) throw ConfigError(mistake->line, mistake->what, "", mistake->fix);
    config.doubt =
        absl::StrCat("line ", mistake->line, ": ", mistake->what, ". ", mistake->fix, ".");
  }
  // Other sections belong to other programs.
  if (root["hub"].IsDefined() && !root["hub"].IsNull()) config.hub = parseHub(root["hub"]);
  if (root["spokes"].IsDefined() && !root["spokes"].IsNull()) parseSpokes(root["spokes"], config);
  return config;
}

absl::StatusOr<std::string> readFile(const std::string& path, bool optional) {
  if (auto text = readWholeFile(path)) return *text;
  if (errno == ENOENT && optional) return std::string();
  if (errno == ENOENT) {
    return toStatus(
        Failure(FailureId::CONFIG_UNREADABLE,
                absl::StrCat("the config file ", escapeForTerminal(path), " does not exist"), "",
                {{"Check the path after --config", ""}}));
  }
  return toStatus(Failure(
      FailureId::CONFIG_UNREADABLE,
      absl::StrCat("cannot read the config file ", escapeForTerminal(path), ": ", whyUnread(errno)),
      "",
      {{"Check the path and its permissions", "ls -ld " + escapeForTerminal(shellQuote(path))}}));
}

}  // namespace

const char* toString(SyncMethod method) {
  switch (method) {
    case SyncMethod::AGENT:
      return "agent";
    case SyncMethod::RSYNC:
      return "rsync";
    case SyncMethod::SYNCTHING:
      return "syncthing";
  }
  return "?";
}

const char* toString(SshMode mode) {
  switch (mode) {
    case SshMode::AUTO:
      return "auto";
    case SshMode::LIBSSH2:
      return "libssh2";
    case SshMode::OPENSSH:
      return "openssh";
  }
  return "";
}

std::optional<std::string> reasonToSkip(const SpokeConfig& spoke) {
  if (!spoke.enabled) {
    return absl::StrCat("it is disabled; '",
                        ownCommand("spoke enable " + escapeForTerminal(shellQuote(spoke.name))),
                        "' enables it");
  }
  switch (spoke.method) {
    case SyncMethod::AGENT:
    case SyncMethod::RSYNC:
      return std::nullopt;
    case SyncMethod::SYNCTHING:
      return "its sync_method is syncthing, which syncs by itself";
  }
  return std::nullopt;
}

std::optional<std::string> whyNoName(const std::string& name) {
  if (isSafeName(name) && name[0] != '.' && name[0] != '-' && escapeForTerminal(name) == name) {
    return std::nullopt;
  }
  return absl::StrCat(
      "'", escapeForTerminal(name),
      "' cannot be used: it becomes the name of a directory and is typed on command "
      "lines, so it must not contain '/', '\\' or control characters, nor begin with "
      "'.' or '-'.");
}

std::optional<std::string> overlapOf(const SpokeConfig& spoke, const HubConfig& hub,
                                     std::span<const SpokeConfig> others) {
  std::vector<std::pair<std::string, std::string>> places{
      {"hub.sessions_dir", hub.sessionsDir},
      {"hub.database_dir", hub.databaseDir},
      {"hub.archive_dir", hub.archiveDir},
  };
  if (spoke.method != SyncMethod::SYNCTHING && isLocal(spoke)) {
    places.emplace_back("its source", expandField(spoke.source.path));
  }
  for (auto& other : others) {
    places.emplace_back("the path of spoke '" + other.name + "',", other.path);
  }
  for (auto& [what, path] : places) {
    if (path.empty() || !overlap(spoke.path, path)) continue;
    return absl::StrCat("'", escapeForTerminal(spoke.path), "' and ", what, " '",
                        escapeForTerminal(path), "' are equal, or one is inside the other");
  }
  return std::nullopt;
}

const SpokeConfig* findSpoke(const Config& config, const std::string& name) {
  auto found = std::find_if(config.spokes.begin(), config.spokes.end(),
                            [&](auto& spoke) { return spoke.name == name; });
  return found == config.spokes.end() ? nullptr : &*found;
}

std::string loginOf(const SpokeConfig& spoke) {
  auto& source = spoke.source;
  return escapeForTerminal(
      shellQuote(source.user.empty() ? source.host : source.user + "@" + source.host));
}

std::string placeOf(const SpokeConfig& spoke) {
  return isLocal(spoke) ? "this machine" : escapeForTerminal(spoke.source.host);
}

std::string configPath(const std::string& path) {
  return path.empty() ? expandHome("~/.pi-brain/config.yaml") : path;
}

absl::StatusOr<Config> loadConfig(const std::string& path) {
  auto text = readFile(configPath(path), path.empty());
  if (!text.ok()) return text.status();
  return parseConfig(*text, configPath(path));
}

namespace {

// Returns the user's editor, or one that is installed nearly everywhere. All take +LINE.
std::string editor() {
  for (auto* name : {"VISUAL", "EDITOR"}) {
    auto* value = getenv(name);
    if (value != nullptr && *value != '\0') return escapeForTerminal(value);
  }
  return findProgram("nano") ? "nano" : "vi";
}

}  // namespace

absl::StatusOr<Config> parseConfig(const std::string& text, const std::string& file) {
  auto fail = [&](int line, std::string what, std::string cause, std::string fix) {
    if (int open = findOpenQuote(text); open > 0 && line >= open) {
      cause = absl::StrCat("So the lines below are read as a part of it: ", what, ".");
      what = "a quote that begins in this line is not closed there";
      line = open;
      fix.clear();
    }
    auto shown = escapeForTerminal(file), at = absl::StrCat(line > 0 ? line : 1);
    return toStatus(
        Failure(FailureId::CONFIG_INVALID, absl::StrCat(shown, ":", at, ": ", what), cause,
                {{fix.empty() ? "Correct line " + at : fix,
                  absl::StrCat(editor(), " +", at, " ", escapeForTerminal(shellQuote(file)))}}));
  };
  try {
    auto config = parse(text);
    config.file = file;
    if (config.doubt) {
      config.doubt = absl::StrCat(escapeForTerminal(file), ", ", *config.doubt);
    }
    return config;
  } catch (const ConfigError& e) {
    // An unknown field may have an invisible blank in front.
    auto odd = findOddBlank(text);
    bool here = odd && (odd->line == e.line || odd->line == e.line + 1);
    return here ? fail(odd->line, odd->what, "", odd->fix)
                : fail(e.line, e.summary(), e.cause(), e.fix);
  } catch (const YAML::Exception& e) {
    if (auto odd = findOddBlank(text)) return fail(odd->line, odd->what, "", odd->fix);
    return fail(e.mark.line + 1, absl::StrCat("this is not YAML: ", e.msg), "",
                "Check the indentation, and for a tab, a missing space after ':', a missing quote, "
                "or a value that needs quotes, since it begins with *, @ or %, or ends with ':' "
                "(schedule: \"*/5 * * * *\")");
  }
}

}  // namespace pibrain
