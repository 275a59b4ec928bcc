#pragma once
// Adding spokes, and what is done to them afterwards. It takes the person's own login there; the
// dedicated key can start the agent and nothing else.

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
  std::string configFile;  // the path of config.yaml
  std::string agents;      // where the agents' programs are; empty: beside this one
  std::string via;         // the person's login, "user@host"; empty: that of the spoke's source
  bool mayAsk = true;      // for passwords, at the terminal
  bool dryRun = false;
  // Of the keys for syncing, as they are typed.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  // Asks the person a question; null: nobody is there. Returns whether the answer was yes.
  std::function<bool(const std::string&)> confirm;
  // What there is to say, line by line, as it happens.
  std::function<void(const std::string&)> say = [](const std::string&) {};
};

struct AddRequest {
  std::string name;
  std::string target;  // "user@host", or an alias of the ssh configuration
  std::string root;    // empty: as it was, or ~/.pi/agent/sessions
  std::string path;    // of the mirror; empty: as it was, or ~/.pi-brain/synced/NAME
  std::string key;     // empty: as it was, or ~/.ssh/pi-brain-sync
  std::string from;    // as in sshd(8); empty: as it was, or from anywhere
  uint16_t port = 0;   // of the SSH server; 0: as it was, or as the ssh configuration has it
  // Patterns (common/text/exclusions.h) of what the agent is not to serve; none: as it was. An
  // empty pattern alone takes away those that there are.
  std::vector<std::string> exclude;
  // A spoke that rsync synced with filters is moved over, although the agent has none of them.
  bool dropFilters = false;
};

// None of these throws. `store` (null: none) gets what the agent said of itself.

// Makes the machine a spoke: key, agent, line, config. What is there already is left alone; what
// does not work in the end is taken back on the spoke.
SpokeChange addSpoke(const AddRequest& request, const ManageOptions& options, Store* store);

// Puts this version's agent there; one that does not serve is taken back.
SpokeChange upgradeSpoke(const SpokeConfig& spoke, const ManageOptions& options, Store* store);

// All of these: one at a time if somebody may be asked for a password. `ended` is called with each,
// one call at a time; of what there is to say, only what the changes have is told.
std::vector<SpokeChange> upgradeSpokes(const std::vector<const SpokeConfig*>& spokes,
                                       const ManageOptions& options, Store* store,
                                       const std::function<void(const SpokeChange&)>& ended);

// Makes a new key for this spoke, proves it, and removes the old one from the spoke.
SpokeChange rotateKey(const SpokeConfig& spoke, const ManageOptions& options, Store* store);

// Gives the spoke another name, and with it its mirror, archive, history, and a key that is named
// after it. First it brings to its end, or takes back, what an earlier call began.
SpokeChange renameSpoke(const std::string& from, const std::string& to,
                        const ManageOptions& options, Store* store);

// Whether runs sync it, as the config says.
SpokeChange setEnabled(const std::string& name, bool enabled, const ManageOptions& options);

struct RemoveRequest {
  bool keepMirror = false;  // else it goes to the archive
  bool force = false;       // although the spoke cannot be reached
};
// Removes line and agent there, and the spoke from the config here.
SpokeChange removeSpoke(const Config& config, const SpokeConfig& spoke,
                        const RemoveRequest& request, const ManageOptions& options, Store* store);

}  // namespace pibrain
