#include "common/text/login-shell.h"

#include <algorithm>

#include "common/text/utf8.h"

namespace pibrain {

namespace {

bool isLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool isPlain(char c) {
  return isLetterOrDigit(c) || std::string_view("_./,@%+:=-").find(c) != std::string_view::npos;
}

bool allPlain(std::string_view text) { return std::all_of(text.begin(), text.end(), isPlain); }

}  // namespace

bool isPlainWord(std::string_view word) {
  return !word.empty() &&
         (isLetterOrDigit(word[0]) || word[0] == '_' || word[0] == '.' || word[0] == '/') &&
         allPlain(word);
}

std::string rootOption(std::string_view root) {
  bool inHome = root == "~" || (root.starts_with("~/") && allPlain(root.substr(2)));
  bool plain = inHome || (isPlainWord(root) && !root.starts_with(EXACT_PATH));
  if (plain) return "--root=" + std::string(root);
  auto encoded = percentEncode(root);
  // '~' is an operator to some shells, or begins another user's home.
  for (size_t at; (at = encoded.find('~')) != std::string::npos;) encoded.replace(at, 1, "%7E");
  return "--root=" + std::string(EXACT_PATH) + encoded;
}

std::string commandFor(const std::string& program, const std::string& home) {
  // Some shells take a word with '=' for an assignment.
  auto plain = [](std::string_view path) {
    return allPlain(path) && path.find('=') == std::string_view::npos;
  };
  if (program.starts_with('/') && plain(program)) return program;
  bool beneath = home.starts_with('/') && program.size() > home.size() + 1 &&
                 program.starts_with(home) && program[home.size()] == '/';
  // csh interprets these in the path that replaces "~", and ksh the backslash.
  bool readable = std::none_of(home.begin(), home.end(), [](char c) {
    return uint8_t(c) < 0x20 || c == 0x7f ||
           std::string_view("*?[{`\\").find(c) != std::string_view::npos;
  });
  auto rest = beneath ? std::string_view(program).substr(home.size() + 1) : std::string_view();
  return beneath && readable && plain(rest) ? "~/" + std::string(rest) : "";
}

}  // namespace pibrain
