#pragma once
// All fields of config.yaml that concern syncing, for the parser and for the documents: the tables
// of docs/config.md and of pi-brain-config(5) are made from this one.

#include <stdint.h>

#include <span>
#include <string_view>

namespace pibrain {

enum class ConfigSection { HUB, SPOKE, RSYNC_OPTIONS };

struct ConfigField {
  std::string_view name;
  std::string_view type;     // with its unit
  std::string_view usual;    // the default as it would be written; empty: there is none to write
  std::string_view unset;    // then, what holds without the field: "required"
  std::string_view example;  // a value as it is written, another one than the default
  std::string_view meaning;  // whole sentences, names and values in backticks, ASCII
  // What a whole number may be; both are 0 for other fields.
  int64_t least = 0;
  int64_t most = 0;
};

// In the order of the documents.
std::span<const ConfigField> fieldsOf(ConfigSection section);

// The field must be one of the section's.
const ConfigField& fieldOf(ConfigSection section, std::string_view name);

}  // namespace pibrain
