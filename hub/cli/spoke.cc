// `spoke add`, `upgrade`, `rotate-key` and `remove`.

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include <memory>

#include "common/text/escape.h"
#include "hub/base/user.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/pass/options.h"
#include "hub/report/documents.h"
#include "hub/run/libraries.h"
#include "hub/setup/manage.h"
#include "hub/view/failure-text.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

// Options of all commands that change spokes.
struct ManageArguments {
  std::string config;
  std::string agents;  // a directory; empty: the default places
  std::string via;     // a login; empty: the source's
  bool batch = false;  // never ask
  bool dryRun = false;
  bool json = false;
};

struct SpokeAddArguments {
  ManageArguments manage;
  std::string name, target;
  std::string root, path, key, from;  // empty: the default
};

struct SpokeUpgradeArguments {
  ManageArguments manage;
  std::vector<std::string> names;
  bool all = false;
};

struct SpokeRotateArguments {
  ManageArguments manage;
  std::string name;
};

struct SpokeRemoveArguments {
  ManageArguments manage;
  std::string name;
  bool keepMirror = false;
  bool force = false;
};

// The common part of the commands: a config that may not exist yet, the history, and output.
class Manage {
 public:
  explicit Manage(const ManageArguments& arguments) : arguments_(arguments) {
    options_.configFile = configPath(arguments.config);
    options_.agents = expandHome(arguments.agents);
    options_.via = arguments.via;
    options_.dryRun = arguments.dryRun;
    options_.mayAsk = !arguments.batch && isatty(STDIN_FILENO);
    if (!arguments.json) {
      options_.say = [this](const std::string& text) {
        printf("  %s\n", style_.plain(text).c_str());
        fflush(stdout);
      };
    }
  }

  const ManageOptions& options() const { return options_; }
  const TerminalStyle& style() const { return style_; }

  // Must be called before threads start.
  Store* prepare(const Config& config) {
    initLibraries();
    auto store = arguments_.dryRun ? Store::openExisting(config.hub.databaseDir, warn)
                                   : Store::open(config.hub.databaseDir, warn);
    if (store.ok()) store_ = std::move(*store);
    return store_.get();
  }

  void print(const SpokeChange& change) const {
    if (arguments_.json) return;
    auto name = escapeForTerminal(change.name);
    if (!change.ok()) {
      auto start = absl::StrCat(style_.mark(Mark::BAD), " ", name, ": ");
      fputs(style_.plain(failureText(start, *change.failure, style_)).c_str(), stdout);
    } else {
      printf("%s %s: %s%s\n", style_.mark(Mark::GOOD).c_str(), name.c_str(),
             arguments_.dryRun && change.outcome != "unchanged" ? "would be " : "",
             change.outcome.c_str());
    }
    fflush(stdout);
  }

  int finish(const std::vector<SpokeChange>& changes) const {
    bool ok = std::all_of(changes.begin(), changes.end(), [](auto& change) { return change.ok(); });
    if (arguments_.json) puts(spokeChangesJson(changes, ok, arguments_.dryRun).c_str());
    return ok ? EXIT_GOOD : EXIT_FAILED;
  }

 private:
  const ManageArguments& arguments_;
  const TerminalStyle style_ = styleOfOutput();
  ManageOptions options_;
  std::unique_ptr<Store> store_;
};

// Runs the doctor and a dry run.
int lookAt(const SpokeAddArguments& arguments, const SpokeChange& change,
           const std::shared_ptr<Passphrases>& passphrases) {
  if (change.rootMissing) {
    printf(
        "\npi has not run on the spoke yet: its directory of sessions does not exist. Once it "
        "does, 'pi-brain sync run' fetches the sessions.\n");
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
  if (code == EXIT_GOOD) printf("\n'pi-brain sync run' fetches the sessions.\n");
  return code;
}

int spokeAdd(const SpokeAddArguments& arguments) {
  Manage manage(arguments.manage);
  // A missing config is created.
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
  auto change = addSpoke({arguments.name, arguments.target, arguments.root, arguments.path,
                          arguments.key, arguments.from},
                         manage.options(), store);
  manage.print(change);
  int code = manage.finish({change});
  if (!change.ok() || arguments.manage.json || arguments.manage.dryRun) return code;
  return lookAt(arguments, change, manage.options().passphrases);
}

int spokeUpgrade(const SpokeUpgradeArguments& arguments) {
  if (arguments.names.empty() != arguments.all) {
    printError(arguments.all ? "--all and names cannot be used together"
                             : "no spokes are given: name them, or use --all");
    return EXIT_USAGE;
  }
  if (!arguments.manage.via.empty() && arguments.names.size() != 1) {
    printError("--via is the login of one spoke: name exactly one");
    return EXIT_USAGE;
  }
  auto chosen = loadSelection(arguments.manage.config, arguments.names);
  if (chosen == nullptr) return EXIT_USAGE;
  std::vector<const SpokeConfig*> spokes;
  for (auto* spoke : chosen->spokes) {
    bool agent = spoke->method == SyncMethod::AGENT && !isLocal(*spoke);
    if (agent || !arguments.all) spokes.push_back(spoke);
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

int spokeRotateKey(const SpokeRotateArguments& arguments) {
  auto chosen = loadSelection(arguments.manage.config, {arguments.name});
  if (chosen == nullptr) return EXIT_USAGE;
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto change = rotateKey(*chosen->spokes[0], manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

int spokeRemove(const SpokeRemoveArguments& arguments) {
  auto chosen = loadSelection(arguments.manage.config, {arguments.name});
  if (chosen == nullptr) return EXIT_USAGE;
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto change = removeSpoke(chosen->config, *chosen->spokes[0],
                            {arguments.keepMirror, arguments.force}, manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

void addManage(CLI::App* command, ManageArguments& manage, bool installs) {
  addConfig(command, manage.config);
  if (installs) {
    addPath(command, "--agents", manage.agents,
            "The directory of the agents (pi-brain-agent-ARCHITECTURE)", "DIR");
  }
  command->add_flag("--batch", manage.batch, "Never ask for a password; fail instead");
  command->add_flag("-n,--dry-run", manage.dryRun, "Show what would be done, but change nothing");
  command->add_flag("--json", manage.json, "Print one JSON document instead of text");
}

void addVia(CLI::App* command, ManageArguments& manage) {
  command
      ->add_option("--via", manage.via,
                   "Your own login on the spoke (default: the source's, without its key)")
      ->type_name("USER@HOST")
      ->check(notEmpty);
}

}  // namespace

void addSpokeAdd(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeAddArguments>();
  auto* command = spoke.add_subcommand("add", "Make a machine a spoke, through your own SSH login");
  command->add_option("NAME", options->name, "The name of the spoke")->required();
  command->add_option("TARGET", options->target, "user@host, or a Host of ~/.ssh/config")
      ->required()
      ->check(notEmpty);
  addManage(command, options->manage, true);
  addPath(command, "--root", options->root,
          "The sessions on the spoke (default ~/.pi/agent/sessions)");
  addPath(command, "--path", options->path,
          "The mirror on the hub (default ~/.pi-brain/synced/NAME)");
  addPath(command, "--key", options->key,
          "The key for syncing (default ~/.ssh/pi-brain-sync, created if missing)");
  command
      ->add_option("--from", options->from,
                   "Accept the key only from these addresses, as in sshd(8)")
      ->type_name("CIDR")
      ->check(notEmpty);
  command->callback([options, &exitCode]() { exitCode = spokeAdd(*options); });
}

void addSpokeUpgrade(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeUpgradeArguments>();
  auto* command = spoke.add_subcommand("upgrade", "Install this version's agent on spokes");
  command->add_option("NAME", options->names, "The spokes");
  command->add_flag("--all", options->all, "All spokes");
  addManage(command, options->manage, true);
  addVia(command, options->manage);
  command->callback([options, &exitCode]() { exitCode = spokeUpgrade(*options); });
}

void addSpokeRotate(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeRotateArguments>();
  auto* command =
      spoke.add_subcommand("rotate-key", "Give a spoke a new key, and remove the old one");
  command->add_option("NAME", options->name, "The spoke")->required();
  addManage(command, options->manage, true);
  addVia(command, options->manage);
  command->callback([options, &exitCode]() { exitCode = spokeRotateKey(*options); });
}

void addSpokeRemove(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeRemoveArguments>();
  auto* command = spoke.add_subcommand(
      "remove", "Remove agent and key from a spoke, and the spoke from the config");
  command->add_option("NAME", options->name, "The spoke")->required();
  command->add_flag("--keep-mirror", options->keepMirror,
                    "Leave the mirror where it is (default: move it to the archive)");
  command->add_flag("--force", options->force, "Even if the spoke cannot be reached");
  addManage(command, options->manage, false);
  addVia(command, options->manage);
  command->callback([options, &exitCode]() { exitCode = spokeRemove(*options); });
}

}  // namespace pibrain
