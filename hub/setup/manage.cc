#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "common/fs/file-io.h"
#include "common/text/text.h"
#include "hub/agent/agent-session.h"
#include "hub/agent/greeting.h"
#include "hub/agent/lockdown.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"
#include "hub/connect/connector.h"
#include "hub/mirror/archive.h"
#include "hub/mirror/mirror.h"
#include "hub/setup/agents.h"
#include "hub/setup/config-edit.h"
#include "hub/setup/preflight.h"
#include "hub/setup/remote-install.h"
#include "hub/setup/retire-mirror.h"
#include "hub/setup/spoke-keys.h"
#include "hub/setup/sync-key.h"

namespace pibrain {

namespace {

constexpr char DEFAULT_ROOT[] = "~/.pi/agent/sessions";

void orThrow(const absl::Status& status) {
  if (status.ok()) return;
  std::string text(status.message());
  throw Failure(text.ends_with('.') ? text : text + ".");
}

template <typename T>
T orThrow(absl::StatusOr<T> result) {
  orThrow(result.status());
  return *std::move(result);
}

// A path as it is to stand in the config: "~/…" stays.
std::string absolute(const std::string& path) {
  if (path.starts_with("~")) return path;
  return std::filesystem::absolute(path).lexically_normal().string();
}

// "~/…" for what is beneath the home directory.
std::string withTilde(const std::string& path) {
  auto home = expandHome("~/");
  return path.starts_with(home) ? "~/" + path.substr(home.size()) : path;
}

const SpokeConfig* find(const Config& config, const std::string& name) {
  auto found = std::find_if(config.spokes.begin(), config.spokes.end(),
                            [&](auto& spoke) { return spoke.name == name; });
  return found == config.spokes.end() ? nullptr : &*found;
}

// One change to one spoke, from the first look to the report.
class Manager {
 public:
  Manager(std::string name, const ManageOptions& options, Store* store)
      : options_(options), store_(store) {
    change_.name = std::move(name);
    change_.started = wallClockNanos();
  }

  SpokeChange add(const AddRequest& request) {
    return run([&]() { doAdd(request); });
  }
  SpokeChange upgrade(const SpokeConfig& spoke) {
    return run([&]() { doUpgrade(spoke); });
  }
  SpokeChange rotate(const SpokeConfig& spoke) {
    return run([&]() { doRotate(spoke); });
  }
  SpokeChange remove(const Config& config, const SpokeConfig& spoke, const RemoveRequest& request) {
    return run([&]() { doRemove(config, spoke, request); });
  }

 private:
  SpokeChange run(const std::function<void()>& work) {
    try {
      // `remove --force` would take a login that is none for a spoke that is gone.
      if (!options_.via.empty()) orThrow(parseLogin(options_.via));
      work();
    } catch (const Failure& e) {
      fail(e.what());
    } catch (const kj::Exception& e) {
      fail(absl::StrCat(escapeForTerminal(messageOf(e)), "."));
    } catch (const Mirror::Locked&) {
      fail("a run is syncing this spoke. Try again when it is done.");
    }
    change_.finished = wallClockNanos();
    return change_;
  }

  void fail(std::string why) {
    change_.outcome = "failed";
    change_.error = std::move(why);
  }

  void say(const std::string& text) {
    change_.said.push_back(text);
    options_.say(text);
  }
  void sayAll(RemoteInstall& remote) {
    for (auto& line : remote.drainMessages()) say(line);
  }

  // The person's own login.
  SshTarget login(const SpokeConfig& spoke) {
    SshRequest request{spoke.source.host, spoke.source.user, spoke.sshConfig};
    if (!options_.via.empty()) {
      auto via = orThrow(parseLogin(options_.via));
      request.host = via.host;
      request.user = via.user;
    }
    if (request.host.empty()) {
      throw Failure("its source is on this machine, so there is nothing to set up over ssh.");
    }
    auto target = orThrow(resolveSsh(request));
    change_.target = absl::StrCat(target.user, "@", target.alias);
    return target;
  }

  // Whether the key starts the agent, as it will ever after.
  // `root`: and for this spoke's directory.
  void prove(const SpokeConfig& spoke, bool root) {
    auto io = kj::setupAsyncIo();
    AgentSession session(spoke, connectorTo(spoke, nullptr)->connect(ConnectOptions(), io), io,
                         {std::min(spoke.timeoutSeconds, 60u), 1 << 20});
    AgentInfo agent;
    session.converse([&]() { checkVersion(spoke, agent = session.greet()); });
    if (!agent.forced) {
      throw Failure(absl::StrCat(
          "the key can run any command on ", placeOf(spoke),
          ": another line of its authorized_keys, or another file (AuthorizedKeysFile in "
          "sshd_config), gives it more. Remove that, and try again."));
    }
    if (agent.rootState == proto::RootState::MISSING) {
      change_.rootMissing = true;
    } else {
      checkRoot(spoke, agent);
    }
    auto odd = rootMismatch(spoke, agent);
    if (!odd.empty() && root) {
      throw Failure(absl::StrCat(odd,
                                 ": another line for this key comes before the one that was "
                                 "added, perhaps in another file (AuthorizedKeysFile in "
                                 "sshd_config). Remove that, and try again."));
    }
    if (!odd.empty()) say(odd);
    auto lockdown = examineLockdown(session.connection(), io);
    auto verdict = lockdown.verdict(placeOf(spoke));
    if (!lockdown.given.empty()) throw Failure(verdict + ".");
    say(absl::StrCat("agent: version ", escapeBriefly(agent.version),
                     ", sandbox: ", escapeBriefly(agent.sandbox)));
    say(verdict);
    if (store_ != nullptr) {
      (void)store_->setLastContact(spoke.name, {agent.version, agent.sandbox, wallClockNanos()});
    }
  }

  // Installs, proves that the spoke works with it, does what is to be done before, and only then
  // keeps it.
  void install(
      RemoteInstall& remote, const InstallRequest& request, const SpokeConfig& spoke,
      const std::function<void()>& beforeKeeping = []() {}) {
    auto installed = remote.install(request, orThrow(findAgents(options_.agents)));
    change_.architecture = installed.architecture;
    change_.agent = installed.agent;
    change_.line = installed.line;
    sayAll(remote);
    if (request.dryRun) return;
    try {
      prove(spoke, !request.agentOnly);
      beforeKeeping();
    } catch (const Failure& e) {
      auto elsewhere =
          installed.line == "same" || request.agentOnly ? ""
          : !request.from.empty()
              ? " (Does this machine come from an address that --from lets in, as the spoke sees "
                "it?)"
              : " (If sshd there looks for keys in other files than "
                "~/.ssh/authorized_keys, AuthorizedKeysFile in its sshd_config says so.)";
      throw Failure(
          absl::StrCat(e.what(), elsewhere,
                       remote.rollBack()
                           ? " What was done on the spoke was taken back."
                           : " Whether what was done on the spoke was taken back is not known: the "
                             "connection broke off. Doing it again puts it right."));
    }
    remote.commit();
    sayAll(remote);
  }

  // The fields that the spoke is to have in the config.
  static SpokeFields fieldsOf(const AddRequest& request, const SpokeConfig* known) {
    auto or_ = [](const std::string& given, const std::string& before,
                  const std::string& otherwise) {
      return !given.empty() ? given : !before.empty() ? before : otherwise;
    };
    bool agent = known != nullptr && known->method == SyncMethod::AGENT;
    auto root = or_(request.root, agent ? known->source.path : "", DEFAULT_ROOT);
    SpokeFields fields{{"name", request.name},
                       {"sync_method", "agent"},
                       {"source", sourceOf(request.target, root)}};
    if (known == nullptr || !request.path.empty()) {
      fields.push_back({"path", request.path.empty() ? "~/.pi-brain/synced/" + request.name
                                                     : absolute(request.path)});
    }
    if (known == nullptr || !request.key.empty() || known->key.empty()) {
      fields.push_back({"key", request.key.empty() ? SHARED_KEY : absolute(request.key)});
    }
    return fields;
  }

  static void requireSameMachine(const SpokeConfig& known, const AddRequest& request) {
    auto asked = orThrow(parseLogin(request.target));
    if (known.source.host == asked.host && known.source.user == asked.user) return;
    throw Failure(absl::StrCat(
        "there is a spoke '", request.name, "' already, with the source ",
        escapeForTerminal(known.sourceText), ". Choose another name; or 'pi-brain spoke remove ",
        request.name, "' first; or correct its source in ", escapeForTerminal("config.yaml"), "."));
  }

  std::string configText() const { return readWholeFile(options_.configFile).value_or(""); }
  Config parse(const std::string& text) const {
    return orThrow(parseConfig(text, options_.configFile));
  }

  // What an edit of the config gave, with its file in front if that is a complaint.
  std::string editedOrThrow(const absl::StatusOr<std::string>& edited) const {
    if (edited.ok()) return *edited;
    std::string why(edited.status().message());
    auto file = escapeForTerminal(options_.configFile);
    orThrow(absl::Status(edited.status().code(),
                         why.starts_with(file) ? why : absl::StrCat(file, ": ", why)));
    return "";
  }

  // The config with what `request` asks for. Another run may have added one of this name since it
  // was looked at last.
  absl::StatusOr<std::string> withAdded(const std::string& before, const AddRequest& request,
                                        const SpokeFields& fields) const {
    auto now = parseConfig(before, options_.configFile);
    if (!now.ok()) return now.status();
    auto* there = find(*now, request.name);
    if (there != nullptr) requireSameMachine(*there, request);
    auto after =
        there != nullptr ? withFields(before, request.name, fields) : withSpoke(before, fields);
    if (!after.ok()) return after;
    auto good = parseConfig(*after, options_.configFile);
    return good.ok() ? after : absl::StatusOr<std::string>(good.status());
  }

  void doAdd(const AddRequest& request) {
    requirePlain(request.target, request.root);
    requirePatterns(request.from);
    auto text = configText();
    auto before = parse(text);
    auto* known = find(before, request.name);
    if (known != nullptr) requireSameMachine(*known, request);
    auto fields = fieldsOf(request, known);
    // Whether the config can hold it is known before anything is done.
    auto after = editedOrThrow(withAdded(text, request, fields));
    auto config = parse(after);
    auto& spoke = *find(config, request.name);
    requireOwnKey(config, spoke);
    auto target = login(spoke);

    InstallRequest wanted;
    wanted.publicKey = keyFor(spoke, target);
    wanted.newSpoke = known == nullptr;
    wanted.root = spoke.source.path;
    wanted.from = request.from;
    wanted.dryRun = options_.dryRun;
    RemoteInstall remote(target, options_.mayAsk);
    bool configured = after != text;
    auto file = escapeForTerminal(options_.configFile);
    // Another run may have added this very machine meanwhile.
    auto check = [&]() {
      auto now = parse(configText());
      requireOwnKey(now, spoke);
      if (wanted.newSpoke && change_.line != "added") requireNoOther(now, spoke);
    };
    install(remote, wanted, spoke, [&]() {
      check();
      if (!configured) return;
      orThrow(editFile(options_.configFile, [&](const std::string& whole) {
        return withAdded(whole, request, fields);
      }));
      say(absl::StrCat(known ? "changed" : "added", " in ", file));
    });
    if (options_.dryRun) check();
    if (options_.dryRun && configured) {
      say(absl::StrCat("would ", known ? "change" : "add", " it in ", file));
    }
    bool changed = change_.agent != "same" || change_.line != "same" || configured;
    change_.outcome = changed ? "added" : "unchanged";
  }

  // The public half of the spoke's key, which is made if there is none.
  std::string keyFor(const SpokeConfig& spoke, const SshTarget& target) {
    bool there = access(spoke.key.c_str(), F_OK) == 0;
    if (options_.dryRun && !there) {
      say(absl::StrCat("would make the key ", escapeForTerminal(spoke.key)));
      return "ssh-ed25519 AAAA a-key-yet-to-be-made";
    }
    auto key = ensureSyncKey(spoke.key);
    requireDedicated(target, key);
    if (key.made) say(absl::StrCat("made the key ", escapeForTerminal(spoke.key)));
    return key.publicText;
  }

  // The key that a spoke is reached with now.
  static SyncKey currentKey(const SpokeConfig& spoke) {
    auto path = syncKeyPath(spoke);
    if (!path.empty()) return readSyncKey(path);
    throw Failure(absl::StrCat("neither its 'key' in the config nor the ssh configuration of ",
                               escapeForTerminal(spoke.source.host), " names a key that exists."));
  }

  void doUpgrade(const SpokeConfig& spoke) {
    requireAgent(spoke, "agent");
    auto target = login(spoke);
    InstallRequest request;
    request.publicKey = currentKey(spoke).publicText;
    request.root = spoke.source.path;
    request.agentOnly = true;
    request.dryRun = options_.dryRun;
    RemoteInstall remote(target, options_.mayAsk);
    install(remote, request, spoke);
    change_.line.clear();
    change_.outcome = change_.agent == "same" ? "unchanged" : "upgraded";
  }

  static void requireAgent(const SpokeConfig& spoke, const char* what) {
    if (spoke.method == SyncMethod::AGENT) return;
    auto login =
        spoke.source.user.empty() ? spoke.source.host : spoke.source.user + "@" + spoke.source.host;
    throw Failure(absl::StrCat("its sync_method is not agent, so there is no ", what,
                               ". 'pi-brain spoke add ", spoke.name, " ", escapeForTerminal(login),
                               "' moves it over to the agent."));
  }

  // Rotations away from the same key go one after the other.
  static kj::AutoCloseFd lockKey(const SyncKey& key) {
    // NFS locks only what is open for writing.
    int fd = open(key.path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) fd = open(key.path.c_str(), O_RDONLY | O_CLOEXEC);
    kj::AutoCloseFd file(fd);
    int locked;
    do {
      locked = flock(file, LOCK_EX);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0) {
      throw Failure(absl::StrCat("cannot lock the key ", escapeForTerminal(key.path), ": ",
                                 strerror(errno), "."));
    }
    return file;
  }

  // The spoke in the config of this moment. Throws if its key is another by now.
  static const SpokeConfig& unchanged(const Config& config, const SpokeConfig& before) {
    auto* now = find(config, before.name);
    if (now != nullptr && now->key == before.key) return *now;
    throw Failure(
        "the config changed meanwhile, perhaps by another rotation. If the key is still to be "
        "replaced, do it again.");
  }

  void doRotate(const SpokeConfig& before) {
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
    // Whether the config can hold it is known before anything is done.
    editedOrThrow(edit(text));
    auto target = login(spoke);
    change_.outcome = "rotated";
    if (options_.dryRun) {
      say(absl::StrCat("would make a new key, ", escapeForTerminal(path),
                       ", put its line in place of that of ", old.fingerprint(),
                       ", and use it for this spoke"));
      return;
    }
    // The old one, and those of rotations that broke off.
    auto replaced = own.existing();
    std::erase_if(replaced, [&](auto& file) { return own.usedByOthers(file); });
    auto key = ensureSyncKey(path);
    if (!key.made) {
      throw Failure(absl::StrCat(escapeForTerminal(path), " has just been made by another."));
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

  // Those of a key and of the others whose public halves are there.
  static std::vector<std::string> blobs(const SyncKey& key,
                                        const std::vector<std::string>& others) {
    std::vector<std::string> all{key.blob()};
    for (auto& file : others) {
      auto half = readWholeFile(file + ".pub");
      if (half && file != key.path) all.push_back(SyncKey{file, *half}.blob());
    }
    return all;
  }

  // The config follows while both keys work: whenever it ends, one that it names does.
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
      throw Failure(configured
                        ? absl::StrCat(e.what(),
                                       " The new key is in use, but the old one may still be let "
                                       "in: do it again to be sure.")
                        : std::string(e.what()));
    }
  }

  void doRemove(const Config& config, const SpokeConfig& spoke, const RemoveRequest& request) {
    auto edit = [&](const std::string& text) { return withoutSpoke(text, spoke.name); };
    // What can stand in the way here is known before anything is done there.
    editedOrThrow(edit(configText()));
    bool mirror = archivesMirror(spoke, request);
    std::optional<Mirror> locked;
    if (mirror && !options_.dryRun) {
      locked.emplace(spoke.path, Mirror::Access::WRITE, archiveOf(config, spoke));
    }
    if (spoke.method == SyncMethod::AGENT && !spoke.source.host.empty())
      removeThere(spoke, request);
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
                       ": nothing uses it any more"));
    }
  }

  void removeThere(const SpokeConfig& spoke, const RemoveRequest& request) {
    try {
      auto target = login(spoke);
      auto key = currentKey(spoke).publicText;
      RemoteInstall remote(target, options_.mayAsk);
      remote.uninstall(key, options_.dryRun);
      sayAll(remote);
    } catch (const Failure& e) {
      if (!request.force) {
        throw Failure(absl::StrCat(e.what(),
                                   " Nothing was removed. --force removes the spoke here all the "
                                   "same, and leaves its agent and its line there."));
      }
      say(
          absl::StrCat("left on the spoke, which could not be reached: ~/.local/lib/pi-brain, and "
                       "the line in ~/.ssh/authorized_keys (",
                       e.what(), ")"));
    }
  }

  Archive archiveOf(const Config& config, const SpokeConfig& spoke) const {
    Archive archive(config.hub.archiveDir, spoke.name, change_.started);
    archive.keepForGood();
    return archive;
  }

  // A mirror that Syncthing fills is Syncthing's.
  static bool archivesMirror(const SpokeConfig& spoke, const RemoveRequest& request) {
    bool missing = access(spoke.path.c_str(), F_OK) != 0 && errno == ENOENT;
    return !request.keepMirror && spoke.method != SyncMethod::SYNCTHING && !missing;
  }

  const ManageOptions& options_;
  Store* store_;
  SpokeChange change_;
};

}  // namespace

SpokeChange addSpoke(const AddRequest& request, const ManageOptions& options, Store* store) {
  return Manager(request.name, options, store).add(request);
}

SpokeChange upgradeSpoke(const SpokeConfig& spoke, const ManageOptions& options, Store* store) {
  return Manager(spoke.name, options, store).upgrade(spoke);
}

SpokeChange rotateKey(const SpokeConfig& spoke, const ManageOptions& options, Store* store) {
  return Manager(spoke.name, options, store).rotate(spoke);
}

SpokeChange removeSpoke(const Config& config, const SpokeConfig& spoke,
                        const RemoveRequest& request, const ManageOptions& options, Store* store) {
  return Manager(spoke.name, options, store).remove(config, spoke, request);
}

}  // namespace pibrain
