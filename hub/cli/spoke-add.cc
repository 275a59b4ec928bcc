#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/spoke-commands.h"
#include "hub/cli/support.h"
#include "hub/setup/manage.h"

namespace pibrain {

namespace {

struct SpokeAddArguments {
  ManageArguments manage;
  std::string name, target;
  std::string root, path, key, from;  // empty: the default
  std::vector<std::string> exclude;
  bool dropFilters = false;
  uint16_t port = 0;  // 0: the ssh configuration's
};

// Runs the doctor and a dry run.
int lookAt(const SpokeAddArguments& arguments, const SpokeChange& change,
           const std::shared_ptr<Passphrases>& passphrases) {
  if (change.rootMissing) {
    printf(
        "\npi has not run on the spoke yet: its directory of sessions does not exist. Once it "
        "does, '%s' fetches the sessions.\n",
        ownCommand("sync run").c_str());
    return EXIT_GOOD;
  }
  printf("\n");
  DoctorArguments doctor;
  doctor.config = arguments.manage.config;
  doctor.spokes = {change.name};
  doctor.passphrases = passphrases;
  int code = syncDoctor(doctor);
  printf("\n");
  RunArguments run;
  run.config = arguments.manage.config;
  run.spokes = {change.name};
  run.dryRun = true;
  run.onlyTotals = true;
  run.passphrases = passphrases;
  bool behind = false;
  run.ended = [&](auto& report) { behind |= report.counts.pending() > 0; };
  code = std::max(code, syncRun(run));
  if (code != EXIT_GOOD) return code;
  if (behind) {
    printf("\n'%s' fetches the sessions.\n", ownCommand("sync run").c_str());
  } else {
    puts("\nThe mirror is up to date.");
  }
  return code;
}

int spokeAdd(const SpokeAddArguments& arguments) {
  Manage manage(arguments.manage);
  // A missing config is created.
  bool missing = access(manage.options().configFile.c_str(), F_OK) != 0 && errno == ENOENT;
  bool named = !arguments.manage.config.empty();
  auto config = missing && named ? parseConfig("", manage.options().configFile).value()
                                 : takeConfig(arguments.manage.config);
  auto* store = manage.prepare(config);
  auto change =
      addSpoke({arguments.name, arguments.target, arguments.root, arguments.path, arguments.key,
                arguments.from, arguments.port, arguments.exclude, arguments.dropFilters},
               manage.options(), store);
  manage.print(change);
  int code = manage.finish({change});
  if (!change.ok() || arguments.manage.json || arguments.manage.dryRun) return code;
  return lookAt(arguments, change, manage.options().passphrases);
}

}  // namespace

void addSpokeAdd(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeAddArguments>();
  auto* command = spoke.add_subcommand("add", "Make a machine a spoke, through your own SSH login");
  command->add_option("NAME", options->name, "The name of the spoke")->required();
  command->add_option("TARGET", options->target, "user@host, or a Host of ~/.ssh/config")
      ->required()
      ->check(hasText);
  addManage(command, options->manage, true);
  addPath(command, "--root", options->root,
          "The sessions on the spoke (default ~/.pi/agent/sessions)");
  addPath(command, "--path", options->path,
          "The mirror on the hub (default ~/.pi-brain/synced/NAME)");
  addPath(command, "--key", options->key,
          "The key for syncing (default ~/.ssh/pi-brain-sync, created if missing)");
  command
      ->add_option("-p,--port", options->port,
                   "The port of its SSH server (default: the ssh configuration's)")
      ->type_name("N")
      ->check(between(1, 65535));
  command
      ->add_option("--exclude", options->exclude,
                   "What the agent must not serve: '*.tmp', 'node_modules/', '/work/old'; can be "
                   "repeated, and a single '' removes all patterns")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command->add_flag("--drop-filters", options->dropFilters,
                    "Move a spoke from rsync to the agent, which does not use its filters");
  command
      ->add_option("--from", options->from,
                   "Accept the key only from these addresses, as in sshd(8)")
      ->type_name("CIDR")
      ->check(hasText);
  setAction(command, exitCode, [options]() { return spokeAdd(*options); });
}

}  // namespace pibrain
