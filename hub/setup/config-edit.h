#pragma once
// Changes to ~/.pi-brain/config.yaml that leave all else in it as its owner wrote it: comments,
// order, quotes. What comes out is compared with what was meant; what cannot be edited so is an
// error that says what to write by hand.

#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pibrain {

// Of a spoke, as "name: value" or "name: [value, …]" each, in their order.
using FieldValue = std::variant<std::string, std::vector<std::string>>;
using SpokeFields = std::vector<std::pair<std::string, FieldValue>>;

// The text with one more spoke, after the others.
absl::StatusOr<std::string> withSpoke(const std::string& text, const SpokeFields& fields);

// The text in which the spoke has these values, too.
absl::StatusOr<std::string> withFields(const std::string& text, const std::string& spoke,
                                       const SpokeFields& fields);

// What the spoke has there, as it is written; empty: nothing, or it is no single value.
std::string fieldOf(const std::string& text, const std::string& spoke, const std::string& field);

// The text without the spoke.
absl::StatusOr<std::string> withoutSpoke(const std::string& text, const std::string& spoke);

// Reads the file (none: empty), and puts what `edit` makes of it in its place by rename, under a
// lock, with its mode; a symlink to it stays one. Leaves a file alone that stays the same.
absl::Status editFile(const std::string& path,
                      const std::function<absl::StatusOr<std::string>(const std::string&)>& edit);

}  // namespace pibrain
