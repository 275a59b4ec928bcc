#include "hub/cli/options.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "common/text/utf8.h"
#include "hub/base/failure.h"
#include "hub/cli/support.h"

namespace pibrain {

std::string hasText(const std::string& value) { return value.empty() ? "is empty" : ""; }

namespace {

// An empty path usually comes from an unset variable.
std::string notEmpty(const std::string& value) {
  return value.empty() ? "is empty, but must be a path" : "";
}

// The value of an option that begins so usually comes from a forgotten path.
std::string aPath(const std::string& value) {
  if (auto why = notEmpty(value); !why.empty()) return why;
  if (!value.starts_with("--")) return "";
  return absl::StrCat("needs a path before ", value, "; a file of that name is ./", value);
}

}  // namespace

CLI::Validator between(uint64_t least, uint64_t most, const std::string& unit) {
  auto check = [least, most, unit](std::string& value) {
    uint64_t number = 0;
    bool good = absl::SimpleAtoi(value, &number) && number >= least && number <= most;
    return good ? std::string()
                : absl::StrCat("must be a number ", unit.empty() ? "" : "of " + unit + " ", "from ",
                               least, " to ", most, ", not '", value, "'");
  };
  return CLI::Validator(check, "");
}

namespace {

// Converts the exact form of a path in JSON documents back to the path.
std::string takeExactPath(std::string& value) {
  auto path = readExactPath(value);
  if (!path) return "must have a percent-encoded path after 'bytes:'";
  value = *path;
  return "";
}

}  // namespace

void addPath(CLI::App* command, const std::string& name, std::string& path, const std::string& help,
             const std::string& type) {
  command->add_option(name, path, help)
      ->type_name(type)
      ->transform(CLI::Validator(takeExactPath, ""))
      ->check(aPath);
}

void addPaths(CLI::App* command, const std::string& name, std::vector<std::string>& paths,
              const std::string& help) {
  command->add_option(name, paths, help)
      ->type_name("")
      ->transform(CLI::Validator(takeExactPath, ""))
      ->check(notEmpty);
}

CLI::Option* addJson(CLI::App* command, bool& json) {
  return command->add_flag("--json", json, "Print one JSON document instead of text");
}

namespace {

// Gives the command the --config that stands before it.
void inheritConfig(CLI::App* command) {
  auto* own = command->get_option_no_throw("--config");
  for (auto* group = command->get_parent(); group != nullptr; group = group->get_parent()) {
    auto* above = group->get_option_no_throw("--config");
    if (own == nullptr || own->count() > 0 || above == nullptr || above->count() == 0) continue;
    own->add_result(above->results());
    own->run_callback();
  }
}

}  // namespace

void setAction(CLI::App* command, int& exitCode, std::function<int()> work) {
  command->callback([command, &exitCode, work = std::move(work)]() {
    inheritConfig(command);
    auto* json = command->get_option_no_throw("--json");
    try {
      exitCode = work();
    } catch (const Failure& e) {
      exitCode = refuse(e, json != nullptr && json->count() > 0);
    }
  });
}

void addConfigToGroup(CLI::App& group) {
  group.add_option("-c,--config", "The config file (default ~/.pi-brain/config.yaml)")
      ->type_name("PATH")
      ->expected(1);
}

void addConfig(CLI::App* command, std::string& config) {
  addPath(command, "-c,--config", config, "The config file (default ~/.pi-brain/config.yaml)");
}

void addSpokeOption(CLI::App* command, std::vector<std::string>& spokes) {
  command->add_option("-s,--spoke", spokes, "Only this spoke; can be given several times")
      ->type_name("NAME")
      ->transform(CLI::Validator(takeExactPath, ""))
      ->allow_extra_args(false);
}

void addSpokes(CLI::App* command, std::vector<std::string>& spokes) {
  addSpokeOption(command, spokes);
  command
      ->add_option_function<std::vector<std::string>>(
          "NAME",
          [&spokes](const std::vector<std::string>& names) {
            spokes.insert(spokes.end(), names.begin(), names.end());
          },
          "Only these spokes, as with --spoke")
      ->type_name("")
      ->transform(CLI::Validator(takeExactPath, ""));
}

}  // namespace pibrain
