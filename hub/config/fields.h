#pragma once
// Reads the fields of a mapping in config.yaml one by one, and reports mistakes.

#include <stdint.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config-fields.h"

namespace pibrain {

// A mistake in the file.
class ConfigError : public Failure {
 public:
  // `at`: the line, from 1; 0: none.
  ConfigError(int at, std::string what, std::string cause = "", std::string toWrite = "")
      : Failure(FailureId::CONFIG_INVALID, std::move(what), std::move(cause)),
        line(at),
        fix(std::move(toWrite)) {}

  int line;
  std::string fix;  // what to write instead, an imperative without a full stop; empty: unknown
};

// Throws ConfigError. `what`: what is wrong, a clause without a full stop; `cause`: why, or what is
// accepted, in whole sentences; `fix` as above.
[[noreturn]] void reject(const YAML::Node& node, std::string what, std::string cause = "",
                         std::string fix = "");

// Unknown fields are mistakes. All functions throw ConfigError.
class Fields {
 public:
  Fields(YAML::Node node, std::string where, ConfigSection section);

  std::optional<YAML::Node> node(const std::string& name) const;
  // `instead`: what to write, an imperative, for the error about a value that is not a string.
  std::optional<std::string> text(const std::string& name, const std::string& instead = "") const;
  std::string required(const std::string& name, const std::string& instead = "") const;
  std::optional<bool> boolean(const std::string& name) const;
  std::optional<uint32_t> integer(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;

  // Returns the name of a field for messages: "spokes[0].source".
  std::string field(const std::string& name) const { return where_ + "." + name; }

 private:
  [[noreturn]] void rejectName(const YAML::Node& key) const;

  YAML::Node node_;
  std::string where_;
  ConfigSection section_;
};

}  // namespace pibrain
