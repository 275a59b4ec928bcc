#include "hub/pass/verification.h"

#include <algorithm>

namespace pibrain {

const char* toString(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::CONTENT:
      return "content";
    case Difference::Kind::CHANGED:
      return "changed";
    case Difference::Kind::MISSING:
      return "missing";
  }
  return "";
}

bool Verification::good() const {
  if (report.outcome != Outcome::OK || unread > 0) return false;
  return repaired || std::none_of(differences.begin(), differences.end(),
                                  [](auto& one) { return one.kind == Difference::Kind::CONTENT; });
}

}  // namespace pibrain
