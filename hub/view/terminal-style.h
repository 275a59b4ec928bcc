#pragma once
// What standard output can show.

#include <stddef.h>

#include <string>
#include <string_view>

namespace pibrain {

enum class Mark { GOOD, BAD, WARNING, SKIPPED };

struct TerminalStyle {
  bool terminal = false;  // a person watches, and lines can be redrawn
  bool color = false;     // never with NO_COLOR (https://no-color.org)
  bool unicode = true;    // on a terminal, by its locale; files are UTF-8

  std::string mark(Mark mark) const;
  // Returns the text, with '…' as ASCII if necessary.
  std::string plain(const std::string& text) const;
  const char* ellipsis() const { return unicode ? "…" : "..."; }
};

// Return the style of standard output, and of another descriptor.
TerminalStyle styleOfOutput();
TerminalStyle styleOf(int descriptor);

// Returns how many columns the text takes: one for each character, and none for colours. Wide
// scripts take more.
size_t columnsOf(std::string_view text);

// Returns the columns of the terminal at standard output; 80 if unknown.
unsigned terminalColumns();
// Returns its lines; 24 if unknown.
unsigned terminalLines();

}  // namespace pibrain
