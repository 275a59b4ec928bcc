#include "hub/config/rsync-arguments.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace pibrain {

namespace {

struct Allowed {
  std::string_view name;
  bool takesValue = false;
};

// rsync(1)
constexpr Allowed LONG[] = {
    {"exclude", true},
    {"exclude-from", true},
    {"include", true},
    {"include-from", true},
    {"filter", true},
    {"cvs-exclude"},
    {"max-size", true},
    {"min-size", true},
    {"prune-empty-dirs"},
    {"one-file-system"},
    {"checksum"},
    {"checksum-choice", true},
    {"cc", true},
    {"size-only"},
    {"ignore-times"},
    {"update"},
    {"fuzzy"},
    {"whole-file"},
    {"no-whole-file"},
    {"block-size", true},
    {"compress"},
    {"no-compress"},
    {"compress-choice", true},
    {"zc", true},
    {"compress-level", true},
    {"zl", true},
    {"skip-compress", true},
    {"new-compress"},
    {"sparse"},
    {"fsync"},
    {"partial"},
    {"progress"},
    {"verbose"},
    {"human-readable"},
    {"itemize-changes"},
    {"stats"},
    {"no-motd"},
    {"ipv4"},
    {"ipv6"},
    {"blocking-io"},
    {"sockopts", true},
    {"secluded-args"},
    {"protect-args"},
    {"recursive"},
    {"times"},
    {"omit-dir-times"},
    {"bwlimit", true},
    {"inc-recursive"},
    {"no-inc-recursive"},
};
constexpr std::string_view LETTERS = "vzcuIhiPCxmWSyrtsO46";
constexpr std::string_view LETTERS_WITH_VALUE = "fB";

constexpr char NOT_ALLOWED[] =
    "It could run a command, write elsewhere, or interfere with the archive. Settings for ssh "
    "belong in ~/.ssh/config; delete, bw_limit, timeout_seconds and keep_modes have their own "
    "fields. Options must be written in full; 'man pi-brain-config' says which are allowed.";

// Returns whether the option is allowed; sets whether the next argument is its value.
bool allowed(std::string_view argument, bool& valueFollows) {
  if (argument.starts_with("--")) {
    auto name = argument.substr(2);
    auto equals = name.find('=');
    auto* option = std::find_if(std::begin(LONG), std::end(LONG),
                                [&](auto& one) { return one.name == name.substr(0, equals); });
    if (option == std::end(LONG)) return false;
    if (equals != std::string_view::npos) return option->takesValue;
    valueFollows = option->takesValue;
    return true;
  }
  if (argument.size() < 2 || argument[0] != '-') return false;
  for (size_t i = 1; i < argument.size(); ++i) {
    if (LETTERS_WITH_VALUE.find(argument[i]) != std::string_view::npos) {
      valueFollows = i + 1 == argument.size();
      return true;
    }
    if (LETTERS.find(argument[i]) == std::string_view::npos) return false;
  }
  return true;
}

}  // namespace

std::optional<RefusedArgument> refusedForRsync(const std::vector<std::string>& arguments) {
  bool valueFollows = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    auto& argument = arguments[i];
    if (argument.find('\0') != std::string::npos)
      return RefusedArgument{i, "It contains a NUL character."};
    if (valueFollows) {
      valueFollows = false;
      continue;
    }
    if (argument.empty() || argument[0] != '-') {
      return RefusedArgument{
          i, "It does not start with '-', so rsync would treat it as another source."};
    }
    if (!allowed(argument, valueFollows)) return RefusedArgument{i, NOT_ALLOWED};
  }
  if (valueFollows) return RefusedArgument{arguments.size() - 1, "Its value is missing."};
  return std::nullopt;
}

}  // namespace pibrain
