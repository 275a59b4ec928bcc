#pragma once
// A config that means to have spokes, or settings of the hub, in a place or under a name where
// nobody looks for them. Sections of other parts of pi-brain are left alone, so a mistake in the
// name of one of ours would pass for one of theirs, and a hub with spokes for one without.

#include <optional>
#include <string>

namespace YAML {
class Node;
}

namespace pibrain {

struct ShapeMistake {
  int line;  // from 1
  std::string message;
  bool certain;  // else it may be another part's section
};

// `root` is a mapping.
std::optional<ShapeMistake> findShapeMistake(const YAML::Node& root);

// The text as yaml-cpp has to get it: it takes "..." in a last line that does not end for a part of
// the value above.
std::string withMarkerEnded(const std::string& text);

// The first line that has a carriage return which does not end it: some readers take that for a
// line end, and this one does not.
std::optional<ShapeMistake> findLoneReturn(const std::string& text);

// Where a document begins behind the first, which is the only one that is read. Throws
// YAML::Exception for what is no YAML.
std::optional<ShapeMistake> findSecondDocument(const std::string& text);

// The first line that is indented with what YAML takes for no blank, or has such a one behind ':'
// or
// '-'. It is a mistake if the text could not be read.
std::optional<ShapeMistake> findOddBlank(const std::string& text);

}  // namespace pibrain
