#include "hub/view/failure-text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "hub/base/failure.h"

namespace pibrain {

namespace {

constexpr size_t INDENT = 6;  // of cause and fixes
constexpr size_t COMMAND_INDENT = 8;
constexpr size_t LABEL = 5;     // "Why: "
constexpr size_t WIDEST = 100;  // longer lines are hard to read

}  // namespace

std::string wrapped(const std::string& start, const std::string& text, size_t indent,
                    size_t columns) {
  std::string out = start;
  size_t at = columnsOf(start);
  bool first = true;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    size_t width = columnsOf({word.data(), word.size()});
    if (!first && at + 1 + width > columns) {
      absl::StrAppend(&out, "\n", std::string(indent, ' '));
      at = indent;
    } else if (!first) {
      out += ' ';
      ++at;
    }
    absl::StrAppend(&out, word);
    at += width;
    first = false;
  }
  return out + "\n";
}

std::string wrappedText(const std::string& start, const std::string& text) {
  return wrapped(start, text, INDENT, std::min<size_t>(terminalColumns(), WIDEST));
}

std::string failureText(const std::string& start, const Failure& failure,
                        const TerminalStyle& style) {
  if (!style.terminal) return absl::StrCat(start, failure.what(), "\n");
  size_t columns = std::min<size_t>(terminalColumns(), WIDEST);
  std::string indent(INDENT, ' ');
  auto out = wrapped(start, failure.summary(), INDENT, columns);
  if (!failure.cause().empty()) {
    out += wrapped(indent + "Why: ", failure.cause(), INDENT + LABEL, columns);
  }
  for (auto& fix : failure.fixes()) {
    auto text = fix.text + (fix.command.empty() ? "." : ":");
    out += wrapped(indent + "Fix: ", text, INDENT + LABEL, columns);
    if (!fix.command.empty()) {
      absl::StrAppend(&out, std::string(COMMAND_INDENT, ' '), fix.command, "\n");
    }
  }
  return out;
}

}  // namespace pibrain
