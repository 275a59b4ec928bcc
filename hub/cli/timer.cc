// `sync install-timer` and `uninstall-timer`.

#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <filesystem>
#include <functional>
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

void say(const std::string& text) {
  puts(text.c_str());
  fflush(stdout);  // before what may go to standard error
}

// Does `work`, and prints what it throws as an error.
int reporting(const std::function<void()>& work) {
  try {
    work();
    return EXIT_GOOD;
  } catch (const Failure& e) {
    return printFailure(e), EXIT_FAILED;
  }
}

int syncInstallTimer(const InstallTimerArguments& arguments) {
  auto config = takeConfig(arguments.config);
  if (!config) return EXIT_USAGE;
  TimerRequest request;
  request.every = arguments.every.empty() ? (arguments.due ? "1min" : "15min") : arguments.every;
  request.due = arguments.due;
  auto seconds = parseSpan(request.every);
  if (!seconds || *seconds < 60 || *seconds > 7 * 86400) {
    printError(absl::StrCat("--every '", escapeForTerminal(request.every),
                            "' must be between 1min and 7d, for example 15min, 2h or 1d"));
    return EXIT_USAGE;
  }
  request.seconds = *seconds;
  if (!arguments.config.empty()) {
    request.config = std::filesystem::absolute(arguments.config).lexically_normal();
  }
  return reporting([&]() { installTimer(request, say); });
}

int syncUninstallTimer() {
  return reporting([]() { uninstallTimer(say); });
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
  command->callback([options, &exitCode]() { exitCode = syncInstallTimer(*options); });
  sync.add_subcommand("uninstall-timer", "Remove what install-timer installed")
      ->callback([&exitCode]() { exitCode = syncUninstallTimer(); });
}

}  // namespace pibrain
