#pragma once
// The failure (P8) of a login that was denied.

#include <string>
#include <string_view>
#include <vector>

#include "hub/base/failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// What the login is for, which decides the fix.
enum class LoginOf {
  AGENT,
  RSYNC,
  PERSON,  // who sets up the spoke
  HOP,     // a host of ProxyJump
};

// What is known of the rejected keys. All but the paths is safe to print.
struct AuthFailure {
  std::vector<std::string> tried;      // each key and its result
  std::string said;                    // what ssh said last
  std::vector<Fix> keyFixes;           // for files that cannot be used to log in
  std::vector<std::string> unusable;   // files that ssh may offer although they cannot be used
  bool onlyMissing = false;            // all of `tried` are files that do not exist
  std::vector<std::string> encrypted;  // paths of identity files with a passphrase
  std::string notSigned;               // an accepted key with which the agent did not sign
  std::string wanted;                  // what the spoke wants besides an accepted key: "password"
  bool offered = false;                // a key was offered and refused
  std::string methods;                 // the methods that the spoke listed; empty: none listed
  bool tooMany = false;                // the spoke accepted no more attempts
  std::string notTaken;                // a key type that the spoke does not accept: "ED25519"
  std::string unused;  // a key type that this machine's ssh configuration excludes: "ssh-ed25519"
  LoginOf of = LoginOf::AGENT;
};
Failure permissionDenied(const SshTarget& target, const AuthFailure& authFailure);

// Returns whether the server's message means that it accepts no more attempts.
bool saysTooMany(std::string_view said);

}  // namespace pibrain
