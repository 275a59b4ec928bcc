// `spoke enable` and `spoke disable`.

#include <memory>
#include <string>
#include <vector>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/spoke-commands.h"
#include "hub/cli/support.h"
#include "hub/setup/manage.h"

namespace pibrain {

namespace {

struct SpokeEnableArguments {
  ManageArguments manage;
  std::vector<std::string> names;
};

int spokeEnable(const SpokeEnableArguments& arguments, bool enabled) {
  auto chosen = loadSelection(arguments.manage.config, arguments.names);
  Manage manage(arguments.manage);
  std::vector<SpokeChange> changes;
  for (auto* spoke : chosen->spokes) {
    changes.push_back(setEnabled(spoke->name, enabled, manage.options()));
    manage.print(changes.back());
  }
  return manage.finish(changes);
}

void addCommand(CLI::App& spoke, int& exitCode, const char* name, const char* help, bool enabled) {
  auto options = std::make_shared<SpokeEnableArguments>();
  auto* command = spoke.add_subcommand(name, help);
  command->add_option("NAME", options->names, "The spokes")->required();
  addChange(command, options->manage);
  setAction(command, exitCode, [options, enabled]() { return spokeEnable(*options, enabled); });
}

}  // namespace

void addSpokeEnable(CLI::App& spoke, int& exitCode) {
  addCommand(spoke, exitCode, "enable", "Let runs sync these spokes again", true);
  addCommand(spoke, exitCode, "disable", "Leave these spokes out of runs", false);
}

}  // namespace pibrain
