#include <stdio.h>

#include <memory>
#include <vector>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/spoke-commands.h"
#include "hub/cli/support.h"
#include "hub/setup/manage.h"

namespace pibrain {

namespace {

struct SpokeUpgradeArguments {
  ManageArguments manage;
  std::vector<std::string> names;
  bool all = false;
};

int spokeUpgrade(const SpokeUpgradeArguments& arguments) {
  if (arguments.names.empty() != arguments.all) {
    throw usageError(arguments.all ? "--all and names cannot be used together"
                                   : "no spokes are given: name them, or use --all");
  }
  if (!arguments.manage.via.empty() && arguments.names.size() != 1) {
    throw usageError("--via is the login of one spoke: name exactly one");
  }
  auto chosen = loadSelection(arguments.manage.config, arguments.names);
  std::vector<const SpokeConfig*> spokes;
  for (auto* spoke : chosen->spokes) {
    bool agent = spoke->method == SyncMethod::AGENT && !isLocal(*spoke);
    if (agent || !arguments.all) spokes.push_back(spoke);
  }
  if (spokes.empty() && !arguments.manage.json) {
    puts("No spoke has an agent that can be upgraded.");
    return EXIT_GOOD;
  }
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto changes = upgradeSpokes(spokes, manage.options(), store, [&](auto& change) {
    if (!arguments.manage.json && arguments.manage.dryRun) {
      for (auto& line : change.said) manage.options().say(line);
    }
    manage.print(change);
  });
  return manage.finish(changes);
}

}  // namespace

void addSpokeUpgrade(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeUpgradeArguments>();
  auto* command = spoke.add_subcommand("upgrade", "Install this version's agent on spokes");
  command->add_option("NAME", options->names, "The spokes");
  command->add_flag("--all", options->all, "All spokes");
  addManage(command, options->manage, true);
  addVia(command, options->manage);
  setAction(command, exitCode, [options]() { return spokeUpgrade(*options); });
}

}  // namespace pibrain
