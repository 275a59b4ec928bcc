#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <unistd.h>

#include <optional>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/mirror/archive.h"
#include "hub/mirror/mirror.h"
#include "hub/setup/config-edit.h"
#include "hub/setup/retire-mirror.h"
#include "hub/setup/setup.h"
#include "hub/setup/spoke-keys.h"

namespace pibrain {

namespace {

class SpokeRemover : public Setup {
 public:
  SpokeRemover(const SpokeConfig& spoke, const ManageOptions& options, Store* store)
      : Setup(spoke.name, options, store) {}

  void remove(const Config& config, const SpokeConfig& spoke, const RemoveRequest& request) {
    auto edit = [&](const std::string& text) { return withoutSpoke(text, spoke.name); };
    // Checks that the hub's part can work before anything is changed on the spoke.
    editedOrThrow(edit(configText()));
    bool mirror = archivesMirror(spoke, request);
    std::optional<Mirror> locked;
    if (mirror && !options_.dryRun) {
      locked.emplace(spoke.path, Mirror::Access::WRITE, archiveOf(config, spoke));
    }
    if (spoke.method == SyncMethod::AGENT && !isLocal(spoke)) removeThere(spoke, request);
    auto file = escapeForTerminal(options_.configFile);
    change_.outcome = "removed";
    if (options_.dryRun) {
      say(absl::StrCat("would remove it from ", file));
      if (mirror)
        say(absl::StrCat("would move ", escapeForTerminal(spoke.path), " to the archive"));
      return;
    }
    if (mirror) {
      auto run = retireMirror(spoke, *locked);
      if (!run.empty()) {
        say(absl::StrCat("moved its mirror to ", escapeForTerminal(config.hub.archiveDir), "/",
                         spoke.name, "/", run, ", where it stays until you remove it"));
      }
    }
    orThrow(editFile(options_.configFile, edit));
    say(absl::StrCat("removed from ", file));
    if (store_ != nullptr) (void)store_->forgetSpoke(spoke.name);
    SpokeKeys own(config, spoke);
    if (own.contains(spoke.key) && !own.usedByOthers(spoke.key)) {
      say(absl::StrCat("left its key, ", escapeForTerminal(spoke.key),
                       ", which no spoke uses any more"));
    }
  }

 private:
  void removeThere(const SpokeConfig& spoke, const RemoveRequest& request) {
    try {
      auto target = login(spoke);
      auto key = currentKey(spoke).publicText;
      RemoteInstall remote(target, options_.mayAsk);
      remote.uninstall(key, options_.dryRun);
      sayAll(remote);
    } catch (const Failure& e) {
      if (!request.force) {
        auto failure = e;
        failure.addCause("Nothing was removed.");
        throw failure.addFix(
            {"To remove the spoke only from the hub, and leave its agent and authorized_keys line "
             "on the spoke",
             ownCommand("spoke remove --force " + escapeForTerminal(shellQuote(spoke.name)))});
      }
      say(
          absl::StrCat("the spoke could not be reached, so ~/.local/lib/pi-brain and the line in "
                       "~/.ssh/authorized_keys are still on it (",
                       e.summary(), ")"));
    }
  }

  Archive archiveOf(const Config& config, const SpokeConfig& spoke) const {
    Archive archive(config.hub.archiveDir, spoke.name, change_.started);
    archive.keepForGood();
    return archive;
  }

  // Returns whether the mirror is archived; Syncthing's mirrors are left alone.
  static bool archivesMirror(const SpokeConfig& spoke, const RemoveRequest& request) {
    bool missing = access(spoke.path.c_str(), F_OK) != 0 && errno == ENOENT;
    return !request.keepMirror && spoke.method != SyncMethod::SYNCTHING && !missing;
  }
};

}  // namespace

SpokeChange removeSpoke(const Config& config, const SpokeConfig& spoke,
                        const RemoveRequest& request, const ManageOptions& options, Store* store) {
  SpokeRemover remover(spoke, options, store);
  return remover.run([&]() { remover.remove(config, spoke, request); });
}

}  // namespace pibrain
