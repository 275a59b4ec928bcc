#pragma once
// All fields of config.yaml that concern syncing, for the parser and for the documents: the tables
// in docs/config.md and pi-brain-config(5) are generated from it.

#include <stdint.h>

#include <span>
#include <string_view>

namespace pibrain {

enum class ConfigSection { HUB, SPOKE, RSYNC_OPTIONS };

struct ConfigField {
  std::string_view name;
  std::string_view type;     // with its unit
  std::string_view usual;    // the default as it would be written; empty: no default value
  std::string_view unset;    // if so, what holds without the field: "required"
  std::string_view example;  // a value as it is written, but not the default
  std::string_view meaning;  // whole sentences, names and values in backticks, ASCII
  // The range of a whole number; both are 0 for other fields.
  int64_t least = 0;
  int64_t most = 0;
};

// Returns the section's fields in the order of the documents.
std::span<const ConfigField> fieldsOf(ConfigSection section);

// Returns the field with this name, which must be in the section.
const ConfigField& fieldOf(ConfigSection section, std::string_view name);

}  // namespace pibrain
