#pragma once

#include <string>

#include "hub/base/failure.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// What failed, behind `start` ("  ✗ laptop: "), with a line end. On a terminal also why and what to
// do, on lines of their own that are wrapped to its width; each command stands alone on its line,
// so that it can be copied. Elsewhere all of it is one line.
std::string failureText(const std::string& start, const Failure& failure,
                        const TerminalStyle& style);

// The text in lines of `columns` columns at most, if its words allow. `start` stands before the
// first one, and `indent` blanks before the others.
std::string wrapped(const std::string& start, const std::string& text, size_t indent,
                    size_t columns);

}  // namespace pibrain
