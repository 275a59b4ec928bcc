#include "hub/mirror/readable.h"

#include <absl/strings/str_cat.h>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/base/reason.h"

namespace pibrain {

namespace {

Failure unreadableMirror(const SpokeConfig& spoke, const Tree::Problem& problem) {
  auto path = spoke.path + "/" + problem.path;
  bool denied = problem.reason == proto::Reason::DENIED;
  return Failure(
      FailureId::MIRROR_UNREADABLE,
      absl::StrCat("'", escapeForTerminal(path), "' in the mirror cannot be ",
                   denied ? "opened" : "read"),
      denied ? "Nothing was changed."
             : "The disk may be failing, or pi-brain has reached its limit of open files ('ulimit "
               "-n'). Nothing was changed.",
      {denied ? Fix{"Check its owner and mode", "ls -ld " + escapeForTerminal(shellQuote(path))}
              : Fix{"Check the kernel's messages for disk errors", "sudo dmesg | tail"}});
}

}  // namespace

std::optional<Failure> unreadableIn(const SpokeConfig& spoke, const Tree& mirror) {
  for (auto& problem : mirror.problems) {
    // mkfs creates lost+found for root alone; it never contains sessions.
    if (problem.path == "lost+found" || problem.reason == proto::Reason::VANISHED) continue;
    return unreadableMirror(spoke, problem);
  }
  return std::nullopt;
}

void requireReadable(const SpokeConfig& spoke, const Tree& mirror,
                     std::vector<std::string>& warnings, std::unordered_set<std::string>* unread) {
  for (auto& problem : mirror.problems) {
    auto path = escapeForTerminal(spoke.path + "/" + problem.path);
    bool failing = problem.reason == proto::Reason::IO_ERROR && !problem.path.empty();
    if (failing && unread != nullptr) {
      unread->insert(problem.path);
      continue;
    }
    if (problem.reason == proto::Reason::IO_ERROR || problem.path.empty()) {
      throw unreadableMirror(spoke, problem);
    }
    // mkfs creates it for root alone; it never contains sessions.
    if (problem.path == "lost+found" || problem.reason == proto::Reason::VANISHED) continue;
    warnings.push_back(absl::StrCat(
        "'", path, "' in the mirror was skipped: ",
        problem.reason == proto::Reason::DENIED
            ? absl::StrCat("it cannot be opened. Check its owner and mode with 'ls -ld ",
                           escapeForTerminal(shellQuote(spoke.path + "/" + problem.path)), "'")
            : describe(problem.reason)));
  }
}

}  // namespace pibrain
