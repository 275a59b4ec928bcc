#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <unistd.h>

#include <filesystem>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"
#include "hub/setup/config-edit.h"
#include "hub/setup/preflight.h"
#include "hub/setup/setup.h"
#include "hub/setup/spoke-keys.h"

namespace pibrain {

namespace {

constexpr char DEFAULT_ROOT[] = "~/.pi/agent/sessions";

// Returns the path for the config: absolute, or unchanged if it begins with "~/".
std::string absolute(const std::string& path) {
  if (path.starts_with("~")) return path;
  return std::filesystem::absolute(path).lexically_normal().string();
}

class SpokeAdder : public Setup {
 public:
  SpokeAdder(const AddRequest& request, const ManageOptions& options, Store* store)
      : Setup(request.name, options, store) {}

  void add(const AddRequest& request) {
    requireName(request.name);
    requirePlain(request.target, request.root);
    requirePatterns(request.from);
    requireExclusions(request.exclude);
    auto text = configText();
    auto before = parse(text);
    auto* known = findSpoke(before, request.name);
    if (known != nullptr) requireSameMachine(*known, request);
    if (known != nullptr) settleFilters(*known, request);
    auto fields = fieldsOf(request, known);
    if (known == nullptr || !request.path.empty()) requireOwnMirror(before, fields);
    // Checks that the config can be edited before anything is changed.
    auto after = editedOrThrow(withAdded(text, request, fields));
    auto config = parse(after);
    auto& spoke = *findSpoke(config, request.name);
    requireOwnKey(config, spoke);
    auto target = login(spoke);

    InstallRequest wanted;
    wanted.publicKey = keyFor(config, spoke, target);
    wanted.newSpoke = known == nullptr;
    wanted.root = spoke.source.path;
    wanted.from = request.from;
    wanted.exclude = request.exclude;
    wanted.dryRun = options_.dryRun;
    RemoteInstall remote(target, options_.mayAsk);
    bool configured = after != text;
    auto file = escapeForTerminal(options_.configFile);
    // Another command may have added this machine meanwhile.
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
    change_.outcome = !changed ? "unchanged" : known != nullptr ? "changed" : "added";
  }

 private:
  // Returns the fields of the spoke in the config.
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
    // The hub leaves the same out, so that it does not treat these files as gone on the spoke.
    bool none = request.exclude == std::vector<std::string>{""};
    if (none && known != nullptr && !known->exclude.empty()) {
      fields.push_back({"exclude", std::vector<std::string>()});
    } else if (!none && !request.exclude.empty()) {
      fields.push_back({"exclude", request.exclude});
    }
    if (request.port > 0) fields.push_back({"port", absl::StrCat(request.port)});
    return fields;
  }

  static void requireOwnMirror(const Config& config, const SpokeFields& fields) {
    SpokeConfig spoke;
    for (auto& [name, value] : fields) {
      auto* text = std::get_if<std::string>(&value);
      if (name == "name") spoke.name = *text;
      if (name == "path") spoke.path = expandHome(*text);
      if (name == "source") spoke.source = parseSource(*text).value();
    }
    auto others = config.spokes;
    std::erase_if(others, [&](auto& other) { return other.name == spoke.name; });
    if (auto overlap = overlapOf(spoke, config.hub, others)) {
      throw Failure(FailureId::USAGE, "the mirror " + *overlap, "A mirror needs its own directory.",
                    {{"Choose another directory with --path", ""}});
    }
  }

  // The agent does not use rsync's filters: what they left out would be synced.
  void settleFilters(const SpokeConfig& known, const AddRequest& request) {
    if (known.method != SyncMethod::RSYNC || known.extraArgs.empty() || request.dropFilters) return;
    if (!request.exclude.empty()) return;  // somebody has thought of them
    std::vector<std::string> quoted;
    for (auto& argument : known.extraArgs) {
      quoted.push_back(escapeForTerminal(shellQuote(argument)));
    }
    auto arguments = absl::StrJoin(quoted, " ");
    if (options_.dryRun) {
      return say("rsync_options.extra_args would no longer be used: " + arguments);
    }
    bool asked = options_.mayAsk && options_.confirm;
    if (asked && options_.confirm(absl::StrCat(
                     "The agent does not use rsync_options.extra_args (", arguments,
                     "), so files that these leave out will be synced unless --exclude names them. "
                     "Continue?"))) {
      return;
    }
    throw Failure(FailureId::FILTERS_WOULD_DROP,
                  absl::StrCat("the agent does not use rsync_options.extra_args: ", arguments),
                  "Files that these arguments leave out would be synced. Nothing was changed.",
                  {{"Leave the same files out with --exclude PATTERN, once for each pattern", ""},
                   {"Or sync these files too, with --drop-filters", ""}});
  }

  static void requireSameMachine(const SpokeConfig& known, const AddRequest& request) {
    auto asked = orThrow(parseLogin(request.target));
    bool samePort = request.port == 0 || known.port == 0 || known.port == request.port;
    if (known.source.host == asked.host && known.source.user == asked.user && samePort) return;
    throw Failure(FailureId::SPOKE_EXISTS,
                  absl::StrCat("the config has another spoke '", request.name,
                               "', with the source ", escapeForTerminal(known.sourceText),
                               samePort ? "" : absl::StrCat(" and the port ", known.port)),
                  "",
                  {{"Choose another name, or correct the source and port of that spoke in the "
                    "config",
                    ""},
                   {"Or remove that spoke first",
                    ownCommand("spoke remove " + escapeForTerminal(shellQuote(request.name)))}});
  }

  // Returns the config with the requested change. Another command may have added a spoke with this
  // name meanwhile.
  absl::StatusOr<std::string> withAdded(const std::string& before, const AddRequest& request,
                                        const SpokeFields& fields) const {
    auto now = parseConfig(before, options_.configFile);
    if (!now.ok()) return now.status();
    auto* there = findSpoke(*now, request.name);
    if (there != nullptr) requireSameMachine(*there, request);
    auto after =
        there != nullptr ? withFields(before, request.name, fields) : withSpoke(before, fields);
    if (!after.ok()) return after;
    auto good = parseConfig(*after, options_.configFile);
    return good.ok() ? after : absl::StatusOr<std::string>(good.status());
  }

  // Returns the public half of the spoke's key, and creates the key if it does not exist.
  std::string keyFor(const Config& config, const SpokeConfig& spoke, const SshTarget& target) {
    bool there = access(spoke.key.c_str(), F_OK) == 0;
    if (options_.dryRun && !there) {
      say(absl::StrCat("would create the key ", escapeForTerminal(spoke.key)));
      return "ssh-ed25519 AAAA the-new-key";
    }
    auto key = ensureSyncKey(spoke.key);
    requireDedicated(target, key);
    if (!key.made) return key.publicText;
    say(absl::StrCat("created the key ", escapeForTerminal(spoke.key)));
    auto before = parse(configText());
    auto* known = findSpoke(before, spoke.name);
    if (known != nullptr && known->method == SyncMethod::AGENT && known->key == spoke.key) {
      say("the line of the old key, which was lost, stays in ~/.ssh/authorized_keys on the spoke "
          "until you remove it");
    }
    std::vector<std::string> others;
    for (auto& other : config.spokes) {
      bool uses = other.key == spoke.key && other.name != spoke.name;
      if (uses) others.push_back(escapeForTerminal(other.name));
    }
    if (!others.empty()) {
      say(absl::StrCat("the old key was lost, so 'spoke add' must also give the new one to: ",
                       absl::StrJoin(others, ", ")));
    }
    return key.publicText;
  }
};

}  // namespace

SpokeChange addSpoke(const AddRequest& request, const ManageOptions& options, Store* store) {
  SpokeAdder adder(request, options, store);
  return adder.run([&]() { adder.add(request); });
}

}  // namespace pibrain
