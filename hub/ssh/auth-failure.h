#pragma once
// The failure (P8) of a login that nobody was let in with.

#include <string>
#include <string_view>
#include <vector>

#include "hub/base/failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Whose login it is: what it is for says what a person does about it.
enum class LoginOf { AGENT, RSYNC, PERSON };

// What is known of the keys with which nobody was let in. All of it is safe to print but the paths.
struct AuthFailure {
  std::vector<std::string> tried;      // each key and what became of it
  std::vector<Fix> keyFixes;           // of files that are no keys to log in with
  std::vector<std::string> encrypted;  // paths of identity files that want a passphrase
  std::string notSigned;               // a key that would do, but whose agent did not sign
  std::string wanted;    // what the spoke wants besides a key that it accepted: "password"
  bool offered = false;  // a key was offered, and refused
  std::string methods;   // by which the spoke lets in, as it said; empty: it did not say
  bool tooMany = false;  // the spoke listened to no more keys
  std::string notTaken;  // the type of the keys, if the spoke takes none of it: "ED25519"
  std::string unused;    // … or if this machine's ssh configuration leaves it out: "ssh-ed25519"
  LoginOf of = LoginOf::AGENT;
};
Failure permissionDenied(const SshTarget& target, const AuthFailure& authFailure);

// Whether these words of the server's mean that it listens to no more keys.
bool saysTooMany(std::string_view said);

}  // namespace pibrain
