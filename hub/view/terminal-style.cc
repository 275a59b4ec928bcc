#include "hub/view/terminal-style.h"

#include <absl/strings/str_replace.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/text/utf8.h"

namespace pibrain {

namespace {

bool set(const char* variable) {
  const char* value = getenv(variable);
  return value != nullptr && *value != '\0';
}

bool localeIsUtf8() {
  auto* locale = newlocale(LC_CTYPE_MASK, "", locale_t(nullptr));
  if (locale == nullptr) return false;
  bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
  freelocale(locale);
  return utf8;
}

struct winsize sizeOfTerminal() {
  struct winsize size = {};
  ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  return size;
}

}  // namespace

TerminalStyle styleOfOutput() { return styleOf(STDOUT_FILENO); }

TerminalStyle styleOf(int descriptor) {
  TerminalStyle style;
  const char* kind = getenv("TERM");
  style.terminal = isatty(descriptor) && kind != nullptr && strcmp(kind, "dumb") != 0;
  style.color = style.terminal && !set("NO_COLOR");
  style.unicode = !isatty(descriptor) || localeIsUtf8();
  return style;
}

std::string TerminalStyle::mark(Mark mark) const {
  auto painted = [&](const char* code, const char* rich, const char* plain) {
    std::string text = unicode ? rich : plain;
    return color ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  };
  switch (mark) {
    case Mark::GOOD:
      return painted("32", "✓", "+");
    case Mark::BAD:
      return painted("31", "✗", "x");
    case Mark::WARNING:
      return painted("33", "!", "!");
    case Mark::SKIPPED:
      return painted("2", "-", "-");
  }
  return "";
}

std::string TerminalStyle::plain(const std::string& text) const {
  return unicode ? text : absl::StrReplaceAll(text, {{"…", "..."}});
}

size_t columnsOf(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    if (text[0] == '\x1b') {
      auto end = text.find('m');
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
      continue;
    }
    text.remove_prefix(stepOf(text));
    ++columns;
  }
  return columns;
}

unsigned terminalColumns() {
  unsigned columns = sizeOfTerminal().ws_col;
  return columns == 0 ? 80 : columns;
}

unsigned terminalLines() {
  unsigned lines = sizeOfTerminal().ws_row;
  return lines == 0 ? 24 : lines;
}

}  // namespace pibrain
