#include "hub/rsync/arguments.h"

#include <string_view>

namespace pibrain {

namespace {

struct Refused {
  std::string_view option;
  const char* why;
};

constexpr char RUNS_HERE[] = "it names a command that rsync would run on this machine";
constexpr char RUNS_THERE[] = "it names a command that would be run on the spoke";
constexpr char CHANGES[] = "it changes the spoke, which a sync only reads";
constexpr char DAEMON[] = "it makes rsync serve files instead of fetching them";

// rsync(1), with older and undocumented names from its options.c.
constexpr Refused LONG[] = {
    {"rsh", RUNS_HERE},
    {"rsync-path", RUNS_THERE},
    {"remote-option", RUNS_THERE},
    {"daemon", DAEMON},
    {"config", DAEMON},
    {"dparam", DAEMON},
    {"server", DAEMON},
    {"sender", DAEMON},
    {"remove-source-files", CHANGES},
    {"remove-sent-files", CHANGES},
    {"write-devices", "it writes to devices on this machine"},
    {"ignore-errors", "it deletes from the mirror when the spoke could not be read"},
    {"force", "it deletes directories from the mirror without --delete"},
};

// Short options that take the rest of the argument, or the next one, as their value.
constexpr std::string_view WITH_VALUE = "fBT@";

const char* whyNotShort(char letter) {
  if (letter == 'e') return RUNS_HERE;
  if (letter == 'M') return RUNS_THERE;
  return nullptr;
}

}  // namespace

std::string whyNotForRsync(const std::string& argument) {
  if (argument.empty()) return "it is empty";
  if (argument == "--") return "it ends the options";
  if (argument.starts_with("--")) {
    auto name = std::string_view(argument).substr(2);
    name = name.substr(0, name.find('='));
    for (auto& [option, why] : LONG) {
      if (option.starts_with(name)) return why;
    }
    return "";
  }
  if (argument[0] != '-') return "";
  for (char letter : std::string_view(argument).substr(1)) {
    if (auto* why = whyNotShort(letter)) return why;
    if (WITH_VALUE.find(letter) != std::string_view::npos) break;
  }
  return "";
}

}  // namespace pibrain
