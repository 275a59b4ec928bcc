#pragma once
// What the doctor found, in the order in which it looked.

#include <functional>
#include <string>

#include "hub/config/config.h"
#include "hub/pass/diagnosis.h"

namespace pibrain {

// A diagnosis in the making. Details are escaped for the terminal here; what a Failure says is safe
// to print.
class Checklist {
 public:
  // `ended` is told of each check when it is there.
  explicit Checklist(Diagnosis& diagnosis, std::function<void(const Check&)> ended = nullptr)
      : diagnosis_(diagnosis), ended_(std::move(ended)) {}

  // What follows is about this step.
  void at(std::string step) { step_ = std::move(step); }
  const std::string& step() const { return step_; }

  void good(const std::string& detail) { addEscaped(CheckState::GOOD, detail); }
  // What it is: a failure that keeps no run from being a good one.
  void warn(Failure failure);
  void fail(Failure failure);
  void skip(const std::string& detail) { addEscaped(CheckState::SKIPPED, detail); }
  // Whether a step has failed by this already.
  bool hasFailed(FailureId id) const;

  // Does the work; if it throws Failure or a KJ exception, the step that it was at has failed.
  void attempt(const SpokeConfig& spoke, const std::function<void()>& work);

 private:
  void add(Check check);
  void addEscaped(CheckState state, const std::string& detail);

  Diagnosis& diagnosis_;
  const std::function<void(const Check&)> ended_;
  std::string step_;
};

}  // namespace pibrain
