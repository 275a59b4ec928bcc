#include "hub/run/checklist.h"

#include <kj/exception.h>

#include <algorithm>

#include "common/text/escape.h"
#include "hub/agent/explain.h"
#include "hub/base/failure.h"

namespace pibrain {

void Checklist::add(Check check) {
  diagnosis_.checks.push_back(std::move(check));
  if (ended_) ended_(diagnosis_.checks.back());
}

void Checklist::addEscaped(CheckState state, const std::string& detail) {
  add({step_, state, escapeForTerminal(detail), std::nullopt});
}

bool Checklist::hasFailed() const {
  return std::any_of(diagnosis_.checks.begin(), diagnosis_.checks.end(),
                     [](auto& check) { return check.state == CheckState::FAILED; });
}

bool Checklist::hasFailed(FailureId id) const {
  return std::any_of(diagnosis_.checks.begin(), diagnosis_.checks.end(), [&](auto& check) {
    return check.state == CheckState::FAILED && check.failure->id() == id;
  });
}

void Checklist::warn(Failure failure) {
  add({step_, CheckState::WARNING, failure.what(), failure});
}

void Checklist::fail(Failure failure) { add({step_, CheckState::FAILED, failure.what(), failure}); }

void Checklist::attempt(const SpokeConfig& spoke, const std::function<void()>& work) {
  try {
    work();
  } catch (const Failure& e) {
    fail(e);
  } catch (const kj::Exception& e) {
    fail(explainOutside(spoke, e));
  }
}

}  // namespace pibrain
