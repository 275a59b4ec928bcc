#include <memory>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/spoke-commands.h"
#include "hub/cli/support.h"
#include "hub/setup/manage.h"

namespace pibrain {

namespace {

struct SpokeRotateArguments {
  ManageArguments manage;
  std::string name;
};

int spokeRotateKey(const SpokeRotateArguments& arguments) {
  auto chosen = loadSelection(arguments.manage.config, {arguments.name});
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto change = rotateKey(*chosen->spokes[0], manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

}  // namespace

void addSpokeRotate(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeRotateArguments>();
  auto* command =
      spoke.add_subcommand("rotate-key", "Give a spoke a new key, and remove the old one");
  command->add_option("NAME", options->name, "The spoke")->required();
  addManage(command, options->manage, true);
  addVia(command, options->manage);
  setAction(command, exitCode, [options]() { return spokeRotateKey(*options); });
}

}  // namespace pibrain
