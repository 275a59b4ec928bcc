#pragma once
// Collects what the doctor finds, in order.

#include <functional>
#include <string>

#include "hub/config/config.h"
#include "hub/pass/diagnosis.h"

namespace pibrain {

// Builds a diagnosis. Escapes details for the terminal; what a Failure says is safe to print.
class Checklist {
 public:
  // `ended` is called with each check when it ends.
  explicit Checklist(Diagnosis& diagnosis, std::function<void(const Check&)> ended = nullptr)
      : diagnosis_(diagnosis), ended_(std::move(ended)) {}

  // Sets the step that the following results are about.
  void at(std::string step) { step_ = std::move(step); }
  const std::string& step() const { return step_; }

  void good(const std::string& detail) { addEscaped(CheckState::GOOD, detail); }
  // Adds a warning: a failure that does not make a run fail.
  void warn(Failure failure);
  void fail(Failure failure);
  void skip(const std::string& detail) { addEscaped(CheckState::SKIPPED, detail); }
  // Returns whether a step has already failed, with any id or with this one.
  bool hasFailed() const;
  bool hasFailed(FailureId id) const;

  // Does the work; if it throws Failure or a KJ exception, marks the current step as failed.
  void attempt(const SpokeConfig& spoke, const std::function<void()>& work);

 private:
  void add(Check check);
  void addEscaped(CheckState state, const std::string& detail);

  Diagnosis& diagnosis_;
  const std::function<void(const Check&)> ended_;
  std::string step_;
};

}  // namespace pibrain
