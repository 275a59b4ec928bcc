#pragma once
// The common part of the commands that change spokes.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/spoke-change.h"
#include "hub/setup/manage.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// Options of all commands that change spokes.
struct ManageArguments {
  std::string config;
  std::string agents;  // a directory; empty: the default places
  std::string via;     // a login; empty: the source's
  bool batch = false;  // never ask
  bool dryRun = false;
  bool json = false;
};

// A config that may not exist yet, the history, and output.
class Manage {
 public:
  // `arguments` must outlive it.
  explicit Manage(const ManageArguments& arguments);

  const ManageOptions& options() const { return options_; }

  // Returns the history; null: none can be written. Must be called before threads start.
  Store* prepare(const Config& config);

  // Prints what became of one spoke, unless the JSON document will have it.
  void print(const SpokeChange& change) const;

  // Prints the JSON document if requested, and tells the daemon. Returns the exit code.
  int finish(const std::vector<SpokeChange>& changes) const;

 private:
  // Lets a daemon take up the config, and connect again with the keys and agents as they are now.
  void tellDaemon(const std::vector<SpokeChange>& changes) const;

  const ManageArguments& arguments_;
  const TerminalStyle style_ = styleOfOutput();
  ManageOptions options_;
  std::unique_ptr<Store> store_;
};

// Adds the options of commands that change only the hub: --config, --dry-run and --json.
void addChange(CLI::App* command, ManageArguments& manage);
// Adds the options of commands that log in on the spoke: those above and --batch. `installs`:
// --agents too.
void addManage(CLI::App* command, ManageArguments& manage, bool installs);
// Adds --via.
void addVia(CLI::App* command, ManageArguments& manage);

}  // namespace pibrain
