#include "hub/view/diagnosis-display.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <stdio.h>

#include "hub/view/failure-text.h"

namespace pibrain {

namespace {

Mark markOf(CheckState state) {
  switch (state) {
    case CheckState::GOOD:
      return Mark::GOOD;
    case CheckState::WARNING:
      return Mark::WARNING;
    case CheckState::FAILED:
      return Mark::BAD;
    case CheckState::SKIPPED:
      break;
  }
  return Mark::SKIPPED;
}

}  // namespace

DiagnosisDisplay::DiagnosisDisplay(const std::vector<std::string>& names) {
  for (auto& name : names) machines_.push_back({name, {}, false});
  begin(machines_.front());
}

void DiagnosisDisplay::add(size_t machine, const Check& check) {
  std::lock_guard lock(mutex_);
  if (machine == turn_) return print(check);
  machines_[machine].waiting.push_back(check);
}

void DiagnosisDisplay::end(size_t machine) {
  std::lock_guard lock(mutex_);
  machines_[machine].ended = true;
  while (turn_ < machines_.size() && machines_[turn_].ended) {
    ++turn_;
    if (turn_ < machines_.size()) begin(machines_[turn_]);
  }
  if (turn_ < machines_.size()) return;
  // Prints what was found about a machine after its end.
  for (auto& one : machines_) {
    if (!one.waiting.empty()) begin(one);
  }
}

// The name alone shows that a machine is being examined, even if it does not answer for a long
// time.
void DiagnosisDisplay::begin(Machine& machine) {
  printf("%s\n", style_.plain(machine.name).c_str());
  fflush(stdout);
  for (auto& check : machine.waiting) print(check);
  machine.waiting.clear();
}

void DiagnosisDisplay::print(const Check& check) const {
  auto start = absl::StrFormat("  %s %-11s ", style_.mark(markOf(check.state)), check.step);
  auto text = check.failure     ? failureText(start, *check.failure, style_)
              : style_.terminal ? wrappedText(start, check.detail)
                                : absl::StrCat(start, check.detail, "\n");
  fputs(style_.plain(text).c_str(), stdout);
  fflush(stdout);
}

}  // namespace pibrain
