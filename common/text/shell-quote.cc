#include "common/text/shell-quote.h"

namespace pibrain {

std::string shellQuote(std::string_view path) {
  constexpr std::string_view PLAIN =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=,:+@%";
  if (!path.empty() && path.find_first_not_of(PLAIN) == std::string_view::npos) {
    return std::string(path);
  }
  std::string out = "'";
  for (char c : path) {
    if (c == '\'') {
      // Not '\'': escapeForTerminal() would write its backslash twice.
      out += "'\"'\"'";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string shellQuotePath(std::string_view path) {
  if (path == "~") return "~";
  if (path.starts_with("~/")) return path.size() == 2 ? "~/" : "~/" + shellQuote(path.substr(2));
  return shellQuote(path);
}

}  // namespace pibrain
