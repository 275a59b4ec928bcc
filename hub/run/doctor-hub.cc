// The doctor's checks of this machine.

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/run/doctor.h"

namespace pibrain {

Diagnosis examineHub(const Config& config, const std::vector<const SpokeConfig*>& spokes) {
  Diagnosis result;
  result.checks.push_back(
      {"config", CheckState::GOOD,
       absl::StrCat(escapeForTerminal(config.file), ", ", countOf(config.spokes.size(), "spoke"))});
  auto needs = [&](auto predicate) {
    return std::any_of(spokes.begin(), spokes.end(),
                       [&](auto* spoke) { return spoke->enabled && predicate(*spoke); });
  };
  auto check = [&](const char* program, bool needed, const Failure& missing) {
    auto found = findProgram(program);
    if (found) {
      result.checks.push_back({program, CheckState::GOOD, escapeForTerminal(*found)});
    } else if (needed) {
      result.checks.push_back({program, CheckState::FAILED, missing.what(), missing});
    }
  };
  check("ssh", needs([](auto& spoke) { return spoke.ssh == SshMode::OPENSSH; }),
        Failure(FailureId::OPENSSH_MISSING, "ssh was not found on PATH",
                "Some spokes need it ('ssh: openssh').",
                {{"Install it", "sudo apt install openssh-client"}}));
  check("rsync", needs([](auto& spoke) { return spoke.method == SyncMethod::RSYNC; }),
        Failure(FailureId::RSYNC_MISSING, "rsync was not found on PATH",
                "Some spokes need it ('sync_method: rsync').",
                {{"Install it", "sudo apt install rsync"}}));
  if (auto why = whyNotWritable(config.hub.archiveDir); !why.empty()) {
    Failure failure(
        FailureId::ARCHIVE_UNREADABLE,
        absl::StrCat("nothing can be archived in ", escapeForTerminal(config.hub.archiveDir), ": ",
                     withoutFullStop(why)));
    result.checks.push_back({"archive", CheckState::FAILED, failure.what(), failure});
  }
  return result;
}

std::unique_ptr<Store> openHistory(const Config& config, Diagnosis& hub) {
  auto path = config.hub.databaseDir + "/sync.db";
  auto store = Store::openExisting(config.hub.databaseDir, [&](const std::string& message) {
    hub.checks.push_back({"history", CheckState::WARNING, message});
  });
  if (store.ok() && *store == nullptr) {
    hub.checks.push_back({"history", CheckState::GOOD, "none yet"});
    return nullptr;
  }
  if (!store.ok()) {
    bool ours = access(path.c_str(), R_OK | W_OK) == 0;
    std::string cure = ours ? ". Move it away; the next run makes a new one" : "";
    hub.checks.push_back({"history", CheckState::WARNING,
                          path + " cannot be used: " + std::string(store.status().message()) +
                              ". Runs work without it, but are not recorded" + cure});
    return nullptr;
  }
  if (hub.checks.back().step != "history") {
    hub.checks.push_back({"history", CheckState::GOOD, path});
  }
  return std::move(*store);
}

}  // namespace pibrain
