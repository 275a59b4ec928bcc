#include "hub/ssh/auth-failure.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/ssh/invocation.h"

namespace pibrain {

namespace {

// What to do where a person would be asked and none can be.
std::string nobodyToAsk(LoginOf of) {
  return of == LoginOf::PERSON ? "Nobody can be asked for that here: do it at a terminal, without "
                                 "--batch"
                               : "A run has nobody to ask";
}

// The key is right; what else the spoke wants cannot be had unattended.
std::string secondFactor(const SshTarget& target, const AuthFailure& authFailure) {
  auto text = absl::StrCat("The spoke accepted the key, and wants more: ", authFailure.wanted, ". ",
                           nobodyToAsk(authFailure.of));
  if (authFailure.of == LoginOf::PERSON) return text;
  return absl::StrCat(text, ". For this login, its sshd_config needs an exception: 'Match User ",
                      escapeForTerminal(target.user),
                      "', and beneath it 'AuthenticationMethods publickey'");
}

// The server lets nobody in by a key, or not by a key alone and not at first.
std::string takesNoKey(const SshTarget& target, const AuthFailure& authFailure) {
  return absl::StrCat(
      "The spoke takes no key for this login, or not at first: it wants ", authFailure.methods,
      ". ", nobodyToAsk(authFailure.of),
      ". For a login by key, its sshd_config has to say 'PubkeyAuthentication yes', "
      "and 'AuthenticationMethods publickey' or nothing of AuthenticationMethods; "
      "'sudo sshd -T -C user=",
      escapeForTerminal(target.user), "' there shows both");
}

std::string tooManyKeys() {
  return "The spoke listens to no more keys at one login (MaxAuthTries in its sshd_config), so the "
         "right one may not have had its turn. Offer that one alone: name it as 'key' of the spoke "
         "in the config, or as IdentityFile with 'IdentitiesOnly yes' in ~/.ssh/config";
}

std::string typeNotTaken(const std::string& type) {
  return absl::StrCat(
      "sshd on the spoke takes no keys of the type ", type,
      ": PubkeyAcceptedAlgorithms in its sshd_config leaves it out. Add it there, or "
      "use a key of another type");
}

std::string agentDidNotSign(const std::string& key) {
  return absl::StrCat("The spoke would let ", key,
                      " in, but the ssh-agent refused to sign with it: it may want a person's "
                      "confirmation ('ssh-add -c'), a passphrase or a token. For runs that nobody "
                      "is at, use a key without these");
}

std::string keyIsMissingThere(const SshTarget& target, const AuthFailure& authFailure) {
  auto text = absl::StrCat(
      authFailure.of == LoginOf::AGENT
          ? "On the spoke, ~/.ssh/authorized_keys needs the line that 'pi-brain-agent "
            "--authorized-keys-line KEY.pub' prints ('pi-brain spoke add' puts it there)"
          : "On the spoke, ~/.ssh/authorized_keys needs the key: 'ssh-copy-id -i KEY.pub' "
            "puts it there",
      ", and neither ~ nor ~/.ssh may be writable by others");
  if (target.key.empty()) {
    absl::StrAppend(&text, "; on the hub, IdentityFile in ~/.ssh/config names the key");
  }
  // sshd says the same of an account that it does not let in as of a wrong key.
  if (authFailure.of == LoginOf::PERSON) {
    absl::StrAppend(&text,
                    ". If the key is right, look at the account on the spoke: 'getent passwd ",
                    escapeForTerminal(shellQuote(target.user)),
                    "' shows its login shell, and sshd lets nobody in whose shell does not exist");
  }
  return text;
}

std::string noKeyToOffer(const SshTarget& target) {
  std::vector<std::string> files;
  for (auto& file : target.identityFiles) files.push_back(escapeForTerminal(file));
  return absl::StrCat("There is no key to offer: none of the identity files exists",
                      files.empty() ? "" : absl::StrCat(" (", absl::StrJoin(files, ", "), ")"),
                      ", and no ssh-agent has one (one that is locked shows none: 'ssh-add -l')");
}

// What a person does about it, as a sentence without its full stop.
std::string cureOf(const SshTarget& target, const AuthFailure& authFailure) {
  if (!authFailure.notSigned.empty()) return agentDidNotSign(authFailure.notSigned);
  // A key of its own was the only one.
  if (authFailure.tooMany && target.key.empty()) return tooManyKeys();
  if (!authFailure.notTaken.empty()) return typeNotTaken(authFailure.notTaken);
  std::vector<std::string> cures;
  if (!authFailure.encrypted.empty()) {
    cures.push_back(
        absl::StrCat("A run without a person at it needs a key without a passphrase, or one that "
                     "'ssh-add ",
                     escapeForTerminal(shellQuote(authFailure.encrypted[0])), "' put in an agent"));
  }
  if (authFailure.offered) {
    cures.push_back(keyIsMissingThere(target, authFailure));
  } else if (cures.empty()) {
    cures.push_back(target.key.empty()
                        ? "IdentityFile in ~/.ssh/config on the hub names the key to offer"
                        : "So no key was offered to the spoke");
  }
  return absl::StrJoin(cures, ". ");
}

}  // namespace

std::string permissionDenied(const SshTarget& target, const AuthFailure& authFailure) {
  auto message =
      absl::StrCat("permission denied for ", escapeForTerminal(target.user),
                   target.user.empty() ? "" : "@", escapeForTerminal(target.alias), ". ");
  if (!authFailure.wanted.empty()) {
    return absl::StrCat(message, secondFactor(target, authFailure), ".");
  }
  std::vector<std::string> methods = absl::StrSplit(authFailure.methods, ',', absl::SkipEmpty());
  if (!methods.empty() && std::find(methods.begin(), methods.end(), "publickey") == methods.end()) {
    return absl::StrCat(message, takesNoKey(target, authFailure), ".");
  }
  auto tried = authFailure.tried.empty() ? noKeyToOffer(target)
                                         : "Tried: " + absl::StrJoin(authFailure.tried, "; ");
  return absl::StrCat(message, tried, ". ", cureOf(target, authFailure), ".");
}

bool saysTooMany(std::string_view said) {
  return said.find("Too many authentication failures") != said.npos;
}

}  // namespace pibrain
