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

}  // namespace pibrain
