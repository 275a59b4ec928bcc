// The line for authorized_keys: whatever goes into it, sshd and a shell get out what was meant.
//
// Input: the agent's path, the root and the --from pattern (a text each), then the public key.

#include "spoke-agent/authorized-keys.h"

#include <vector>

#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

namespace {

// The value of an option in double quotes, as sshd's opt_dequote() reads it; moves past it.
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

// The words that a POSIX shell makes of a command of plain and single-quoted parts.
std::vector<std::string> shellWords(std::string_view command) {
  constexpr std::string_view SPECIAL = "|&;<>()$`\"*?[#~! \t\n";
  std::vector<std::string> words(1);
  for (size_t i = 0; i < command.size(); ++i) {
    if (command[i] == ' ') {
      words.emplace_back();
    } else if (command[i] == '\\' && i + 1 < command.size()) {
      words.back() += command[++i];
    } else if (command[i] != '\'') {
      require(SPECIAL.find(command[i]) == std::string_view::npos, "a shell sees nothing special");
      words.back() += command[i];
    } else {
      auto end = command.find('\'', i + 1);
      require(end != std::string_view::npos, "a shell sees quotes closed");
      words.back() += command.substr(i + 1, end - i - 1);
      i = end;
    }
  }
  return words;
}

void skip(std::string_view& line, std::string_view expected) {
  require(line.starts_with(expected), "the line has its options", std::string(line));
  line.remove_prefix(expected.size());
}

}  // namespace

void run(Input input) {
  std::string agent(input.text()), root(input.text()), from(input.text());
  std::string key(input.rest()), made;
  if (!tolerating([&]() { made = authorizedKeysLine(key, agent, root, from); })) return;
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
  require(words == std::vector{agent, "--root=" + root}, "the shell runs the agent", made);
  skip(line, " ");
  require(key.starts_with(line), "the key is what was given", made);
}

}  // namespace pibrain::fuzz
