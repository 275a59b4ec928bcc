#include "hub/agent/lockdown.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>

namespace pibrain {

std::string Lockdown::inWords(const std::vector<Access>& some) {
  std::vector<std::string> words;
  for (auto access : some) words.push_back(toString(access));
  if (words.size() < 2) return absl::StrJoin(words, "");
  auto last = words.back();
  words.pop_back();
  return absl::StrCat(absl::StrJoin(words, ", "), " and ", last);
}

Lockdown examineLockdown(Connection& connection, kj::AsyncIoContext& io) {
  Lockdown result;
  for (auto access : ALL_ACCESS) {
    auto grant = connection.grants(access, io);
    if (grant == Grant::GIVEN) result.given.push_back(access);
    if (grant == Grant::UNKNOWN) result.unknown.push_back(access);
  }
  return result;
}

std::string Lockdown::complaint(const std::string& place) const {
  auto has = [&](Access access) {
    return std::find(given.begin(), given.end(), access) != given.end();
  };
  return absl::StrCat(
      has(Access::COMMAND) || has(Access::SHELL)
          ? "the key can run any command on "
          : "the key starts the agent, but not it alone, on ",
      place, ": it may ", inWords(given),
      ". Its line in ~/.ssh/authorized_keys there has to begin with 'restrict,command=\"…\"', be "
      "the only one for this key, and not be overruled by sshd_config (ForceCommand, "
      "AuthorizedKeysFile)");
}

}  // namespace pibrain
