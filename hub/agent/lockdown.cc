#include "hub/agent/lockdown.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "common/text/escape.h"
#include "hub/base/failure.h"

namespace pibrain {

namespace {

// Joins them: "run other commands and open a shell", or with "or".
std::string inWords(const std::vector<Access>& some, const char* last = "and") {
  std::vector<std::string> words;
  for (auto access : some) words.push_back(toString(access));
  if (words.size() < 2) return absl::StrJoin(words, "");
  auto end = words.back();
  words.pop_back();
  return absl::StrCat(absl::StrJoin(words, ", "), " ", last, " ", end);
}

}  // namespace

Lockdown examineLockdown(Connection& connection, kj::AsyncIoContext& io) {
  Lockdown result;
  for (auto access : ALL_ACCESS) {
    auto grant = connection.grants(access, io);
    if (grant == Grant::GIVEN) result.given.push_back(access);
    if (grant == Grant::UNKNOWN) result.unknown.push_back(access);
  }
  return result;
}

Failure Lockdown::failure(const std::string& place) const {
  bool shell = std::find(given.begin(), given.end(), Access::SHELL) != given.end();
  auto known = shell           ? "the key can run any command on "
               : given.empty() ? "the key starts the agent on "
                               : "the key starts the agent, but can do more, on ";
  return Failure(
      given.empty() ? FailureId::KEY_LOCKDOWN_UNKNOWN : FailureId::KEY_NOT_LOCKED_DOWN,
      absl::StrCat(known, place, given.empty() ? "" : absl::StrCat(": it can ", inWords(given)),
                   unknown.empty()
                       ? ""
                       : absl::StrCat("; it is unknown whether it can ", inWords(unknown, "or"))),
      "",
      {{"Correct the key's line in ~/.ssh/authorized_keys on the spoke: it must begin with "
        "'restrict,command=\"…\"', be the only one for this key, and not be overridden by "
        "sshd_config (ForceCommand, AuthorizedKeysFile)",
        ""}});
}

std::string Lockdown::verdict(const std::string& place) const {
  if (!complete()) return withoutFullStop(failure(place).what());
  return "the key starts the agent; the spoke refused other commands, a shell, SFTP, a terminal "
         "and forwarding (TCP both ways, sockets, agent, X11)";
}

}  // namespace pibrain
