#include "hub/run/checklist.h"

#include <kj/exception.h>

#include "common/text/escape.h"
#include "hub/agent/explain.h"
#include "hub/base/failure.h"

namespace pibrain {

void Checklist::addParagraph(CheckState state, std::string text) {
  diagnosis_.checks.push_back({step_, state, std::move(text)});
}

void Checklist::addEscaped(CheckState state, const std::string& detail) {
  addParagraph(state, escapeForTerminal(detail));
}

void Checklist::fail(Failure failure) {
  diagnosis_.checks.push_back({step_, CheckState::FAILED, failure.what(), failure});
}

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
