#include "hub/ssh/config-files.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <errno.h>
#include <glob.h>
#include <kj/common.h>
#include <sys/stat.h>

#include <vector>

#include "hub/base/user-files.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/target.h"

namespace pibrain {

namespace {

constexpr int MAX_DEPTH = 16;  // readconf.h, READCONF_MAX_DEPTH
constexpr char SYSTEM_CONFIG[] = "/etc/ssh/ssh_config";

// Returns true if the file is not empty or cannot be read.
bool saysAnything(const std::string& path) {
  auto text = readWholeFile(path);
  if (!text) return true;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && line[0] != '#') return true;
  }
  return false;
}

class Reader {
 public:
  // Returns whether the state can be determined. `configFile`: as for `ssh -F`; empty: ssh's own.
  bool readAll(const std::string& configFile) {
    auto own = sshHome() + "/.ssh";
    if (!configFile.empty()) return read(configFile, own, 0);
    return read(own + "/config", own, 0) && read(SYSTEM_CONFIG, "/etc/ssh", 0);
  }

  std::string state_;
  std::string noFile_;  // a file of the configuration for which isNoFile() is true; empty: none

 private:
  bool read(const std::string& path, const std::string& directory, int depth) {
    if (depth > MAX_DEPTH) return false;
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
      absl::StrAppend(&state_, path, " -\n");
      return true;
    }
    absl::StrAppend(&state_, path, " ", fileState(st), "\n");
    if (isNoFile(path)) noFile_ = path;
    auto text = readWholeFile(path);
    if (!text) return false;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      if (!take(line, directory, depth)) return false;
    }
    return true;
  }

  // Reads a line: a keyword, blanks or "=", and arguments (ssh_config(5)).
  bool take(absl::string_view line, const std::string& directory, int depth) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "\"")) return false;  // a keyword can be in quotes
    auto end = line.find_first_of(" \t=");
    auto keyword = absl::AsciiStrToLower(line.substr(0, end));
    auto rest = absl::AsciiStrToLower(end == line.npos ? "" : line.substr(end));
    if (keyword == "match") return isByNames(rest);
    // It asks the name server, and reads the files again for the answer.
    if (keyword == "canonicalizehostname") return absl::StrContains(rest, "no");
    if (keyword != "include" || end == line.npos) return true;
    return include(std::string(line.substr(end)), directory, depth);
  }

  // Returns whether a Match depends only on the requested names and the local user.
  static bool isByNames(absl::string_view criteria) {
    if (criteria.find_first_of("\"'\\") != criteria.npos) return false;
    std::vector<absl::string_view> words =
        absl::StrSplit(criteria, absl::ByAnyChar(" \t="), absl::SkipEmpty());
    for (auto word = words.begin(); word != words.end(); ++word) {
      absl::ConsumePrefix(&*word, "!");
      if (*word == "all") continue;
      if (*word != "host" && *word != "originalhost" && *word != "user" && *word != "localuser") {
        return false;
      }
      if (++word == words.end()) return false;
    }
    return true;
  }

  bool include(const std::string& arguments, const std::string& directory, int depth) {
    // Only ssh can interpret quotes, escapes and variables.
    if (arguments.find_first_of("\"'\\$%") != std::string::npos) return false;
    for (absl::string_view word :
         absl::StrSplit(arguments, absl::ByAnyChar(" \t="), absl::SkipEmpty())) {
      std::string pattern(word);
      if (absl::ConsumePrefix(&word, "~/")) pattern = absl::StrCat(sshHome(), "/", word);
      if (!pattern.starts_with('/')) pattern = absl::StrCat(directory, "/", pattern);
      glob_t found = {};
      KJ_DEFER(globfree(&found));
      // A file that appears later changes the state.
      if (glob(pattern.c_str(), 0, nullptr, &found) != 0) continue;
      for (size_t i = 0; i < found.gl_pathc; ++i) {
        if (!read(found.gl_pathv[i], directory, depth + 1)) return false;
      }
    }
    return true;
  }
};

}  // namespace

std::string sshConfigState(const SshRequest& request) {
  Reader reader;
  if (!reader.readAll(request.configFile)) return "";
  return absl::StrCat("host ", request.host, "\nuser ", request.user, "\nkey ", request.key, "\n",
                      reader.state_);
}

std::string noFileInSshConfig(const std::string& configFile) {
  Reader reader;
  reader.readAll(configFile);
  return reader.noFile_;
}

bool hasSshConfig(const std::string& configFile) {
  if (!configFile.empty()) return saysAnything(configFile);
  for (auto& path : {sshHome() + "/.ssh/config", std::string(SYSTEM_CONFIG)}) {
    auto error = nearestTo(path).error;
    if (error != ENOENT && error != ENOTDIR && saysAnything(path)) return true;
  }
  return false;
}

}  // namespace pibrain
