#include "hub/mirror/readable.h"

#include <absl/strings/str_cat.h>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/reason.h"

namespace pibrain {

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
      throw Failure(absl::StrCat(
          "the mirror cannot be read whole: '", path,
          problem.reason == proto::Reason::DENIED
              ? "' cannot be opened. Check its owner and mode with 'ls -ld'; "
              : "' cannot be read. The disk may be failing ('dmesg' tells), or this program may "
                "not open enough files ('ulimit -n'); ",
          "nothing was changed."));
    }
    // mkfs makes it for root alone; sessions are never in it.
    if (problem.path == "lost+found" || problem.reason == proto::Reason::VANISHED) continue;
    warnings.push_back(
        absl::StrCat("'", path, "' in the mirror was passed over: ",
                     problem.reason == proto::Reason::DENIED
                         ? "it cannot be opened. Check its owner and mode with 'ls -ld'"
                         : describe(problem.reason)));
  }
}

}  // namespace pibrain
