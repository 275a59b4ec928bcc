#include "hub/rsync/explain.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/identities.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/failed-start.h"
#include "hub/ssh/openssh/openssh-command.h"
#include "hub/ssh/openssh/openssh-connection.h"

namespace pibrain {

namespace {

class Explanation {
 public:
  Explanation(const SpokeConfig& spoke, const SshTarget* target, const RsyncRun& run)
      : spoke_(spoke), target_(target), run_(run), place_(placeOf(spoke)) {}

  Failure failure() const {
    // rrsync, the forced command of a restricted key, may have answered instead of rsync.
    if (says("rrsync")) return refusedByRrsync();
    if (saysCommandRefused(run_.errors)) return commandRefused(place_, stderrTail(run_.errors));
    if (sshFailed(run_)) {
      auto authFailure = authFailureBefore(collectIdentities(*target_));
      authFailure.of = LoginOf::RSYNC;
      return explainFailedStart(*target_, run_.login, authFailure);
    }
    switch (run_.exitStatus) {
      case 0:
        return Failure(FailureId::RSYNC_FAILED, "rsync did not say what it did");
      case SSH_FAILED:
        return connectionEnded();
      case rsync_exit::NO_COMMAND:
      case rsync_exit::NOT_EXECUTABLE:
        return rsyncMissing();
      case rsync_exit::SYNTAX:
      case rsync_exit::UNSUPPORTED:
        return because(FailureId::RSYNC_ARGUMENTS,
                       "rsync rejects its arguments, or cannot read a file that they name",
                       {{"Check rsync_options.extra_args in the config", ""}});
      case rsync_exit::INCOMPATIBLE:
      case rsync_exit::BROKE_OFF:
        return conversationEnded();
      case rsync_exit::FILE_IO:
        return because(FailureId::RSYNC_FAILED,
                       "rsync failed to read or write a file, on the hub or on " + place_,
                       {makeRoom(spoke_.path),
                        {"If rsync_options.extra_args names a file, check that it exists", ""}});
      case rsync_exit::PARTIAL:
        return partial();
      case rsync_exit::IDLE:
      case rsync_exit::NO_CONNECTION:
        return because(FailureId::CONNECTION_SILENT,
                       absl::StrCat(place_, " was silent for ", spoke_.timeoutSeconds,
                                    " s (rsync_options.timeout_seconds)"),
                       pingIt(), "The machine may be asleep, or its network may be down.");
      default:
        return because(FailureId::RSYNC_FAILED,
                       absl::StrCat("rsync ended with exit status ", run_.exitStatus),
                       {{"Look up this exit status under EXIT VALUES", "man rsync"}});
    }
  }

 private:
  bool says(const char* words) const { return absl::StrContains(run_.errors, words); }

  // Returns a failure whose cause is `why`, followed by what rsync said.
  Failure because(FailureId id, std::string what, std::vector<Fix> fixes = {},
                  const std::string& why = "") const {
    auto said = stderrTail(run_.errors);
    Failure failure(id, std::move(what), why, std::move(fixes));
    if (!said.empty()) failure.addCause(absl::StrCat("rsync said: ", said, "."));
    return failure;
  }

  std::vector<Fix> pingIt() const {
    if (isLocal(spoke_)) return {};
    return {
        {"Check whether the spoke answers", "ping -c 3 " + escapeForTerminal(spoke_.source.host)}};
  }

  Failure rsyncMissing() const {
    return because(
        FailureId::RSYNC_MISSING, "rsync was not found on " + place_,
        {{"Install rsync on " + place_, "sudo apt install rsync"},
         {"Otherwise, switch the spoke to the agent, which needs no rsync",
          ownCommand(absl::StrCat("spoke add ", escapeForTerminal(shellQuote(spoke_.name)), " ",
                                  loginOf(spoke_)))}});
  }

  Failure refusedByRrsync() const {
    return because(FailureId::RSYNC_REFUSED,
                   absl::StrCat("rrsync on ", place_, " refused the path"),
                   {{absl::StrCat("To sync all of that directory, write 'source: ",
                                  escapeForTerminal(spoke_.source.host), ":.' in the config"),
                     ""}},
                   "It takes 'source' as a path beneath its own directory, which "
                   "~/.ssh/authorized_keys on the spoke names.");
  }

  // Another program ran instead of rsync.
  Failure noRsync() const {
    return because(
        FailureId::NOT_RSYNC,
        absl::StrCat("the login at ", place_,
                     " worked, but the command that the spoke ran ended before rsync started"),
        {{"Check the command=\"…\" of this key in ~/.ssh/authorized_keys on the spoke, "
          "and ForceCommand in its sshd_config",
          ""}},
        absl::StrCat("Or sshd ended it: ", WHY_CUT_AFTER_LOGIN, "."));
  }

  Failure connectionEnded() const {
    if (target_ == nullptr || !wasCut(run_.errors)) return noRsync();
    return because(FailureId::CONNECTION_LOST,
                   absl::StrCat("the connection to ", place_, " was lost in the middle of the run"),
                   {{"Run the sync again when the spoke is back", ""}});
  }

  Failure conversationEnded() const {
    if (says("is your shell clean")) {
      return because(
          FailureId::SHELL_NOISY,
          absl::StrCat("the login shell on ", place_,
                       " prints something before rsync starts, or the key starts another program"),
          {{"Make its start-up files (~/.bashrc) quiet; then this prints nothing",
            sshInvocation(sshRequestOf(spoke_)) + " true"},
           {"If the key starts pi-brain-agent, set sync_method to agent in the config", ""}});
    }
    if (says("not found")) return rsyncMissing();
    if (target_ != nullptr && says("(0 bytes received so far)")) return noRsync();
    return because(
        FailureId::CONNECTION_LOST,
        absl::StrCat("the connection to rsync on ", place_, " ended unexpectedly"),
        {{"Run the sync again; if it fails each time, on the spoke, look for problems with memory "
          "and disks",
          "sudo dmesg | tail"}});
  }

  Failure partial() const {
    if (says("change_dir") && says("No such file or directory")) {
      return because(FailureId::ROOT_MISSING,
                     absl::StrCat("the directory ", escapeForTerminal(spoke_.source.path),
                                  " does not exist on ", place_),
                     {{"If pi has not run on the spoke yet, run it once", ""},
                      {"Otherwise correct 'source' in the config", ""}},
                     "pi creates it when it first runs. Nothing was deleted on the hub.");
    }
    if (says("could not make way for")) {
      return because(
          FailureId::FILES_FAILED,
          "the spoke has a file where the mirror has a directory, which rsync does not replace",
          {{absl::StrCat("Move that directory out of ", escapeForTerminal(spoke_.path)), ""},
           {"Otherwise, switch the spoke to the agent (sync_method: agent), which does that by "
            "itself",
            ""}});
    }
    return because(FailureId::SPOKE_UNREADABLE,
                   absl::StrCat("some files could not be read on ", place_),
                   {{"On the spoke, check their owner and mode", ""}});
  }

  const SpokeConfig& spoke_;
  const SshTarget* const target_;
  const RsyncRun& run_;
  const std::string place_;
};

}  // namespace

Failure explainRsync(const SpokeConfig& spoke, const SshTarget* target, const RsyncRun& run) {
  return Explanation(spoke, target, run).failure();
}

}  // namespace pibrain
