#pragma once

#include <string>
#include <string_view>

namespace pibrain {

// What the beginning of one of pi's sessions says. Each line is a JSON object: the first has the
// directory that pi was started in, and a later one has the user's first message. Both texts are
// untrusted bytes, and empty if they are missing.
struct SessionStart {
  std::string directory;
  std::string title;  // the message's first words in one line, at most MAX_TITLE bytes and "…"

  static constexpr size_t MAX_TITLE = 120;
};

// Returns what `beginning` says, which may end anywhere in a line. Lines that are not JSON are
// skipped.
SessionStart readSessionStart(std::string_view beginning);

}  // namespace pibrain
