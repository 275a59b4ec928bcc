#pragma once
// Adds and changes spokes. This uses the person's own login on the spoke, because the dedicated key
// can only start the agent.

#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/spoke-change.h"

namespace pibrain {

struct ManageOptions {
  std::string configFile;  // path of config.yaml
  std::string agents;      // directory of the agents; empty: the default places
  std::string via;         // the person's login, "user@host"; empty: the source's
  bool mayAsk = true;      // whether ssh may ask for passwords at the terminal
  bool dryRun = false;
  // Passphrases typed in this command.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  // Asks the person a question; null: no person can answer. Returns whether the answer was yes.
  std::function<bool(const std::string&)> confirm;
  // Receives messages about the progress, one line each.
  std::function<void(const std::string&)> say = [](const std::string&) {};
};

struct AddRequest {
  std::string name;
  std::string target;  // "user@host", or a Host of the ssh configuration
  std::string root;    // empty: unchanged, or ~/.pi/agent/sessions
  std::string path;    // of the mirror; empty: unchanged, or ~/.pi-brain/synced/NAME
  std::string key;     // empty: unchanged, or ~/.ssh/pi-brain-sync
  std::string from;    // as in sshd(8); empty: unchanged, or any address
  uint16_t port = 0;   // of the SSH server; 0: unchanged, or the ssh configuration's
  // Patterns (common/text/exclusions.h) of what the agent must not serve; none: unchanged. A single
  // empty pattern removes the existing ones.
  std::vector<std::string> exclude;
  // Moves a spoke that rsync synced with filters, although the agent does not use them.
  bool dropFilters = false;
};

// None of these functions throws. `store` (null: none) records what the agent said of itself.

// Makes the machine a spoke: key, agent, authorized_keys line, config. Keeps what is right already;
// if the result does not work, undoes the changes on the spoke.
SpokeChange addSpoke(const AddRequest& request, const ManageOptions& options, Store* store);

// Installs this version's agent; undoes that if it does not work.
SpokeChange upgradeSpoke(const SpokeConfig& spoke, const ManageOptions& options, Store* store);

// Upgrades all of these, one at a time if ssh may ask for a password. Calls `ended` with each
// result, one call at a time. Never calls options.say.
std::vector<SpokeChange> upgradeSpokes(const std::vector<const SpokeConfig*>& spokes,
                                       const ManageOptions& options, Store* store,
                                       const std::function<void(const SpokeChange&)>& ended);

// Creates a new key for this spoke, proves that it works, and removes the old key from the spoke.
SpokeChange rotateKey(const SpokeConfig& spoke, const ManageOptions& options, Store* store);

// Gives the spoke, its mirror, archive and history, and a key that is named after it, another name.
// First completes, or undoes, what an interrupted call began.
SpokeChange renameSpoke(const std::string& from, const std::string& to,
                        const ManageOptions& options, Store* store);

// Sets in the config whether runs sync the spoke.
SpokeChange setEnabled(const std::string& name, bool enabled, const ManageOptions& options);

struct RemoveRequest {
  bool keepMirror = false;  // false: move it to the archive
  bool force = false;       // even if the spoke cannot be reached
};
// Removes the authorized_keys line and the agent from the spoke, and the spoke from the config.
SpokeChange removeSpoke(const Config& config, const SpokeConfig& spoke,
                        const RemoveRequest& request, const ManageOptions& options, Store* store);

}  // namespace pibrain
