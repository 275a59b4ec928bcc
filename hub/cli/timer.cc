// `sync install-timer` and `uninstall-timer`.

#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <filesystem>
#include <memory>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/setup/timer.h"

namespace pibrain {

namespace {

struct InstallTimerArguments {
  std::string config;
  std::string every;  // empty: 15min, or 1min with `due`
  bool due = false;
};

int syncInstallTimer(const InstallTimerArguments& arguments) {
  (void)takeConfig(arguments.config);  // the runs will need it
  TimerRequest request;
  request.every = arguments.every.empty() ? (arguments.due ? "1min" : "15min") : arguments.every;
  request.due = arguments.due;
  auto seconds = parseSpan(request.every);
  if (!seconds || *seconds < 60 || *seconds > 7 * 86400) {
    throw usageError(
        absl::StrCat("--every '", escapeForTerminal(request.every),
                     "' must be between 1min and 7d, with its unit, for example 15min, 2h or 1d"));
  }
  request.seconds = *seconds;
  if (!arguments.config.empty()) {
    request.config = std::filesystem::absolute(arguments.config).lexically_normal();
  }
  installTimer(request, say);
  return EXIT_GOOD;
}

int syncUninstallTimer() {
  uninstallTimer(say);
  return EXIT_GOOD;
}

}  // namespace

void addTimer(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<InstallTimerArguments>();
  auto* command =
      sync.add_subcommand("install-timer", "Let systemd start runs regularly, for this user");
  addConfig(command, options->config);
  command
      ->add_option("--every", options->every,
                   "How often: 15min, 2h, 1d (default 15min; with --due, 1min)")
      ->type_name("SPAN");
  command->add_flag("--due", options->due, "Run only spokes whose schedule has come due");
  setAction(command, exitCode, [options]() { return syncInstallTimer(*options); });
  setAction(sync.add_subcommand("uninstall-timer", "Remove what install-timer installed"), exitCode,
            syncUninstallTimer);
}

}  // namespace pibrain
