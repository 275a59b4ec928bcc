#pragma once
// What the doctor found.

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"

namespace pibrain {

enum class CheckState { GOOD, WARNING, FAILED, SKIPPED };
const char* toString(CheckState state);

struct Check {
  std::string step;  // "host key", …: the same from run to run
  CheckState state = CheckState::GOOD;
  std::string detail;              // GOOD: what was found; otherwise what is wrong, why and the fix
  std::optional<Failure> failure;  // FAILED, and some warnings: the same
};

struct Diagnosis {
  std::string name;  // of the spoke; empty: this machine
  std::vector<Check> checks;

  bool failed() const;
};

}  // namespace pibrain
