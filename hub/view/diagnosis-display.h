#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "hub/pass/diagnosis.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// Prints to standard output what the doctor finds, check by check. The output about machines that
// are examined at the same time does not mix: each check of the first machine that is not done is
// printed when the check ends, and those of the others wait until that machine is done.
class DiagnosisDisplay {
 public:
  // `names`: the machines' names, at least one, in the order in which they are printed.
  explicit DiagnosisDisplay(const std::vector<std::string>& names);

  // `machine`: its index in `names`. May be called in any thread.
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
