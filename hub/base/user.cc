#include "hub/base/user.h"

#include <pwd.h>
#include <unistd.h>

#include "common/text/environment.h"
#include "common/text/tilde.h"

namespace pibrain {

std::optional<User> findUser(uid_t id) {
  struct passwd entry;
  struct passwd* found = nullptr;
  char buffer[16384];
  if (getpwuid_r(id, &entry, buffer, sizeof(buffer), &found) != 0 || found == nullptr) return {};
  return User{found->pw_name, found->pw_dir};
}

std::string homeDirectory() {
  auto home = environment("HOME");
  return home.empty() ? findUser(getuid()).value_or(User()).home : home;
}

std::string expandHome(const std::string& path) {
  return beginsWithTilde(path) ? expandTilde(path, homeDirectory()) : path;
}

}  // namespace pibrain
