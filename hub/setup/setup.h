#pragma once
// One change to one spoke, from the first look to the report: what the commands have in common.

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

// A status, or a value, as a Failure.
void orThrow(const absl::Status& status);
template <typename T>
T orThrow(absl::StatusOr<T> result) {
  orThrow(result.status());
  return *std::move(result);
}

// Throws Failure unless it is synced by an agent on another machine; `what`: what there is not,
// otherwise.
void requireAgent(const SpokeConfig& spoke, const char* what);

// The key that a spoke is reached with now. Throws Failure.
SyncKey currentKey(const SpokeConfig& spoke);

class Setup {
 public:
  // Does `work`, and reports what came of it. What that throws is in the report.
  SpokeChange run(const std::function<void()>& work);

 protected:
  Setup(std::string name, const ManageOptions& options, Store* store);

  void say(const std::string& text);
  void sayAll(RemoteInstall& remote);

  // The person's own login.
  SshTarget login(const SpokeConfig& spoke);

  // Installs, proves that the spoke works with it, does what is to be done before, and only then
  // keeps it.
  void install(
      RemoteInstall& remote, const InstallRequest& request, const SpokeConfig& spoke,
      const std::function<void()>& beforeKeeping = []() {});

  std::string configText() const;
  Config parse(const std::string& text) const;
  // What an edit of the config gave, with its file in front if that is a complaint.
  std::string editedOrThrow(const absl::StatusOr<std::string>& edited) const;

  const ManageOptions& options_;
  Store* const store_;
  SpokeChange change_;

 private:
  void fail(Failure failure);
  // Whether the key starts the agent, as it will ever after. `root`: and for this spoke's
  // directory.
  void prove(const SpokeConfig& spoke, bool root);
  void requireServes(const SpokeConfig& spoke, const AgentInfo& agent, bool root);
  [[noreturn]] void failAndRollBack(RemoteInstall& remote, const InstallRequest& request,
                                    Failure why);
};

}  // namespace pibrain
