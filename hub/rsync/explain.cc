#include "hub/rsync/explain.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
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
      : spoke_(spoke),
        target_(target),
        run_(run),
        place_(placeOf(spoke)),
        said_(absl::StrCat(" (rsync said: ", stderrTail(run.errors), ")")) {}

  std::string text() const {
    // A restricted key may answer in place of rsync.
    if (says("rrsync")) return refusedByRrsync();
    if (sshFailed(run_)) {
      auto authFailure = authFailureBefore(collectIdentities(*target_));
      authFailure.of = LoginOf::RSYNC;
      return explainFailedStart(*target_, run_.login, authFailure);
    }
    switch (run_.exitStatus) {
      case SSH_FAILED:
        return connectionEnded();
      case rsync_exit::NO_COMMAND:
      case rsync_exit::NOT_EXECUTABLE:
        return absl::StrCat(
            "rsync was not found on ", place_,
            ". Install it there: 'sudo apt install rsync'; or put the agent there, and "
            "set sync_method to agent",
            said_, ".");
      case rsync_exit::SYNTAX:
      case rsync_exit::UNSUPPORTED:
        return absl::StrCat(
            "rsync does not take these arguments, or cannot read a file that they name. Check "
            "rsync_options.extra_args",
            said_, ".");
      case rsync_exit::INCOMPATIBLE:
      case rsync_exit::BROKE_OFF:
        return conversationEnded();
      case rsync_exit::FILE_IO:
        return absl::StrCat("a disk failed rsync, here or on ", place_,
                            ". Check the room with 'df -h ",
                            escapeForTerminal(shellQuote(spoke_.path)), "'", said_, ".");
      case rsync_exit::PARTIAL:
        return partial();
      case rsync_exit::IDLE:
      case rsync_exit::NO_CONNECTION:
        return absl::StrCat("nothing was heard from ", place_, " for ", spoke_.timeoutSeconds,
                            " s (rsync_options.timeout_seconds), and it was given up", said_, ".");
      default:
        return absl::StrCat("rsync ended with exit status ", run_.exitStatus, said_,
                            ". 'man rsync' lists them under EXIT VALUES.");
    }
  }

 private:
  bool says(const char* words) const { return absl::StrContains(run_.errors, words); }

  std::string refusedByRrsync() const {
    return absl::StrCat(
        "rrsync on ", place_,
        " refused this. It takes 'source' as a path beneath the directory that "
        "~/.ssh/authorized_keys there gives to it: for all of that directory, write "
        "'source: ",
        escapeForTerminal(spoke_.source.host), ":.'", said_, ".");
  }

  // Another program ran in place of rsync.
  std::string noRsync() const {
    return absl::StrCat("the login at ", place_,
                        " worked, but what was run there in place of rsync ended before rsync "
                        "spoke. Look at the command=\"…\" of this key in ~/.ssh/authorized_keys "
                        "there, and at ForceCommand in its sshd_config. ",
                        WHY_CUT_AFTER_LOGIN, said_, ".");
  }

  std::string connectionEnded() const {
    if (target_ != nullptr && wasCut(run_.errors)) {
      return absl::StrCat("the connection to ", place_, " was lost in the middle of the run", said_,
                          ". Run it again when the spoke is back.");
    }
    return noRsync();
  }

  std::string conversationEnded() const {
    if (says("is your shell clean")) {
      return absl::StrCat(
          "the login shell on ", place_,
          " prints something before rsync can speak, or the key starts another program "
          "(pi-brain-agent, say: then set sync_method to agent). '",
          sshInvocation(sshRequestOf(spoke_)),
          " true' has to print nothing: look into ~/.bashrc there", said_, ".");
    }
    if (says("not found")) {
      return absl::StrCat("rsync was not found on ", place_,
                          ". Install it there: 'sudo apt install rsync'", said_, ".");
    }
    if (target_ != nullptr && says("(0 bytes received so far)")) return noRsync();
    return absl::StrCat("the conversation with rsync on ", place_, " broke off", said_,
                        ". Run it again; if that happens each time, look at what its machine says "
                        "of memory and disks: 'dmesg'.");
  }

  std::string partial() const {
    if (says("change_dir") && says("No such file or directory")) {
      return absl::StrCat("the directory ", escapeForTerminal(spoke_.source.path),
                          " does not exist on ", place_,
                          ". If pi has not run there yet, run it once; otherwise correct 'source' "
                          "in the config. Nothing was deleted here",
                          said_, ".");
    }
    if (says("could not make way for")) {
      return absl::StrCat(
          "the spoke has a file where the mirror has a directory, which rsync does "
          "not replace. Move that directory out of ",
          escapeForTerminal(spoke_.path), " by hand, or let the agent do it (sync_method: agent)",
          said_, ".");
    }
    return absl::StrCat("some files could not be read on ", place_,
                        "; check their owner and mode there", said_, ".");
  }

  const SpokeConfig& spoke_;
  const SshTarget* const target_;
  const RsyncRun& run_;
  const std::string place_, said_;
};

}  // namespace

std::string explainRsync(const SpokeConfig& spoke, const SshTarget* target, const RsyncRun& run) {
  return Explanation(spoke, target, run).text();
}

}  // namespace pibrain
