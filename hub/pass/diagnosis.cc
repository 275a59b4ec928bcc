#include "hub/pass/diagnosis.h"

#include <algorithm>

namespace pibrain {

const char* toString(CheckState state) {
  switch (state) {
    case CheckState::GOOD:
      return "ok";
    case CheckState::WARNING:
      return "warning";
    case CheckState::FAILED:
      return "failed";
    case CheckState::SKIPPED:
      return "skipped";
  }
  return "";
}

bool Diagnosis::failed() const {
  return std::any_of(checks.begin(), checks.end(),
                     [](auto& check) { return check.state == CheckState::FAILED; });
}

}  // namespace pibrain
