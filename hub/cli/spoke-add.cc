#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  std::string root, path, key, from;  // empty: the usual
  std::vector<std::string> exclude;
  bool dropFilters = false;
  uint16_t port = 0;  // 0: as the ssh configuration has it
};

// The doctor, and a look at what a run would fetch.
int lookAt(const SpokeAddArguments& arguments, const SpokeChange& change,
           const std::shared_ptr<Passphrases>& passphrases) {
  if (change.rootMissing) {
    printf(
        "\npi has not run there yet: its directory of sessions does not exist. When it does, "
        "'pi-brain sync run' fetches them.\n");
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
  run.passphrases = passphrases;
  code = std::max(code, syncRun(run));
  if (code == EXIT_GOOD) printf("\n'pi-brain sync run' fetches what there is.\n");
  return code;
}

int spokeAdd(const SpokeAddArguments& arguments) {
  Manage manage(arguments.manage);
  // A config is made if there is none.
  bool missing = access(manage.options().configFile.c_str(), F_OK) != 0 && errno == ENOENT;
  bool named = !arguments.manage.config.empty();
  std::optional<Config> config;
  if (missing && named) {
    config = parseConfig("", manage.options().configFile).value();
  } else {
    config = takeConfig(arguments.manage.config);
  }
  if (!config) return EXIT_USAGE;
  auto* store = manage.prepare(*config);
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
  auto* command =
      spoke.add_subcommand("add", "Make a machine a spoke, by your own ssh login there");
  command->add_option("NAME", options->name, "What to call it")->required();
  command->add_option("TARGET", options->target, "user@host, or a Host of ~/.ssh/config")
      ->required()
      ->check(notEmpty);
  addManage(command, options->manage, true);
  addPath(command, "--root", options->root, "Its sessions (default ~/.pi/agent/sessions)");
  addPath(command, "--path", options->path, "The mirror here (default ~/.pi-brain/synced/NAME)");
  addPath(command, "--key", options->key,
          "The key for syncing (default ~/.ssh/pi-brain-sync, made if missing)");
  command->add_option("-p,--port", options->port, "The port of its SSH server (default: ssh's own)")
      ->type_name("N")
      ->check(between(1, 65535));
  command
      ->add_option("--exclude", options->exclude,
                   "What the agent is not to serve: '*.tmp', 'node_modules/', '/work/old'; may be "
                   "given several times ('': nothing any more)")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command->add_flag("--drop-filters", options->dropFilters,
                    "Move a spoke over from rsync although its filters no longer count");
  command
      ->add_option("--from", options->from,
                   "Let the key in only from these addresses, as sshd(8) has them")
      ->type_name("CIDR")
      ->check(notEmpty);
  command->callback([options, &exitCode]() { exitCode = spokeAdd(*options); });
}

}  // namespace pibrain
