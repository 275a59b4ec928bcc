#pragma once
// Adds and changes spokes. This uses the person's own login on the spoke, because the dedicated key
// can only start the agent.

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
};

// None of these functions throws. `store` (null: none) records what the agent said of itself.

// Makes the machine a spoke: key, agent, authorized_keys line, config. Keeps what is right already;
// if the result does not work, undoes the changes on the spoke.
SpokeChange addSpoke(const AddRequest& request, const ManageOptions& options, Store* store);

// Installs this version's agent; undoes that if it does not work.
SpokeChange upgradeSpoke(const SpokeConfig& spoke, const ManageOptions& options, Store* store);

// Upgrades all of these, one at a time if ssh may ask for a password. Calls `ended` with each
// result, one call at a time, and options.say not at all.
std::vector<SpokeChange> upgradeSpokes(const std::vector<const SpokeConfig*>& spokes,
                                       const ManageOptions& options, Store* store,
                                       const std::function<void(const SpokeChange&)>& ended);

// Creates a new key for this spoke, proves that it works, and removes the old key from the spoke.
SpokeChange rotateKey(const SpokeConfig& spoke, const ManageOptions& options, Store* store);

struct RemoveRequest {
  bool keepMirror = false;  // false: move it to the archive
  bool force = false;       // even if the spoke cannot be reached
};
// Removes the authorized_keys line and the agent from the spoke, and the spoke from the config.
SpokeChange removeSpoke(const Config& config, const SpokeConfig& spoke,
                        const RemoveRequest& request, const ManageOptions& options, Store* store);

}  // namespace pibrain
