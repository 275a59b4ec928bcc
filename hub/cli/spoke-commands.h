#pragma once
// What the commands that change spokes have in common.

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

// The options that they share.
struct ManageArguments {
  std::string config;
  std::string agents;  // a directory; empty: the usual places
  std::string via;     // another login; empty: the source's
  bool batch = false;  // ask for nothing
  bool dryRun = false;
  bool json = false;
};

// A config that may not exist yet, the history, and how to say what happens.
class Manage {
 public:
  // `arguments` must outlive it.
  explicit Manage(const ManageArguments& arguments);

  const ManageOptions& options() const { return options_; }

  // Returns the history, null if there is none to write to. Called before there are threads.
  Store* prepare(const Config& config);

  // Says what became of one spoke, unless that goes into the JSON document.
  void print(const SpokeChange& change) const;

  // Prints the JSON document if one is asked for. Returns what the command exits with.
  int finish(const std::vector<SpokeChange>& changes) const;

 private:
  const ManageArguments& arguments_;
  const TerminalStyle style_ = styleOfOutput();
  ManageOptions options_;
  std::unique_ptr<Store> store_;
};

// Of those that change only the hub: --config, --dry-run and --json.
void addChange(CLI::App* command, ManageArguments& manage);
// Of those that log in on the spoke: these, and --batch. `installs`: --agents too.
void addManage(CLI::App* command, ManageArguments& manage, bool installs);
// --via
void addVia(CLI::App* command, ManageArguments& manage);

}  // namespace pibrain
