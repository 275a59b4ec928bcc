#pragma once
// One change to one spoke, from the first check to the report: the common part of the commands.

#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <utility>

#include "hub/agent/agent-info.h"
#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/setup/manage.h"
#include "hub/setup/remote-install.h"
#include "hub/setup/sync-key.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Throw the status as a Failure, unless it is OK; return the value.
void orThrow(const absl::Status& status);
template <typename T>
T orThrow(absl::StatusOr<T> result) {
  orThrow(result.status());
  return *std::move(result);
}

// Throws Failure unless an agent on another machine syncs the spoke. `what`: what it lacks
// otherwise.
void requireAgent(const SpokeConfig& spoke, const char* what);

// Returns the key that the spoke uses now. Throws Failure.
SyncKey currentKey(const SpokeConfig& spoke);

class Setup {
 public:
  // Does `work`, and returns the report, which contains what `work` throws.
  SpokeChange run(const std::function<void()>& work);

 protected:
  Setup(std::string name, const ManageOptions& options, Store* store);

  void say(const std::string& text);
  void sayAll(RemoteInstall& remote);

  // Returns the person's own login.
  SshTarget login(const SpokeConfig& spoke);

  // Installs, proves that the spoke works, calls `beforeKeeping`, and only then commits.
  void install(
      RemoteInstall& remote, const InstallRequest& request, const SpokeConfig& spoke,
      const std::function<void()>& beforeKeeping = []() {});

  std::string configText() const;
  Config parse(const std::string& text) const;
  // Returns the edited config; throws an error with the file's name in front.
  std::string editedOrThrow(const absl::StatusOr<std::string>& edited) const;

  const ManageOptions& options_;
  Store* const store_;
  SpokeChange change_;

 private:
  void fail(Failure failure);
  // Throws unless the key starts the agent as in a run. `root`: the agent must also serve this
  // spoke's directory.
  void prove(const SpokeConfig& spoke, bool root);
  void requireServes(const SpokeConfig& spoke, const AgentInfo& agent, bool root);
  [[noreturn]] void failAndRollBack(RemoteInstall& remote, const InstallRequest& request,
                                    Failure why);
};

}  // namespace pibrain
