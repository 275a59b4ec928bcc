// The doctor's checks of this machine.

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/run/doctor.h"

namespace pibrain {

namespace {

// rsync reaches another machine only through ssh.
bool needsOpenssh(const SpokeConfig& spoke) {
  if (isLocal(spoke)) return false;
  return spoke.ssh == SshMode::OPENSSH || spoke.method == SyncMethod::RSYNC;
}

}  // namespace

void examineHub(const Config& config, const std::vector<const SpokeConfig*>& spokes,
                Checklist& checks) {
  checks.at("config");
  if (access(config.file.c_str(), F_OK) != 0) {
    checks.warn(Failure(FailureId::CONFIG_MISSING,
                        escapeForTerminal(config.file) + " does not exist yet", "",
                        {{"Add a spoke, which creates it; use your own names",
                          ownCommand("spoke add laptop user@laptop")}}));
  } else {
    checks.good(absl::StrCat(config.file, ", ", countOf(config.spokes.size(), "spoke")));
  }
  auto needs = [&](auto predicate) {
    return std::any_of(spokes.begin(), spokes.end(),
                       [&](auto* spoke) { return spoke->enabled && predicate(*spoke); });
  };
  auto check = [&](const char* program, bool needed, const Failure& missing) {
    checks.at(program);
    if (auto found = findProgram(program)) return checks.good(*found);
    if (needed) checks.fail(missing);
  };
  check("ssh", needs([](auto& spoke) { return needsOpenssh(spoke); }),
        Failure(FailureId::OPENSSH_MISSING, "ssh was not found on PATH",
                "Some spokes need it ('ssh: openssh', or 'sync_method: rsync').",
                {{"Install it", "sudo apt install openssh-client"}}));
  check("rsync", needs([](auto& spoke) { return spoke.method == SyncMethod::RSYNC; }),
        Failure(FailureId::RSYNC_MISSING, "rsync was not found on PATH",
                "Some spokes need it ('sync_method: rsync').",
                {{"Install it", "sudo apt install rsync"}}));
  if (auto why = whyNotWritable(config.hub.archiveDir)) {
    checks.at("archive");
    checks.fail(Failure(
        FailureId::ARCHIVE_UNREADABLE,
        absl::StrCat("nothing can be archived in ", escapeForTerminal(config.hub.archiveDir), ": ",
                     withoutFullStop(*why))));
  }
}

std::unique_ptr<Store> openHistory(const Config& config, Checklist& checks) {
  checks.at("history");
  auto path = config.hub.databaseDir + "/sync.db";
  auto warned = std::make_shared<bool>(false);
  auto store = Store::openExisting(config.hub.databaseDir, [&checks, warned](auto& message) {
    *warned = true;
    checks.warn(Failure(FailureId::HISTORY_UNUSABLE, withoutFullStop(message)));
  });
  if (store.ok() && *store == nullptr) {
    checks.good("none yet");
    return nullptr;
  }
  if (!store.ok()) {
    Failure failure(FailureId::HISTORY_UNUSABLE,
                    absl::StrCat(escapeForTerminal(path), " cannot be used: ",
                                 withoutFullStop(std::string(store.status().message()))),
                    "Runs work without it, but are not recorded.");
    if (access(path.c_str(), R_OK | W_OK) == 0) {
      auto quoted = escapeForTerminal(shellQuote(path));
      failure.addFix({"Move it away; the next run makes a new one",
                      absl::StrCat("mv ", quoted, " ", quoted, ".old")});
    }
    checks.warn(failure);
    return nullptr;
  }
  if (!*warned) checks.good(path);
  return std::move(*store);
}

}  // namespace pibrain
