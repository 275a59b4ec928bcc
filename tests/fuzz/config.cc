// ~/.pi-brain/config.yaml. Input: the file.

#include "hub/config/config.h"

#include <set>

#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

namespace {

void checkSpoke(const SpokeConfig& spoke) {
  require(isSafeName(spoke.name) && spoke.name[0] != '-' && spoke.name[0] != '.' &&
              escapeForTerminal(spoke.name) == spoke.name,
          "a spoke's name names a directory", spoke.name);
  require(spoke.path.starts_with('/'), "a mirror's path is absolute", spoke.path);
  if (spoke.method == SyncMethod::SYNCTHING) return;
  auto& source = spoke.source;
  require(!source.path.empty(), "a source has a path");
  require(!source.host.starts_with('-') && !source.user.starts_with('-'),
          "a host is not an option of ssh", source.host);
  require(source.host.find_first_of(" '\"$;/") == source.host.npos, "a host is not a command",
          source.host);
  if (!source.host.empty()) {
    // The argument of a command for the same source.
    bool address = source.host.find(':') != source.host.npos;
    auto login = (source.user.empty() ? "" : source.user + "@") +
                 (address ? "[" + source.host + "]" : source.host);
    auto again = parseLogin(login);
    require(again.ok() && again->user == source.user && again->host == source.host,
            "a source's login can be used", login);
  }
  require(spoke.timeoutSeconds > 0, "a connection has a time limit");
}

}  // namespace

void run(Input input) {
  static TempDir dir(scratch());
  static const bool homed = setenv("HOME", "/home/fuzz", 1) == 0;
  require(homed, "there is a home");
  dir.write("config.yaml", input.rest());
  auto config = loadConfig(dir / "config.yaml");
  if (!config.ok()) {
    require(!config.status().message().empty(), "an error has a message");
    return;
  }
  std::set<std::string> names, paths;
  for (auto& spoke : config->spokes) {
    checkSpoke(spoke);
    require(names.insert(spoke.name).second, "a name is used once", spoke.name);
    require(paths.insert(spoke.path).second, "a mirror belongs to one spoke", spoke.path);
  }
}

}  // namespace pibrain::fuzz
