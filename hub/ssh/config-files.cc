#include "hub/ssh/config-files.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <glob.h>
#include <kj/common.h>
#include <sys/stat.h>

#include <vector>

#include "hub/base/files.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

namespace {

constexpr int MAX_DEPTH = 16;  // readconf.h, READCONF_MAX_DEPTH

class Reader {
 public:
  // Whether it could be told.
  bool read(const std::string& path, const std::string& directory, int depth) {
    if (depth > MAX_DEPTH) return false;
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
      absl::StrAppend(&state_, path, " -\n");
      return true;
    }
    absl::StrAppend(&state_, path, " ", st.st_dev, " ", st.st_ino, " ", st.st_size, " ",
                    st.st_mtim.tv_sec, ".", st.st_mtim.tv_nsec, " ", st.st_ctim.tv_sec, ".",
                    st.st_ctim.tv_nsec, "\n");
    auto text = readWholeFile(path);
    if (!text) return true;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      if (!take(line, directory, depth)) return false;
    }
    return true;
  }

  std::string state_;

 private:
  // A keyword, blanks or "=", and its arguments (ssh_config(5)).
  bool take(absl::string_view line, const std::string& directory, int depth) {
    line = absl::StripAsciiWhitespace(line);
    auto end = line.find_first_of(" \t=");
    auto keyword = absl::AsciiStrToLower(line.substr(0, end));
    auto rest = absl::AsciiStrToLower(end == line.npos ? "" : line.substr(end));
    if (keyword == "match") return !absl::StrContains(rest, "exec");
    if (keyword != "include" || end == line.npos) return true;
    return include(std::string(line.substr(end)), directory, depth);
  }

  bool include(const std::string& arguments, const std::string& directory, int depth) {
    // What is quoted, escaped or expanded is for ssh to read.
    if (arguments.find_first_of("\"'\\$%") != std::string::npos) return false;
    for (absl::string_view word :
         absl::StrSplit(arguments, absl::ByAnyChar(" \t="), absl::SkipEmpty())) {
      std::string pattern(word);
      if (absl::ConsumePrefix(&word, "~/")) pattern = absl::StrCat(sshHome(), "/", word);
      if (!pattern.starts_with('/')) pattern = absl::StrCat(directory, "/", pattern);
      glob_t found = {};
      KJ_DEFER(globfree(&found));
      // What appears later changes the state by being in it.
      if (glob(pattern.c_str(), 0, nullptr, &found) != 0) continue;
      for (size_t i = 0; i < found.gl_pathc; ++i) {
        if (!read(found.gl_pathv[i], directory, depth + 1)) return false;
      }
    }
    return true;
  }
};

}  // namespace

std::string sshConfigState(const std::string& configFile) {
  Reader reader;
  auto own = sshHome() + "/.ssh";
  bool told = configFile.empty() ? reader.read(own + "/config", own, 0) &&
                                       reader.read("/etc/ssh/ssh_config", "/etc/ssh", 0)
                                 : reader.read(configFile, own, 0);
  return told ? reader.state_ : "";
}

}  // namespace pibrain
