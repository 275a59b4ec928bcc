#include <memory>
#include <string>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/spoke-commands.h"
#include "hub/cli/support.h"
#include "hub/setup/manage.h"

namespace pibrain {

namespace {

struct SpokeRenameArguments {
  ManageArguments manage;
  std::string from, to;
};

int spokeRename(const SpokeRenameArguments& arguments) {
  auto config = takeConfig(arguments.manage.config);
  Manage manage(arguments.manage);
  auto* store = manage.prepare(config);
  auto change = renameSpoke(arguments.from, arguments.to, manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

}  // namespace

void addSpokeRename(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeRenameArguments>();
  auto* command = spoke.add_subcommand(
      "rename", "Give a spoke another name, and move its mirror, archive, history and key");
  command->add_option("OLD", options->from, "The name of the spoke")->required();
  command->add_option("NEW", options->to, "The new name")->required();
  addChange(command, options->manage);
  setAction(command, exitCode, [options]() { return spokeRename(*options); });
}

}  // namespace pibrain
