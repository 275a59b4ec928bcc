#pragma once
// Users of this machine, as its user database has them. For any thread.

#include <sys/types.h>

#include <optional>
#include <string>

namespace pibrain {

struct User {
  std::string name;
  std::string home;
};

// Null: the database does not know this id.
std::optional<User> findUser(uid_t id);

// $HOME of this process, or else the home directory in the user database; empty: neither is there.
std::string homeDirectory();

// "~" and "~/…" with that directory; any other path as it is.
std::string expandHome(const std::string& path);

}  // namespace pibrain
