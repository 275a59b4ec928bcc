// The line for authorized_keys: whatever its parts are, sshd and a shell read the same from it.
//
// Input: the agent's path, the root and the --from pattern (a text each), then the public key.

#include "spoke-agent/setup/authorized-keys.h"

#include <vector>

#include "common/text/exclusions.h"
#include "common/text/login-shell.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

namespace {

const std::string HOME = "/home/me";

// Returns the value of an option in double quotes, as sshd's opt_dequote() reads it; moves past it.
std::string dequoted(std::string_view& line) {
  std::string value;
  require(line.starts_with('"'), "a value is quoted");
  for (line.remove_prefix(1); !line.empty() && line[0] != '"'; line.remove_prefix(1)) {
    if (line.starts_with("\\\"")) line.remove_prefix(1);
    value += line[0];
  }
  require(!line.empty(), "a quote is closed");
  line.remove_prefix(1);
  return value;
}

// Returns the words that every login shell reads: no character is special to any of them.
std::vector<std::string> shellWords(std::string_view command) {
  std::vector<std::string> words(1);
  for (size_t i = 0; i < command.size(); ++i) {
    if (command[i] == ' ') {
      words.emplace_back();
      continue;
    }
    bool home =
        command.substr(i).starts_with("~/") && (words.back().empty() || words.back() == "--root=");
    require(home || isPlainWord(std::string{'a', command[i]}), "no character is special to a shell",
            std::string(command));
    words.back() += command[i];
  }
  return words;
}

// Returns the value that the agent reads from its option.
std::string valueOf(const std::string& option, std::string_view name) {
  require(option.starts_with(name), "it is an option", option);
  auto value = readExactPath(std::string_view(option).substr(name.size()));
  require(value.has_value(), "the agent understands it", option);
  return *value;
}

void skip(std::string_view& line, std::string_view expected) {
  require(line.starts_with(expected), "the line has its options", std::string(line));
  line.remove_prefix(expected.size());
}

}  // namespace

void run(Input input) {
  std::string agent(input.text()), root(input.text()), from(input.text());
  std::string key(input.rest()), made;
  // No argument of a program has a NUL.
  if ((agent + root).find('\0') != std::string::npos) return;
  // It may be a pattern, too.
  std::vector<std::string> exclude;
  if (!Exclusions::whyNot(from)) exclude = {from, root + from};
  if (!tolerating([&]() { made = authorizedKeysLine(key, agent, HOME, root, exclude, from); })) {
    return;
  }
  require(made.find_first_of("\r\n") == std::string::npos, "it is one line", made);
  std::string_view line = made;
  skip(line, "restrict,");
  if (!from.empty()) {
    skip(line, "from=");
    require(dequoted(line) == from, "sshd reads the pattern", made);
    skip(line, ",");
  }
  skip(line, "command=");
  auto words = shellWords(dequoted(line));
  require(words.size() == 2 + exclude.size(), "the shell runs the agent with its options", made);
  auto program = words[0].starts_with("~/") ? HOME + words[0].substr(1) : words[0];
  require(program == agent, "the shell runs the agent", made);
  require(valueOf(words[1], "--root=") == root, "the agent serves the root", made);
  for (size_t i = 0; i < exclude.size(); ++i) {
    require(valueOf(words[2 + i], "--exclude=") == exclude[i], "the agent leaves it out", made);
  }
  skip(line, " ");
  require(key.starts_with(line), "the key is what was given", made);
}

}  // namespace pibrain::fuzz
