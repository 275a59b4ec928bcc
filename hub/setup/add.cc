#include "hub/base/failure.h"
#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <filesystem>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"
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
    requirePlain(request.target, request.root);
    requirePatterns(request.from);
    auto text = configText();
    auto before = parse(text);
    auto* known = findSpoke(before, request.name);
    if (known != nullptr) requireSameMachine(*known, request);
    auto fields = fieldsOf(request, known);
    // Checks that the config can be edited before anything is changed.
    auto after = editedOrThrow(withAdded(text, request, fields));
    auto config = parse(after);
    auto& spoke = *findSpoke(config, request.name);
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
    change_.outcome = changed ? "added" : "unchanged";
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
    return fields;
  }

  static void requireSameMachine(const SpokeConfig& known, const AddRequest& request) {
    auto asked = orThrow(parseLogin(request.target));
    if (known.source.host == asked.host && known.source.user == asked.user) return;
    throw Failure(FailureId::SPOKE_EXISTS,
                  absl::StrCat("the config has another spoke '", request.name,
                               "', with the source ", escapeForTerminal(known.sourceText)),
                  "",
                  {{"Choose another name, or correct the source of that spoke in the config", ""},
                   {"Or remove that spoke first",
                    "pi-brain spoke remove " + escapeForTerminal(shellQuote(request.name))}});
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
  std::string keyFor(const SpokeConfig& spoke, const SshTarget& target) {
    bool there = access(spoke.key.c_str(), F_OK) == 0;
    if (options_.dryRun && !there) {
      say(absl::StrCat("would create the key ", escapeForTerminal(spoke.key)));
      return "ssh-ed25519 AAAA a-key-yet-to-be-made";
    }
    auto key = ensureSyncKey(spoke.key);
    requireDedicated(target, key);
    if (key.made) say(absl::StrCat("created the key ", escapeForTerminal(spoke.key)));
    return key.publicText;
  }
};

}  // namespace

SpokeChange addSpoke(const AddRequest& request, const ManageOptions& options, Store* store) {
  SpokeAdder adder(request, options, store);
  return adder.run([&]() { adder.add(request); });
}

}  // namespace pibrain
