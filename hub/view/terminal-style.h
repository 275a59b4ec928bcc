#pragma once
// What a terminal can show.

#include <stddef.h>

#include <string>
#include <string_view>

namespace pibrain {

enum class Mark { GOOD, BAD, WARNING, SKIPPED };

struct TerminalStyle {
  bool terminal = false;  // a person looks on, and what was printed can be changed
  bool color = false;     // never with NO_COLOR (https://no-color.org)
  bool unicode = true;    // on a terminal as its locale says; files are UTF-8

  std::string mark(Mark mark) const;
  // The text, with what it may have of other signs as ASCII if need be.
  std::string plain(const std::string& text) const;
  const char* ellipsis() const { return unicode ? "…" : "..."; }
};

// Of this process's standard output, and of another of its descriptors.
TerminalStyle styleOfOutput();
TerminalStyle styleOf(int descriptor);

// Columns that text takes, as far as the number of characters tells: those of wide scripts take
// more, colours none.
size_t columnsOf(std::string_view text);

// The columns of the terminal that is standard output; 80 if it does not say.
unsigned terminalColumns();
// … and its lines; 24.
unsigned terminalLines();

}  // namespace pibrain
