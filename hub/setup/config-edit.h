#pragma once
// Edits ~/.pi-brain/config.yaml and preserves everything else: comments, order, quotes. The result
// is parsed and compared with the intended change. If the file cannot be edited, the error says
// what to write by hand.

#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pibrain {

// The fields of a spoke in order, each as "name: value" or "name: [value, …]".
using FieldValue = std::variant<std::string, std::vector<std::string>>;
using SpokeFields = std::vector<std::pair<std::string, FieldValue>>;

// Returns the text with one more spoke after the others.
absl::StatusOr<std::string> withSpoke(const std::string& text, const SpokeFields& fields);

// Returns the text with these fields of the spoke set.
absl::StatusOr<std::string> withFields(const std::string& text, const std::string& spoke,
                                       const SpokeFields& fields);

// Returns the value of the spoke's field as it is written; empty: it is missing, or is not a single
// value.
std::string fieldOf(const std::string& text, const std::string& spoke, const std::string& field);

// Returns the text without the spoke.
absl::StatusOr<std::string> withoutSpoke(const std::string& text, const std::string& spoke);

// Returns the error of an edit with the file's name, which other errors have already.
absl::Status inFile(const std::string& path, const absl::Status& error);

// Replaces the file (missing: empty) by what `edit` returns for it, under a lock, by a rename.
// Keeps its mode, and symlinks to it. Does not write an unchanged file.
absl::Status editFile(const std::string& path,
                      const std::function<absl::StatusOr<std::string>(const std::string&)>& edit);

}  // namespace pibrain
