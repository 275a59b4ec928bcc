#include <memory>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/spoke-commands.h"
#include "hub/cli/support.h"
#include "hub/setup/manage.h"

namespace pibrain {

namespace {

struct SpokeRemoveArguments {
  ManageArguments manage;
  std::string name;
  bool keepMirror = false;
  bool force = false;
};

int spokeRemove(const SpokeRemoveArguments& arguments) {
  auto chosen = loadSelection(arguments.manage.config, {arguments.name});
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto change = removeSpoke(chosen->config, *chosen->spokes[0],
                            {arguments.keepMirror, arguments.force}, manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

}  // namespace

void addSpokeRemove(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeRemoveArguments>();
  auto* command = spoke.add_subcommand(
      "remove", "Remove agent and key from a spoke, and the spoke from the config");
  command->add_option("NAME", options->name, "The spoke")->required();
  command->add_flag("--keep-mirror", options->keepMirror,
                    "Leave the mirror where it is (default: move it to the archive)");
  command->add_flag("--force", options->force, "Go on even if the spoke cannot be reached");
  addManage(command, options->manage, false);
  addVia(command, options->manage);
  setAction(command, exitCode, [options]() { return spokeRemove(*options); });
}

}  // namespace pibrain
