#include "hub/spoke/manage.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "common/file-io.h"
#include "common/text.h"
#include "hub/failure.h"
#include "hub/files.h"
#include "hub/spoke/agents.h"
#include "hub/spoke/config-edit.h"
#include "hub/spoke/remote-install.h"
#include "hub/spoke/sync-key.h"
#include "hub/sync/archive.h"
#include "hub/sync/explain.h"
#include "hub/sync/mirror.h"
#include "hub/sync/reach.h"
#include "hub/sync/spoke-session.h"

namespace pibrain {

namespace {

constexpr char DEFAULT_ROOT[] = "~/.pi/agent/sessions";
constexpr char DEFAULT_KEY[] = "~/.ssh/pi-brain-sync";

template <typename T>
T orThrow(absl::StatusOr<T> result) {
  if (!result.ok()) throw Failure(absl::StrCat(std::string(result.status().message()), "."));
  return *std::move(result);
}

void orThrow(const absl::Status& status) {
  if (!status.ok()) throw Failure(absl::StrCat(std::string(status.message()), "."));
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

// "user@host:root"
std::string sourceOf(const std::string& target, const std::string& root) {
  auto at = target.rfind('@');
  auto host = at == std::string::npos ? target : target.substr(at + 1);
  bool bare6 = host.find(':') != std::string::npos && !host.starts_with('[');
  auto user = at == std::string::npos ? "" : target.substr(0, at + 1);
  return absl::StrCat(user, bare6 ? absl::StrCat("[", host, "]") : host, ":", root);
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
  SpokeChange rotate(const Config& config, const SpokeConfig& spoke) {
    return run([&]() { doRotate(config, spoke); });
  }
  SpokeChange remove(const Config& config, const SpokeConfig& spoke, const RemoveRequest& request) {
    return run([&]() { doRemove(config, spoke, request); });
  }

 private:
  SpokeChange run(const std::function<void()>& work) {
    try {
      work();
    } catch (const Failure& e) {
      fail(e.what());
    } catch (const kj::Exception& e) {
      fail(absl::StrCat(escapeForTerminal(plainWords(e)), "."));
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
    for (auto& line : remote.takeSaid()) say(line);
  }

  // The person's own login.
  SshTarget login(const SpokeConfig& spoke) {
    SshRequest request{spoke.source.host, spoke.source.user, spoke.sshConfig};
    if (!options_.via.empty()) {
      auto source = orThrow(parseSource(sourceOf(options_.via, "~")));
      request.host = source.host;
      request.user = source.user;
    }
    if (request.host.empty()) {
      throw Failure("its source is on this machine, so there is nothing to set up over ssh.");
    }
    auto target = orThrow(resolveSsh(request));
    change_.target = absl::StrCat(target.user, "@", target.alias);
    return target;
  }

  // Whether the key starts the agent, as it will ever after.
  void prove(const SpokeConfig& spoke) {
    auto io = kj::setupAsyncIo();
    auto connection = SpokeReach(spoke).connect(ConnectOptions(), io);
    SpokeSession session(*connection, io, std::min(spoke.timeoutSeconds, 60u), 1 << 20);
    try {
      auto agent = session.greet();
      checkVersion(spoke, agent);
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
      auto odd = oddRoot(spoke, agent);
      if (!odd.empty()) say(odd);
      say(absl::StrCat("the key starts the agent, and nothing else: version ",
                       brief(agent.version), ", sandbox: ", brief(agent.sandbox)));
      if (store_ != nullptr) {
        (void)store_->setLastContact(spoke.name, {agent.version, agent.sandbox, wallClockNanos()});
      }
    } catch (const kj::Exception& e) {
      throw Failure(explainConversation(spoke, e, *connection, session.preamble(), io.waitScope));
    }
  }

  // Installs, proves that the spoke works with it, and only then keeps it.
  void install(RemoteInstall& remote, const InstallRequest& request, const SpokeConfig& spoke) {
    auto installed = remote.install(request, orThrow(findAgents(options_.agents)));
    change_.architecture = installed.architecture;
    change_.agent = installed.agent;
    change_.line = installed.line;
    sayAll(remote);
    if (!request.dryRun) {
      try {
        prove(spoke);
      } catch (const Failure& e) {
        throw Failure(absl::StrCat(e.what(), " What was done on the spoke is taken back."));
      }
      remote.keep();
      sayAll(remote);
    }
  }

  // The fields that the spoke is to have in the config.
  static SpokeFields fieldsOf(const AddRequest& request, const SpokeConfig* known) {
    auto or_ = [](const std::string& given, const std::string& before, const std::string& otherwise) {
      return !given.empty() ? given : !before.empty() ? before : otherwise;
    };
    bool agent = known != nullptr && known->method == SyncMethod::AGENT;
    auto root = or_(request.root, agent ? known->source.path : "", DEFAULT_ROOT);
    SpokeFields fields{{"name", request.name},
                       {"sync_method", "agent"},
                       {"source", sourceOf(request.target, root)}};
    if (known == nullptr || !request.path.empty()) {
      fields.push_back(
          {"path", request.path.empty() ? "~/.pi-brain/synced/" + request.name : absolute(request.path)});
    }
    if (known == nullptr || !request.key.empty() || known->key.empty()) {
      fields.push_back({"key", request.key.empty() ? DEFAULT_KEY : absolute(request.key)});
    }
    return fields;
  }

  static void requireSameMachine(const SpokeConfig& known, const AddRequest& request) {
    auto asked = orThrow(parseSource(sourceOf(request.target, DEFAULT_ROOT)));
    if (known.source.host == asked.host && known.source.user == asked.user) return;
    throw Failure(absl::StrCat(
        "there is a spoke '", request.name, "' already, with the source ",
        escapeForTerminal(known.sourceText), ". Choose another name; or 'pi-brain spoke remove ",
        request.name, "' first; or correct its source in ", escapeForTerminal("config.yaml"), "."));
  }

  void doAdd(const AddRequest& request) {
    auto text = readWholeFile(options_.configFile).value_or("");
    auto config = orThrow(parseConfig(text, options_.configFile));
    auto* known = find(config, request.name);
    if (known != nullptr) requireSameMachine(*known, request);
    auto fields = fieldsOf(request, known);
    auto edit = [&](const std::string& before) -> absl::StatusOr<std::string> {
      auto now = parseConfig(before, options_.configFile);
      if (!now.ok()) return now.status();
      auto after = find(*now, request.name) != nullptr ? withFields(before, request.name, fields)
                                                       : withSpoke(before, fields);
      if (!after.ok()) return after;
      auto good = parseConfig(*after, options_.configFile);
      return good.ok() ? after : absl::StatusOr<std::string>(good.status());
    };
    // Whether the config can hold it is known before anything is done.
    auto after = orThrow(edit(text));
    config = orThrow(parseConfig(after, options_.configFile));
    auto& spoke = *find(config, request.name);
    auto target = login(spoke);

    InstallRequest wanted;
    wanted.publicKey = keyFor(spoke);
    wanted.root = spoke.source.path;
    wanted.from = request.from;
    wanted.dryRun = options_.dryRun;
    RemoteInstall remote(target, options_.mayAsk);
    install(remote, wanted, spoke);
    bool configured = after != text;
    auto file = escapeForTerminal(options_.configFile);
    if (options_.dryRun) {
      if (configured) say(absl::StrCat("would ", known ? "change" : "add", " it in ", file));
    } else if (configured) {
      orThrow(editFile(options_.configFile, edit));
      say(absl::StrCat(known ? "changed" : "added", " in ", file));
    }
    bool changed = change_.agent != "same" || change_.line != "same" || configured;
    change_.outcome = changed ? "added" : "unchanged";
  }

  // The public half of the spoke's key, which is made if there is none.
  std::string keyFor(const SpokeConfig& spoke) {
    bool there = access(spoke.key.c_str(), F_OK) == 0;
    if (options_.dryRun && !there) {
      say(absl::StrCat("would make the key ", escapeForTerminal(spoke.key)));
      return "ssh-ed25519 AAAA a-key-yet-to-be-made";
    }
    auto key = ensureSyncKey(spoke.key);
    if (key.made) say(absl::StrCat("made the key ", escapeForTerminal(spoke.key)));
    return key.publicText;
  }

  // The key that a spoke is reached with now.
  static SyncKey currentKey(const SpokeConfig& spoke) {
    if (!spoke.key.empty()) return readSyncKey(spoke.key);
    auto target = orThrow(resolveSsh(sshRequestOf(spoke)));
    for (auto& file : target.identityFiles) {
      if (access(file.c_str(), F_OK) == 0) return readSyncKey(file);
    }
    throw Failure(absl::StrCat("neither its 'key' in the config nor the ssh configuration of ",
                               escapeForTerminal(spoke.source.host), " names a key that exists."));
  }

  void doUpgrade(const SpokeConfig& spoke) {
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

  // Where the new key is to be: in the place of the old one if that is this spoke's alone.
  static std::string newKeyPath(const Config& config, const SpokeConfig& spoke) {
    auto own = expandHome(std::string(DEFAULT_KEY) + "-" + spoke.name);
    if (spoke.key.empty() || spoke.key == expandHome(DEFAULT_KEY)) return own;
    bool shared = std::any_of(config.spokes.begin(), config.spokes.end(), [&](auto& other) {
      return other.name != spoke.name && other.key == spoke.key;
    });
    return shared ? own : spoke.key;
  }

  void doRotate(const Config& config, const SpokeConfig& spoke) {
    auto target = login(spoke);
    auto old = currentKey(spoke);
    auto path = newKeyPath(config, spoke);
    auto next = path + ".new";
    if (options_.dryRun) {
      say(absl::StrCat("would make a new key, ", escapeForTerminal(path), ", put its line in place of that of ",
                       old.fingerprint(), ", and use it for this spoke"));
      change_.outcome = "rotated";
      return;
    }
    // One that is there may be what the spoke takes already: its hub died before it was renamed.
    auto key = ensureSyncKey(next);
    auto trial = spoke;
    trial.key = next;
    InstallRequest request;
    request.publicKey = key.publicText;
    request.root = spoke.source.path;
    request.retire = old.blob();
    RemoteInstall remote(target, options_.mayAsk);
    install(remote, request, trial);
    for (auto* suffix : {".pub", ""}) {
      if (rename((next + suffix).c_str(), (path + suffix).c_str()) != 0 && *suffix == '\0') {
        throw Failure(absl::StrCat("the new key works, but cannot be renamed to ",
                                   escapeForTerminal(path), ": ", strerror(errno), ". Do it by hand: 'mv ",
                                   escapeForTerminal(shellQuote(next)), " ",
                                   escapeForTerminal(shellQuote(path)), "'."));
      }
    }
    orThrow(editFile(options_.configFile, [&](const std::string& text) {
      auto written = spoke.key == path ? absl::StatusOr<std::string>(text)
                                       : withFields(text, spoke.name, {{"key", withTilde(path)}});
      return written;
    }));
    say(absl::StrCat("the key is now ", escapeForTerminal(path), ", ", key.fingerprint(),
                     "; it was ", old.fingerprint()));
    change_.outcome = "rotated";
  }

  void doRemove(const Config& config, const SpokeConfig& spoke, const RemoveRequest& request) {
    if (spoke.method == SyncMethod::AGENT && !spoke.source.host.empty()) {
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
        say(absl::StrCat("left on the spoke, which could not be reached: ~/.local/lib/pi-brain, and "
                         "the line in ~/.ssh/authorized_keys (", e.what(), ")"));
      }
    }
    auto file = escapeForTerminal(options_.configFile);
    if (options_.dryRun) {
      say(absl::StrCat("would remove it from ", file));
      if (archivesMirror(spoke, request)) say(absl::StrCat("would move ", escapeForTerminal(spoke.path), " to the archive"));
      change_.outcome = "removed";
      return;
    }
    if (archivesMirror(spoke, request)) archiveMirror(config, spoke);
    orThrow(editFile(options_.configFile, [&](const std::string& text) {
      return withoutSpoke(text, spoke.name);
    }));
    say(absl::StrCat("removed from ", file));
    if (store_ != nullptr) (void)store_->forgetSpoke(spoke.name);
    change_.outcome = "removed";
  }

  // A mirror that Syncthing fills is Syncthing's.
  static bool archivesMirror(const SpokeConfig& spoke, const RemoveRequest& request) {
    return !request.keepMirror && spoke.method != SyncMethod::SYNCTHING &&
           access(spoke.path.c_str(), F_OK) == 0;
  }

  void archiveMirror(const Config& config, const SpokeConfig& spoke) {
    auto makeArchive = [&]() {
      return Archive(config.hub.archiveDir, spoke.name, change_.started);
    };
    Mirror locked(spoke.path, Mirror::Access::WRITE, makeArchive());
    locked.clearStaging();
    auto archive = makeArchive();
    kj::AutoCloseFd directory(open(spoke.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::vector<std::string> names;
    {
      std::error_code error;
      for (std::filesystem::directory_iterator entry(spoke.path, error), end; entry != end;
           entry.increment(error)) {
        names.push_back(entry->path().filename());
      }
    }
    for (auto& name : names) archive.take(directory, name, name);
    archive.flush();
    if (rmdir(spoke.path.c_str()) != 0) {
      throw Failure(absl::StrCat("the mirror ", escapeForTerminal(spoke.path),
                                 " cannot be removed: ", strerror(errno), "."));
    }
    if (names.empty()) return;
    say(absl::StrCat("moved its mirror to ", escapeForTerminal(config.hub.archiveDir), "/",
                     spoke.name, "/", archiveRunName(change_.started),
                     ", where it stays until you remove it"));
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

SpokeChange rotateKey(const Config& config, const SpokeConfig& spoke, const ManageOptions& options,
                      Store* store) {
  return Manager(spoke.name, options, store).rotate(config, spoke);
}

SpokeChange removeSpoke(const Config& config, const SpokeConfig& spoke,
                        const RemoveRequest& request, const ManageOptions& options, Store* store) {
  return Manager(spoke.name, options, store).remove(config, spoke, request);
}

}  // namespace pibrain
