#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/user.h"
#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/file.h>

#include <vector>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"
#include "hub/setup/config-edit.h"
#include "hub/setup/setup.h"
#include "hub/setup/spoke-keys.h"

namespace pibrain {

namespace {

// Returns "~/…" for a path in the home directory.
std::string withTilde(const std::string& path) {
  auto home = homeDirectory() + "/";
  return path.starts_with(home) ? "~/" + path.substr(home.size()) : path;
}

class KeyRotation : public Setup {
 public:
  KeyRotation(const SpokeConfig& spoke, const ManageOptions& options, Store* store)
      : Setup(spoke.name, options, store) {}

  void rotate(const SpokeConfig& before) {
    requireAgent(before, "key for syncing alone");
    auto old = currentKey(before);
    auto lock = lockKey(old);
    auto text = configText();
    auto config = parse(text);
    auto& spoke = unchanged(config, before);
    SpokeKeys own(config, spoke);
    auto path = own.next();
    auto edit = [&](const std::string& whole) {
      return withFields(whole, spoke.name, {{"key", withTilde(path)}});
    };
    // Checks that the config can be edited before anything is changed.
    editedOrThrow(edit(text));
    auto target = login(spoke);
    change_.outcome = "rotated";
    if (options_.dryRun) {
      say(absl::StrCat("would create a new key, ", escapeForTerminal(path),
                       ", replace the authorized_keys line of ", old.fingerprint(),
                       ", and use the new key for this spoke"));
      return;
    }
    // The old key, and those of interrupted rotations.
    auto replaced = own.existing();
    std::erase_if(replaced, [&](auto& file) { return own.usedByOthers(file); });
    auto key = ensureSyncKey(path);
    if (!key.made) {
      throw Failure(FailureId::CONFIG_CHANGED,
                    absl::StrCat("another command has just created ", escapeForTerminal(path)));
    }
    InstallRequest request;
    request.publicKey = key.publicText;
    request.root = spoke.source.path;
    request.retire = blobs(old, replaced);
    exchange(spoke, request, target, key, edit);
    for (auto& file : replaced) SpokeKeys::remove(file);
    say(absl::StrCat("the key is now ", escapeForTerminal(path), ", ", key.fingerprint(),
                     "; it was ", old.fingerprint()));
  }

 private:
  // Serialises rotations of the same key.
  static kj::AutoCloseFd lockKey(const SyncKey& key) {
    // NFS can lock only files that are open for writing.
    int fd = open(key.path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) fd = open(key.path.c_str(), O_RDONLY | O_CLOEXEC);
    kj::AutoCloseFd file(fd);
    int locked;
    do {
      locked = flock(file, LOCK_EX);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0) {
      throw Failure(
          FailureId::KEY_UNUSABLE,
          absl::StrCat("cannot lock the key ", escapeForTerminal(key.path), ": ", strerror(errno)));
    }
    return file;
  }

  // Returns the spoke in the current config. Throws if its key has changed.
  static const SpokeConfig& unchanged(const Config& config, const SpokeConfig& before) {
    auto* now = findSpoke(config, before.name);
    if (now != nullptr && now->key == before.key) return *now;
    throw Failure(FailureId::CONFIG_CHANGED,
                  "the config changed meanwhile, perhaps by another rotation", "",
                  {{"If the key must still be replaced, run this again",
                    ownCommand("spoke rotate-key " + escapeForTerminal(shellQuote(before.name)))}});
  }

  // Returns the blobs of a key, and of other keys whose public halves exist.
  static std::vector<std::string> blobs(const SyncKey& key,
                                        const std::vector<std::string>& others) {
    std::vector<std::string> all{key.blob()};
    for (auto& file : others) {
      auto half = readWholeFile(file + ".pub");
      if (half && file != key.path) all.push_back(SyncKey{file, *half}.blob());
    }
    return all;
  }

  // Updates the config while both keys work, so that the configured key works even after an
  // interruption.
  void exchange(const SpokeConfig& spoke, const InstallRequest& request, const SshTarget& target,
                const SyncKey& key,
                const std::function<absl::StatusOr<std::string>(const std::string&)>& edit) {
    auto trial = spoke;
    trial.key = key.path;
    RemoteInstall remote(target, options_.mayAsk);
    bool configured = false;
    try {
      install(remote, request, trial);
      orThrow(editFile(options_.configFile, edit));
      configured = true;
      remote.retire();
      sayAll(remote);
    } catch (const Failure& e) {
      if (!configured) SpokeKeys::remove(key.path);
      auto failure = e;
      if (configured) {
        failure.addCause("The new key is in use, but the spoke may still accept the old one.");
        failure.addFix(
            {"To be sure, run this again",
             ownCommand("spoke rotate-key " + escapeForTerminal(shellQuote(spoke.name)))});
      }
      throw failure;
    }
  }
};

}  // namespace

SpokeChange rotateKey(const SpokeConfig& spoke, const ManageOptions& options, Store* store) {
  KeyRotation rotation(spoke, options, store);
  return rotation.run([&]() { rotation.rotate(spoke); });
}

}  // namespace pibrain
