// `spoke add`, `upgrade`, `rotate-key` and `remove`.

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "common/text/text.h"
#include "hub/base/parallel.h"
#include "hub/cli/commands.h"
#include "hub/cli/support.h"
#include "hub/report/documents.h"
#include "hub/setup/manage.h"
#include "hub/view/style.h"

namespace pibrain {

namespace {

constexpr size_t JOBS = 8;

// What the commands have in common: a config that may not exist yet, the history, and how to say
// what happens.
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
  const Style& style() const { return style_; }

  // To be called before there are threads.
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
      printf("%s %s: %s\n", style_.sign(Sign::BAD).c_str(), name.c_str(),
             style_.plain(change.error).c_str());
    } else {
      printf("%s %s: %s%s\n", style_.sign(Sign::GOOD).c_str(), name.c_str(),
             arguments_.dryRun && change.outcome != "unchanged" ? "would be " : "",
             change.outcome.c_str());
    }
    fflush(stdout);
  }

  int finish(const std::vector<SpokeChange>& changes) const {
    bool ok = std::all_of(changes.begin(), changes.end(), [](auto& change) { return change.ok(); });
    if (arguments_.json) puts(spokeChangesJson(changes, ok).c_str());
    return ok ? EXIT_GOOD : EXIT_FAILED;
  }

 private:
  const ManageArguments& arguments_;
  const Style style_ = styleOfOutput();
  ManageOptions options_;
  std::unique_ptr<Store> store_;
};

// The doctor, and a look at what a run would fetch.
int lookAt(const SpokeAddArguments& arguments, const SpokeChange& change) {
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
  int code = syncDoctor(doctor);
  printf("\n");
  RunArguments run;
  run.config = arguments.manage.config;
  run.spokes = {change.name};
  run.dryRun = true;
  code = std::max(code, syncRun(run));
  if (code == EXIT_GOOD) printf("\n'pi-brain sync run' fetches what there is.\n");
  return code;
}

}  // namespace

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
  auto change = addSpoke({arguments.name, arguments.target, arguments.root, arguments.path,
                          arguments.key, arguments.from},
                         manage.options(), store);
  manage.print(change);
  int code = manage.finish({change});
  if (!change.ok() || arguments.manage.json || arguments.manage.dryRun) return code;
  return lookAt(arguments, change);
}

int spokeUpgrade(const SpokeUpgradeArguments& arguments) {
  if (arguments.names.empty() != arguments.all) {
    complain(arguments.all ? "--all and names do not go together"
                           : "which spokes? Name them, or say --all");
    return EXIT_USAGE;
  }
  if (!arguments.manage.via.empty() && arguments.names.size() != 1) {
    complain("--via is the login of one spoke: name that one alone");
    return EXIT_USAGE;
  }
  auto chosen = chooseSpokes(arguments.manage.config, arguments.names);
  if (chosen == nullptr) return EXIT_USAGE;
  std::vector<const SpokeConfig*> spokes;
  for (auto* spoke : chosen->spokes) {
    bool agent = spoke->method == SyncMethod::AGENT && !spoke->source.host.empty();
    if (agent || !arguments.all) spokes.push_back(spoke);
  }
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  std::vector<SpokeChange> changes(spokes.size());
  // Who may be asked for a password is asked one at a time.
  std::mutex printing;
  forEachInParallel(spokes.size(), manage.options().mayAsk ? 1 : JOBS, [&](size_t i) {
    auto options = manage.options();
    // Lines of several at once would not tell whose they are.
    options.say = [](const std::string&) {};
    changes[i] = upgradeSpoke(*spokes[i], options, store);
    std::lock_guard lock(printing);
    if (!arguments.manage.json && arguments.manage.dryRun) {
      for (auto& line : changes[i].said) manage.options().say(line);
    }
    manage.print(changes[i]);
  });
  return manage.finish(changes);
}

int spokeRotateKey(const SpokeRotateArguments& arguments) {
  auto chosen = chooseSpokes(arguments.manage.config, {arguments.name});
  if (chosen == nullptr) return EXIT_USAGE;
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto change = rotateKey(*chosen->spokes[0], manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

int spokeRemove(const SpokeRemoveArguments& arguments) {
  auto chosen = chooseSpokes(arguments.manage.config, {arguments.name});
  if (chosen == nullptr) return EXIT_USAGE;
  Manage manage(arguments.manage);
  auto* store = manage.prepare(chosen->config);
  auto change = removeSpoke(chosen->config, *chosen->spokes[0],
                            {arguments.keepMirror, arguments.force}, manage.options(), store);
  manage.print(change);
  return manage.finish({change});
}

}  // namespace pibrain
