#pragma once

#include <string>
#include <string_view>

namespace pibrain {

// What the beginning of one of pi's sessions says: of JSON objects, one a line, the first has the
// directory that pi was started in, and a later one the user's first message. All of it is bytes
// that others chose, and empty where there is none.
struct SessionStart {
  std::string directory;
  std::string title;  // the message's first words, in one line; at most MAX_TITLE bytes and an "…"

  static constexpr size_t MAX_TITLE = 120;
};

// `beginning` may end anywhere in a line. Lines that are not JSON are skipped.
SessionStart readSessionStart(std::string_view beginning);

}  // namespace pibrain
