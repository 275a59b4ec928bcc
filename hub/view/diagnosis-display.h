#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "hub/pass/diagnosis.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// Prints to standard output what the doctor finds, check by check. Machines that are examined at
// once do not mix: of the first one that is not done each check is printed when it ends, those of
// the others wait for its end.
class DiagnosisDisplay {
 public:
  // `names`: of the machines, one at least, in the order in which they are printed.
  explicit DiagnosisDisplay(const std::vector<std::string>& names);

  // A machine is told by its index in `names`. In any thread.
  void add(size_t machine, const Check& check);
  void end(size_t machine);

 private:
  struct Machine {
    std::string name;
    std::vector<Check> waiting;
    bool ended = false;
  };

  void begin(Machine& machine);
  void print(const Check& check) const;

  const TerminalStyle style_ = styleOfOutput();
  std::mutex mutex_;
  std::vector<Machine> machines_;
  size_t turn_ = 0;  // whose checks are printed
};

}  // namespace pibrain
