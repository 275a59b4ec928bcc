// `pi-brain sync flush`.

#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <memory>

#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"

namespace pibrain {

namespace {

// How long a flush waits for another run, and for a file that is still being written.
constexpr char PATIENCE[] = "10min";

}  // namespace

void addFlush(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<RunArguments>();
  options->wait = PATIENCE;
  options->untilWhole = true;
  auto* command =
      sync.add_subcommand("flush", "Return when all that the spokes have now is in the mirrors");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return syncRun(*options); });
}

}  // namespace pibrain
