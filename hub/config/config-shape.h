#pragma once
// Finds spokes, or settings of the hub, in a place or under a name where pi-brain does not read
// them. Other programs may have sections in the file, so pi-brain ignores names that it does not
// know: a typo in 'spokes' would otherwise look like a hub without spokes.

#include <optional>
#include <string>

namespace YAML {
class Node;
}

namespace pibrain {

struct ShapeMistake {
  int line;          // from 1
  std::string what;  // a clause without a full stop
  std::string fix;   // an imperative without a full stop
  bool certain;      // false: the section may belong to another program
};

// `root` must be a mapping.
std::optional<ShapeMistake> findShapeMistake(const YAML::Node& root);

// Returns the text for yaml-cpp, which takes "..." in an unterminated last line for part of the
// value above.
std::string withMarkerEnded(const std::string& text);

// Finds the first line with a carriage return that is not at its end: some readers take that for a
// line end, yaml-cpp does not.
std::optional<ShapeMistake> findLoneReturn(const std::string& text);

// Finds where a second document begins, since only the first is read. Throws YAML::Exception if the
// text is not YAML.
std::optional<ShapeMistake> findSecondDocument(const std::string& text);

// Finds the first line that is indented with a blank that YAML does not accept, or has one after
// ':' or '-'. It is a mistake only if the text cannot be parsed.
std::optional<ShapeMistake> findOddBlank(const std::string& text);

// Returns the first line whose value begins with a quote that is not closed in this line; 0: none.
// YAML goes on reading until the next quote, and what it then complains about is far away.
int findOpenQuote(const std::string& text);

}  // namespace pibrain
