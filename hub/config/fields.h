#pragma once
// A mapping of config.yaml, whose fields are taken one by one, each with its mistakes.

#include <stdint.h>
#include <yaml-cpp/yaml.h>

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hub/config/config-fields.h"

namespace pibrain {

// A mistake in the file.
struct ConfigError : std::exception {
  ConfigError(int at, std::string what) : line(at), message(std::move(what)) {}

  int line;  // from 1; 0: none
  std::string message;
};

[[noreturn]] void reject(const YAML::Node& node, std::string message);

// What is left over at the end is a mistake. All throw ConfigError.
class Fields {
 public:
  Fields(YAML::Node node, std::string where, ConfigSection section);

  std::optional<YAML::Node> node(const std::string& name) const;
  // `instead`: what to write in place of what is no text.
  std::optional<std::string> text(const std::string& name, const std::string& instead = "") const;
  std::string required(const std::string& name, const std::string& instead = "") const;
  std::optional<bool> boolean(const std::string& name) const;
  std::optional<uint32_t> integer(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;

  // Its name for a message: "spokes[0].source".
  std::string field(const std::string& name) const { return where_ + "." + name; }

 private:
  [[noreturn]] void rejectName(const YAML::Node& key) const;

  YAML::Node node_;
  std::string where_;
  ConfigSection section_;
};

}  // namespace pibrain
