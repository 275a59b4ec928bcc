#include "hub/setup/preflight.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/text/escape.h"
#include "common/text/exclusions.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/setup/spoke-keys.h"
#include "hub/ssh/identities.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

void requirePlain(const std::string& target, const std::string& root) {
  auto good = parseLogin(target).status();
  if (good.ok() && !root.empty()) good = parseSource(sourceOf(target, root)).status();
  if (good.ok()) good = checkAgentPath(root);
  if (!good.ok()) throw failureOf(good, FailureId::USAGE);
}

void requireName(const std::string& name) {
  if (auto why = whyNoName(name)) {
    throw Failure(FailureId::USAGE, absl::StrCat("the name ", withoutFullStop(*why)));
  }
}

namespace {

// Returns whether it may be an address, a range of them, a pattern, or the whole name of a host,
// which sshd looks up with 'UseDNS yes'.
bool mayBeAddress(const std::string& item) {
  bool plain = item.find_first_not_of(
                   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/*?!_-") ==
               std::string::npos;
  return plain && item.find_first_of(".:*?") != std::string::npos;
}

}  // namespace

void requirePatterns(const std::string& from) {
  if (from.empty()) return;
  std::vector<std::string> items = absl::StrSplit(from, ',');
  auto odd = std::find_if_not(items.begin(), items.end(), mayBeAddress);
  if (odd == items.end()) return;
  throw Failure(FailureId::USAGE,
                absl::StrCat("--from: '", escapeForTerminal(*odd), "' is not an address"),
                "It must be addresses or patterns as in sshd(8), separated by commas: "
                "192.0.2.0/24,2001:db8::1.");
}

void requireExclusions(const std::vector<std::string>& patterns) {
  if (patterns.size() == 1 && patterns[0].empty()) return;
  if (patterns.size() > Exclusions::MAX_PATTERNS) {
    throw Failure(FailureId::USAGE, absl::StrCat("--exclude is given more than ",
                                                 Exclusions::MAX_PATTERNS, " times"));
  }
  for (auto& pattern : patterns) {
    auto why = Exclusions::whyNot(pattern);
    if (!why) continue;
    throw Failure(FailureId::USAGE,
                  absl::StrCat("--exclude ", inQuotes(pattern), " is not a valid pattern: ", *why));
  }
}

void requireDedicated(const SshTarget& target, const SyncKey& key) {
  auto blob = publicKeyBlob(key.publicText);
  for (auto& identity : collectIdentities(target).keys) {
    if (identity.blob != blob) continue;
    throw Failure(
        FailureId::KEY_NOT_DEDICATED,
        absl::StrCat("your own login at ", escapeForTerminal(target.alias),
                     " offers the key for syncing too: ", escapeForTerminal(key.path),
                     identity.path == key.path ? "" : absl::StrCat(" (", identity.name(), ")")),
        "That login would then start the agent and nothing else.",
        {identity.inAgent
             ? Fix{"Remove the key from your ssh-agent",
                   "ssh-add -d " + escapeForTerminal(shellQuote(key.path))}
             : Fix{"Remove the key from IdentityFile of this host in ~/.ssh/config", ""},
         {"Or sync with another key, which --key names", ""}});
  }
}

void requireOwnKey(const Config& config, const SpokeConfig& spoke) {
  for (auto& other : config.spokes) {
    if (other.name == spoke.name || other.key != spoke.key ||
        other.source.host != spoke.source.host || other.source.user != spoke.source.user ||
        other.port != spoke.port) {
      continue;
    }
    throw Failure(FailureId::KEY_NOT_DEDICATED,
                  absl::StrCat("the spoke '", other.name, "' is the same login with the same key"),
                  "A key can serve only one directory on a machine.",
                  {{"Give this spoke its own key, and the directory that it is for",
                    ownCommand(absl::StrCat(
                        sshRequestOf(spoke).setUp, " --key ",
                        escapeForTerminal(shellQuote(SpokeKeys(config, spoke).next())), " --root ",
                        escapeForTerminal(shellQuotePath(spoke.source.path))))}});
  }
}

void requireNoOther(const Config& config, const SpokeConfig& spoke) {
  auto here = resolveSsh(sshRequestOf(spoke));
  if (!here.ok()) return;  // connecting reports the reason
  for (auto& other : config.spokes) {
    if (other.name == spoke.name || other.key != spoke.key || isLocal(other) ||
        other.method != SyncMethod::AGENT) {
      continue;
    }
    auto there = resolveSsh(sshRequestOf(other));
    if (!there.ok() || there->host != here->host || there->port != here->port ||
        there->user != here->user) {
      continue;
    }
    throw Failure(
        FailureId::SPOKE_EXISTS,
        absl::StrCat("the machine is the spoke '", other.name,
                     "' already: ", escapeForTerminal(other.sourceText), " is the same login"),
        "",
        {{"To call it by the new name",
          ownCommand(absl::StrCat("spoke rename ", escapeForTerminal(shellQuote(other.name)), " ",
                                  escapeForTerminal(shellQuote(spoke.name))))}});
  }
}

}  // namespace pibrain
