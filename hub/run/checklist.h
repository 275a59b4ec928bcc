#pragma once
// What the doctor found, in the order in which it looked.

#include <functional>
#include <string>

#include "hub/config/config.h"
#include "hub/pass/diagnosis.h"

namespace pibrain {

// A diagnosis in the making. Details are escaped for the terminal here, but for those that are
// paragraphs of ours.
class Checklist {
 public:
  explicit Checklist(Diagnosis& diagnosis) : diagnosis_(diagnosis) {}

  // What follows is about this step.
  void at(std::string step) { step_ = std::move(step); }
  const std::string& step() const { return step_; }

  void good(const std::string& detail) { addEscaped(CheckState::GOOD, detail); }
  void warn(const std::string& detail) { addEscaped(CheckState::WARNING, detail); }
  void fail(Failure failure);
  void skip(const std::string& detail) { addEscaped(CheckState::SKIPPED, detail); }
  // A paragraph that is safe to print.
  void addParagraph(CheckState state, std::string text);

  // Does the work; if it throws Failure or a KJ exception, the step that it was at has failed.
  void attempt(const SpokeConfig& spoke, const std::function<void()>& work);

 private:
  void addEscaped(CheckState state, const std::string& detail);

  Diagnosis& diagnosis_;
  std::string step_;
};

}  // namespace pibrain
