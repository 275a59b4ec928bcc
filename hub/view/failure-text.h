#pragma once

#include <string>

#include "hub/base/failure.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// Returns what failed after `start` ("  ✗ laptop: "), with a line end. On a terminal, cause and
// fixes follow on their own lines, wrapped to its width; each command is alone on its line, so that
// it can be copied. Elsewhere everything is in one line.
std::string failureText(const std::string& start, const Failure& failure,
                        const TerminalStyle& style);

// Wraps the text to lines of at most `columns` columns, unless a word is longer. The first line
// begins with `start`, the others with `indent` blanks.
std::string wrapped(const std::string& start, const std::string& text, size_t indent,
                    size_t columns);
// The same for this terminal, with the indent of causes and fixes.
std::string wrappedText(const std::string& start, const std::string& text);

}  // namespace pibrain
