#pragma once

#include <stdexcept>
#include <string>

namespace pibrain {

// What a person is to read (P8): a paragraph that says what failed, the likely cause and the
// command that mends it. Thrown in a spoke's session and caught once, in run.cc.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace pibrain
