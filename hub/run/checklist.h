#pragma once
// Collects what the doctor finds, in order.

#include <functional>
#include <string>

#include "hub/config/config.h"
#include "hub/pass/diagnosis.h"

namespace pibrain {

// Builds a diagnosis. Escapes details for the terminal, except paragraphs that are safe already.
class Checklist {
 public:
  explicit Checklist(Diagnosis& diagnosis) : diagnosis_(diagnosis) {}

  // Sets the step that the following results are about.
  void at(std::string step) { step_ = std::move(step); }
  const std::string& step() const { return step_; }

  void good(const std::string& detail) { addEscaped(CheckState::GOOD, detail); }
  void warn(const std::string& detail) { addEscaped(CheckState::WARNING, detail); }
  void fail(Failure failure);
  void skip(const std::string& detail) { addEscaped(CheckState::SKIPPED, detail); }
  // Adds a paragraph that is safe to print.
  void addParagraph(CheckState state, std::string text);

  // Does the work; if it throws Failure or a KJ exception, marks the current step as failed.
  void attempt(const SpokeConfig& spoke, const std::function<void()>& work);

 private:
  void addEscaped(CheckState state, const std::string& detail);

  Diagnosis& diagnosis_;
  std::string step_;
};

}  // namespace pibrain
