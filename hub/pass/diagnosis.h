#pragma once
// The doctor's findings.

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"

namespace pibrain {

enum class CheckState { GOOD, WARNING, FAILED, SKIPPED };
const char* toString(CheckState state);

struct Check {
  std::string step;  // "host key", …: never changes its meaning
  CheckState state = CheckState::GOOD;
  std::string detail;              // what was found; FAILED, WARNING: `failure` in one line
  std::optional<Failure> failure;  // FAILED, WARNING: what is wrong
};

struct Diagnosis {
  std::string name;  // the spoke's; empty: this machine
  std::vector<Check> checks;

  bool failed() const;
};

}  // namespace pibrain
