#include "hub/ssh/auth-failure.h"

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

// Explains that no one can answer the spoke's question.
std::string noOneToAsk(LoginOf of) {
  return of == LoginOf::PERSON ? "Without a terminal, no one can enter it."
                               : "A run is unattended, so no one can enter it.";
}

std::vector<Fix> atATerminal(LoginOf of) {
  if (of != LoginOf::PERSON) return {};
  return {{"Run the command at a terminal, without --batch", ""}};
}

// The key was accepted, but the spoke also wants something that a person must enter.
Failure secondFactor(const SshTarget& target, const AuthFailure& authFailure, std::string denied) {
  auto fixes = atATerminal(authFailure.of);
  if (fixes.empty()) {
    fixes.push_back(
        {absl::StrCat("Add an exception for this login to the spoke's sshd_config: 'Match User ",
                      escapeForTerminal(target.user),
                      "', and beneath it 'AuthenticationMethods publickey'"),
         ""});
  }
  return Failure(FailureId::PERMISSION_DENIED, std::move(denied),
                 absl::StrCat("The spoke accepted the key, but also wants: ", authFailure.wanted,
                              ". ", noOneToAsk(authFailure.of)),
                 std::move(fixes));
}

// The server does not accept keys for this login, or only after another method.
Failure takesNoKey(const SshTarget& target, const AuthFailure& authFailure, std::string denied) {
  auto fixes = atATerminal(authFailure.of);
  fixes.push_back(
      {"Set 'PubkeyAuthentication yes' in the spoke's sshd_config, and either "
       "'AuthenticationMethods publickey' or no AuthenticationMethods; on the spoke, this shows "
       "both",
       "sudo sshd -T -C user=" + escapeForTerminal(target.user)});
  return Failure(
      FailureId::PERMISSION_DENIED, std::move(denied),
      absl::StrCat(
          "The spoke does not accept a key for this login, or not as the first method. It wants: ",
          authFailure.methods, ". ", noOneToAsk(authFailure.of)),
      std::move(fixes));
}

Fix offerOneKey() {
  return {
      "Offer only the right key, because sshd accepts no more attempts in one login (MaxAuthTries "
      "in its sshd_config): name the key as 'key' of the spoke in the config, or as IdentityFile "
      "with 'IdentitiesOnly yes' in ~/.ssh/config",
      ""};
}

Fix allowType(const std::string& type) {
  return {absl::StrCat("Add the type ", type,
                       " to PubkeyAcceptedAlgorithms in the spoke's sshd_config, which rejects it, "
                       "or use a key of another type"),
          ""};
}

Fix signUnattended(const std::string& key) {
  return {absl::StrCat("Use a key for unattended runs that needs no confirmation ('ssh-add -c'), "
                       "passphrase or token: the spoke accepts ",
                       key, ", but the ssh-agent refused to sign with it"),
          ""};
}

// Returns the public half of the first key that has one, as a word for a shell; "KEY.pub" if that
// is unknown.
std::string publicKeyOf(const SshTarget& target, LoginOf of) {
  if (of == LoginOf::HOP) return "KEY.pub";  // a hop has keys of its own
  for (auto& file : target.identityFiles) {
    auto half = file + ".pub";
    if (access(half.c_str(), R_OK) == 0) return escapeForTerminal(shellQuote(half));
  }
  return target.key.empty() ? "KEY.pub" : escapeForTerminal(shellQuote(target.key + ".pub"));
}

void addKeyThere(const SshTarget& target, const AuthFailure& authFailure, std::vector<Fix>& fixes) {
  auto place = authFailure.of == LoginOf::HOP ? escapeForTerminal(target.alias) : "the spoke";
  auto where = absl::StrCat("~/.ssh/authorized_keys on ", place,
                            ", and make sure that others cannot write to ~ or ~/.ssh");
  auto key = publicKeyOf(target, authFailure.of);
  if (authFailure.of == LoginOf::AGENT) {
    if (!target.setUp.empty()) {
      fixes.push_back(
          {"Add the key to the spoke, through your own login there", ownCommand(target.setUp)});
      fixes.push_back(
          {"If the key's line there has from=\"…\", that must include the address of this "
           "machine; to lift the limit",
           ownCommand(target.setUp + " --from '*'")});
    } else {
      fixes.push_back(
          {absl::StrCat(
               "Put the key's line into ", where,
               "; on the spoke, with a copy of the key's public half, this prints the line"),
           "pi-brain-agent --authorized-keys-line " + key.substr(key.rfind('/') + 1)});
    }
    fixes.push_back({"If the user is wrong, correct the spoke's source", ""});
  } else {
    auto config = target.configFile.empty()
                      ? ""
                      : absl::StrCat("-F ", escapeForTerminal(shellQuote(target.configFile)), " ");
    fixes.push_back(
        {absl::StrCat("Put the key into ", where),
         absl::StrCat("ssh-copy-id ", config, "-i ", key, " ", escapeForTerminal(target.user),
                      target.user.empty() ? "" : "@", escapeForTerminal(target.alias))});
  }
  if (target.key.empty()) {
    fixes.push_back(
        {"If authorized_keys has the key already, name the key as IdentityFile in ~/.ssh/config on "
         "the hub",
         ""});
  }
  // sshd reports a rejected account like a wrong key.
  if (authFailure.of == LoginOf::PERSON) {
    fixes.push_back(
        {"If the key is right, check that the user is right too: sshd also rejects an account "
         "whose login shell does not exist; on the spoke, this shows the account",
         "getent passwd " + escapeForTerminal(shellQuote(target.user))});
  }
}

std::string noKeyToOffer(const SshTarget& target) {
  std::vector<std::string> files;
  for (auto& file : target.identityFiles) files.push_back(escapeForTerminal(file));
  return absl::StrCat("There is no key to offer: no identity file exists",
                      files.empty() ? "" : absl::StrCat(" (", absl::StrJoin(files, ", "), ")"),
                      ", and no ssh-agent has a key (a locked agent shows none: 'ssh-add -l').");
}

// Returns what was tried, as sentences; what ssh said comes last.
std::string whatWasTried(const AuthFailure& authFailure) {
  std::vector<std::string> sentences;
  auto& tried = authFailure.tried;
  if (!tried.empty()) sentences.push_back(absl::StrCat("Tried: ", absl::StrJoin(tried, "; "), "."));
  if (!authFailure.said.empty()) sentences.push_back("ssh said: " + authFailure.said + ".");
  return absl::StrJoin(sentences, " ");
}

// Returns why no key was offered, or that the spoke refused one. A person may have been refused for
// another reason, a wrong password for one.
FailureId idOf(const AuthFailure& authFailure) {
  bool none = authFailure.tried.empty() && authFailure.said.empty();
  if (none) return FailureId::KEY_MISSING;
  if (!authFailure.notSigned.empty()) return FailureId::KEY_UNUSABLE;
  if (authFailure.offered) return FailureId::PERMISSION_DENIED;
  if (!authFailure.encrypted.empty()) return FailureId::KEY_HAS_PASSPHRASE;
  if (authFailure.of == LoginOf::PERSON) return FailureId::PERMISSION_DENIED;
  return authFailure.onlyMissing ? FailureId::KEY_MISSING : FailureId::KEY_UNUSABLE;
}

// Returns the fixes for keys that were not accepted.
std::vector<Fix> fixesFor(const SshTarget& target, const AuthFailure& authFailure) {
  if (!authFailure.notSigned.empty()) return {signUnattended(authFailure.notSigned)};
  // A spoke with its own 'key' offers only that one.
  if (authFailure.tooMany && target.key.empty()) return {offerOneKey()};
  if (!authFailure.notTaken.empty()) return {allowType(authFailure.notTaken)};
  std::vector<Fix> fixes;
  if (!authFailure.encrypted.empty()) {
    fixes.push_back(
        {"Load the key into an ssh-agent, or use a key without a passphrase, since runs are "
         "unattended",
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
  } else if (authFailure.of == LoginOf::AGENT && !target.setUp.empty() &&
             idOf(authFailure) == FailureId::KEY_MISSING && !target.key.empty()) {
    // 'spoke add' creates the key too.
    return {{"Create the key and add it to the spoke, through your own login there",
             ownCommand(target.setUp)},
            {"If the key has another name, correct the spoke's key", ""}};
  } else if (fixes.empty()) {
    fixes.push_back(
        target.key.empty()
            ? Fix{"Name the key to offer as IdentityFile in ~/.ssh/config on the hub", ""}
            : Fix{"Correct 'key' in the config, or the file that it names, because no key was "
                  "offered to the spoke",
                  ""});
    if (authFailure.of == LoginOf::AGENT && !target.setUp.empty()) {
      fixes.push_back(
          {"Otherwise, create a key and add it to the spoke, through your own login there",
           ownCommand(target.setUp)});
    }
  }
  return fixes;
}

}  // namespace

Failure permissionDenied(const SshTarget& target, const AuthFailure& authFailure) {
  auto login = absl::StrCat(escapeForTerminal(target.user), target.user.empty() ? "" : "@",
                            escapeForTerminal(target.alias));
  auto denied = "permission denied for " + login;
  if (!authFailure.wanted.empty()) return secondFactor(target, authFailure, denied);
  std::vector<std::string> methods = absl::StrSplit(authFailure.methods, ',', absl::SkipEmpty());
  if (!methods.empty() && std::find(methods.begin(), methods.end(), "publickey") == methods.end()) {
    return takesNoKey(target, authFailure, denied);
  }
  bool none = authFailure.tried.empty() && authFailure.said.empty();
  auto id = idOf(authFailure);
  if (id == FailureId::KEY_MISSING) denied = "there is no key to log in as " + login;
  if (id == FailureId::KEY_UNUSABLE) denied = "no key can be used to log in as " + login;
  return Failure(id, denied, none ? noKeyToOffer(target) : whatWasTried(authFailure),
                 fixesFor(target, authFailure));
}

bool saysTooMany(std::string_view said) {
  return said.find("Too many authentication failures") != said.npos;
}

}  // namespace pibrain
