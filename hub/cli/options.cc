#include "hub/cli/options.h"

#include "common/text/utf8.h"

namespace pibrain {

// An empty one is a variable that somebody forgot to set.
std::string notEmpty(const std::string& value) {
  return value.empty() ? "it is empty; a path is needed" : "";
}

namespace {

// What JSON says of a path that is no UTF-8 becomes that path again.
std::string takeExactPath(std::string& value) {
  auto path = readExactPath(value);
  if (!path) return "what stands behind 'bytes:' is no percent-encoded path";
  value = *path;
  return "";
}

}  // namespace

void addPath(CLI::App* command, const std::string& name, std::string& path, const std::string& help,
             const std::string& type) {
  command->add_option(name, path, help)
      ->type_name(type)
      ->transform(CLI::Validator(takeExactPath, ""))
      ->check(notEmpty);
}

void addConfig(CLI::App* command, std::string& config) {
  addPath(command, "-c,--config", config, "The config file (default ~/.pi-brain/config.yaml)");
}

void addSpokes(CLI::App* command, std::vector<std::string>& spokes) {
  command->add_option("-s,--spoke", spokes, "Only this spoke; may be given several times")
      ->type_name("NAME")
      ->transform(CLI::Validator(takeExactPath, ""))
      ->allow_extra_args(false);
}

}  // namespace pibrain
