#pragma once
// The users in this machine's user database. Any thread may call.

#include <sys/types.h>

#include <optional>
#include <string>

namespace pibrain {

struct User {
  std::string name;
  std::string home;
};

// Returns nullopt if the database does not have this id.
std::optional<User> findUser(uid_t id);

// Returns $HOME, or else the home directory in the user database; empty if neither is set.
std::string homeDirectory();

// Replaces the '~' of "~" and "~/…" by that directory; returns any other path unchanged.
std::string expandHome(const std::string& path);

}  // namespace pibrain
