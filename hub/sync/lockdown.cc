#include "hub/sync/lockdown.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

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

std::string whereItIsGiven() {
  return "another line of ~/.ssh/authorized_keys there, or its sshd_config (ForceCommand with a "
         "program that runs what is asked for, AuthorizedKeysFile), gives it more than its line "
         "'restrict,command=\"…\"' does";
}

}  // namespace pibrain
