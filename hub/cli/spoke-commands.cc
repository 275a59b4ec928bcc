#include "hub/cli/spoke-commands.h"

#include <absl/strings/str_cat.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/escape.h"
#include "hub/base/own-command.h"
#include "hub/base/user.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/config/config.h"
#include "hub/daemon/control-client.h"
#include "hub/report/documents.h"
#include "hub/run/libraries.h"
#include "hub/view/failure-text.h"

namespace pibrain {

Manage::Manage(const ManageArguments& arguments) : arguments_(arguments) {
  setConfigInUse(arguments.config);
  options_.configFile = configPath(arguments.config);
  options_.agents = expandHome(arguments.agents);
  options_.via = arguments.via;
  options_.dryRun = arguments.dryRun;
  options_.mayAsk = !arguments.batch && isatty(STDIN_FILENO);
  if (options_.mayAsk && !arguments.json) options_.confirm = confirm;
  if (!arguments.json) {
    options_.say = [this](const std::string& text) {
      printf("  %s\n", style_.plain(text).c_str());
      fflush(stdout);
    };
  }
}

Store* Manage::prepare(const Config& config) {
  initLibraries();
  auto store = arguments_.dryRun ? Store::openExisting(config.hub.databaseDir, warn)
                                 : Store::open(config.hub.databaseDir, warn);
  if (store.ok()) store_ = std::move(*store);
  return store_.get();
}

namespace {

// Returns from which version to which an agent was upgraded, as far as that is known.
std::string versions(const SpokeChange& change) {
  if (change.outcome != "upgraded" || change.version.empty()) return "";
  bool another = !change.formerVersion.empty() && change.formerVersion != change.version;
  return absl::StrCat(another ? " from " + escapeBriefly(change.formerVersion) : "", " to ",
                      escapeBriefly(change.version));
}

}  // namespace

void Manage::print(const SpokeChange& change) const {
  if (arguments_.json) return;
  auto name = escapeForTerminal(change.name);
  if (!change.ok()) {
    auto start = absl::StrCat(style_.mark(Mark::BAD), " ", name, ": ");
    fputs(style_.plain(failureText(start, *change.failure, style_)).c_str(), stdout);
  } else {
    printf("%s %s: %s%s%s\n", style_.mark(Mark::GOOD).c_str(), name.c_str(),
           arguments_.dryRun && change.outcome != "unchanged" ? "would be " : "",
           change.outcome.c_str(), versions(change).c_str());
  }
  fflush(stdout);
}

void Manage::tellDaemon(const std::vector<SpokeChange>& changes) const {
  auto config = loadConfig(arguments_.config);
  if (arguments_.dryRun || !config.ok()) return;
  try {
    auto daemon = ControlClient::connect(*config);
    if (daemon == nullptr) return;
    (void)daemon->reload();
    for (auto& change : changes) {
      if (change.ok() && change.outcome != "unchanged") daemon->reconnect(change.name);
    }
  } catch (const Failure&) {
    // It finds out by itself, later.
  }
}

int Manage::finish(const std::vector<SpokeChange>& changes) const {
  tellDaemon(changes);
  bool ok = std::all_of(changes.begin(), changes.end(), [](auto& change) { return change.ok(); });
  if (arguments_.json) puts(spokeChangesJson(changes, ok, arguments_.dryRun).c_str());
  int code = EXIT_GOOD;
  for (auto& change : changes) {
    if (change.ok()) continue;
    // A usage error takes precedence over other failures, and those over a locked mirror.
    int own = exitCodeOf(*change.failure);
    if (code == EXIT_GOOD || code == EXIT_LOCKED || own == EXIT_USAGE) code = own;
  }
  return code;
}

void addChange(CLI::App* command, ManageArguments& manage) {
  addConfig(command, manage.config);
  command->add_flag("-n,--dry-run", manage.dryRun, "Show what would be done, but change nothing");
  addJson(command, manage.json);
}

void addManage(CLI::App* command, ManageArguments& manage, bool installs) {
  addChange(command, manage);
  if (installs) {
    addPath(command, "--agents", manage.agents,
            "The directory of the agents (pi-brain-agent-ARCHITECTURE)", "DIR");
  }
  command->add_flag("--batch", manage.batch, "Never ask for a password; fail instead");
}

void addVia(CLI::App* command, ManageArguments& manage) {
  command
      ->add_option("--via", manage.via,
                   "Your own login on the spoke (default: the source's, without its key)")
      ->type_name("USER@HOST")
      ->check(hasText);
}

}  // namespace pibrain
