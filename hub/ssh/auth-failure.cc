#include "hub/ssh/auth-failure.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/ssh/invocation.h"

namespace pibrain {

namespace {

// What it means that the spoke would ask a person.
std::string nobodyToAsk(LoginOf of) {
  return of == LoginOf::PERSON ? "It cannot be asked for without a terminal."
                               : "A run is unattended and cannot ask for it.";
}

std::vector<Fix> atATerminal(LoginOf of) {
  if (of != LoginOf::PERSON) return {};
  return {{"Do it at a terminal, without --batch", ""}};
}

// The key is right; what else the spoke wants cannot be had unattended.
Failure secondFactor(const SshTarget& target, const AuthFailure& authFailure, std::string denied) {
  auto fixes = atATerminal(authFailure.of);
  if (fixes.empty()) {
    fixes.push_back(
        {absl::StrCat("For this login, add an exception to its sshd_config: 'Match User ",
                      escapeForTerminal(target.user),
                      "', and beneath it 'AuthenticationMethods publickey'"),
         ""});
  }
  return Failure(FailureId::PERMISSION_DENIED, std::move(denied),
                 absl::StrCat("The spoke accepted the key, and wants more: ", authFailure.wanted,
                              ". ", nobodyToAsk(authFailure.of)),
                 std::move(fixes));
}

// The server lets nobody in by a key, or not by a key alone and not at first.
Failure takesNoKey(const SshTarget& target, const AuthFailure& authFailure, std::string denied) {
  auto fixes = atATerminal(authFailure.of);
  fixes.push_back(
      {"For a login by key, its sshd_config must say 'PubkeyAuthentication yes', and "
       "'AuthenticationMethods publickey' or nothing of AuthenticationMethods; on the "
       "spoke, this shows both",
       "sudo sshd -T -C user=" + escapeForTerminal(target.user)});
  return Failure(FailureId::PERMISSION_DENIED, std::move(denied),
                 absl::StrCat("The spoke takes no key for this login, or not at first: it wants ",
                              authFailure.methods, ". ", nobodyToAsk(authFailure.of)),
                 std::move(fixes));
}

Fix offerOneKey() {
  return {
      "The spoke listens to no more keys at one login (MaxAuthTries in its sshd_config), so the "
      "right one may not have had its turn. Offer that one alone: name it as 'key' of the spoke "
      "in the config, or as IdentityFile with 'IdentitiesOnly yes' in ~/.ssh/config",
      ""};
}

Fix allowType(const std::string& type) {
  return {absl::StrCat("sshd on the spoke takes no keys of the type ", type,
                       ": add it to PubkeyAcceptedAlgorithms in its sshd_config, or use a key of "
                       "another type"),
          ""};
}

Fix signUnattended(const std::string& key) {
  return {absl::StrCat("The spoke would let ", key,
                       " in, but the ssh-agent refused to sign with it: it may want a person's "
                       "confirmation ('ssh-add -c'), a passphrase or a token. Use a key without "
                       "these for unattended runs"),
          ""};
}

// The public half of the first key that has one, as a word for a shell; "KEY.pub" if that is not
// known.
std::string publicKeyOf(const SshTarget& target) {
  for (auto& file : target.identityFiles) {
    auto half = file + ".pub";
    if (access(half.c_str(), R_OK) == 0) return escapeForTerminal(shellQuote(half));
  }
  return target.key.empty() ? "KEY.pub" : escapeForTerminal(shellQuote(target.key + ".pub"));
}

void addKeyThere(const SshTarget& target, const AuthFailure& authFailure, std::vector<Fix>& fixes) {
  constexpr char WHERE[] =
      "~/.ssh/authorized_keys on the spoke, where neither ~ nor ~/.ssh may be writable by others";
  auto key = publicKeyOf(target);
  if (authFailure.of == LoginOf::AGENT) {
    if (!target.setUp.empty()) {
      fixes.push_back(
          {"Have the key let in there, by a login of your own", ownCommand(target.setUp)});
    }
    fixes.push_back(
        {absl::StrCat(target.setUp.empty() ? "Put" : "Or put", " the key's line into ", WHERE,
                      "; with the key's public half, this prints the line there"),
         "pi-brain-agent --authorized-keys-line " + key});
  } else {
    auto config = target.configFile.empty()
                      ? ""
                      : absl::StrCat("-F ", escapeForTerminal(shellQuote(target.configFile)), " ");
    fixes.push_back(
        {absl::StrCat("Put the key into ", WHERE),
         absl::StrCat("ssh-copy-id ", config, "-i ", key, " ", escapeForTerminal(target.user),
                      target.user.empty() ? "" : "@", escapeForTerminal(target.alias))});
  }
  if (target.key.empty()) {
    fixes.push_back(
        {"If it is there, name the key as IdentityFile in ~/.ssh/config on the hub", ""});
  }
  // sshd says the same of an account that it does not let in as of a wrong key.
  if (authFailure.of == LoginOf::PERSON) {
    fixes.push_back(
        {"If the key is right, look at the account on the spoke: sshd rejects an account "
         "whose login shell does not exist",
         "getent passwd " + escapeForTerminal(shellQuote(target.user))});
  }
}

std::string noKeyToOffer(const SshTarget& target) {
  std::vector<std::string> files;
  for (auto& file : target.identityFiles) files.push_back(escapeForTerminal(file));
  return absl::StrCat("There is no key to offer: none of the identity files exists",
                      files.empty() ? "" : absl::StrCat(" (", absl::StrJoin(files, ", "), ")"),
                      ", and no ssh-agent has one (one that is locked shows none: 'ssh-add -l').");
}

// What a person does about keys that were not accepted.
std::vector<Fix> fixesFor(const SshTarget& target, const AuthFailure& authFailure) {
  if (!authFailure.notSigned.empty()) return {signUnattended(authFailure.notSigned)};
  // A key of its own was the only one.
  if (authFailure.tooMany && target.key.empty()) return {offerOneKey()};
  if (!authFailure.notTaken.empty()) return {allowType(authFailure.notTaken)};
  std::vector<Fix> fixes;
  if (!authFailure.encrypted.empty()) {
    fixes.push_back(
        {"A run without a person at it needs a key without a passphrase, or one that an "
         "ssh-agent holds",
         "ssh-add " + escapeForTerminal(shellQuote(authFailure.encrypted[0]))});
  }
  fixes.insert(fixes.end(), authFailure.keyFixes.begin(), authFailure.keyFixes.end());
  if (authFailure.offered) {
    addKeyThere(target, authFailure, fixes);
  } else if (!authFailure.unused.empty()) {
    fixes.push_back({absl::StrCat("Add ", authFailure.unused,
                                  " to PubkeyAcceptedAlgorithms in the ssh configuration of this "
                                  "machine, or use a key of another type"),
                     ""});
  } else if (fixes.empty() || !authFailure.keyFixes.empty()) {
    fixes.push_back(
        target.key.empty()
            ? Fix{"Name the key to offer as IdentityFile in ~/.ssh/config on the hub", ""}
            : Fix{"No key was offered to the spoke: correct 'key' in the config, or the "
                  "file that it names",
                  ""});
    if (authFailure.of == LoginOf::AGENT && !target.setUp.empty()) {
      fixes.push_back({"Or have a key made, and let in there, by a login of your own",
                       ownCommand(target.setUp)});
    }
  }
  return fixes;
}

}  // namespace

Failure permissionDenied(const SshTarget& target, const AuthFailure& authFailure) {
  auto denied = absl::StrCat("permission denied for ", escapeForTerminal(target.user),
                             target.user.empty() ? "" : "@", escapeForTerminal(target.alias));
  if (!authFailure.wanted.empty()) return secondFactor(target, authFailure, denied);
  std::vector<std::string> methods = absl::StrSplit(authFailure.methods, ',', absl::SkipEmpty());
  if (!methods.empty() && std::find(methods.begin(), methods.end(), "publickey") == methods.end()) {
    return takesNoKey(target, authFailure, denied);
  }
  bool none = authFailure.tried.empty();
  bool locked = !none && !authFailure.offered && !authFailure.encrypted.empty();
  return Failure(none     ? FailureId::KEY_MISSING
                 : locked ? FailureId::KEY_HAS_PASSPHRASE
                          : FailureId::PERMISSION_DENIED,
                 denied,
                 none ? noKeyToOffer(target)
                      : absl::StrCat("Tried: ", absl::StrJoin(authFailure.tried, "; "), "."),
                 fixesFor(target, authFailure));
}

bool saysTooMany(std::string_view said) {
  return said.find("Too many authentication failures") != said.npos;
}

}  // namespace pibrain
