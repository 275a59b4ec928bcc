#pragma once
// Every failure that a person can see, and every warning of the doctor, has an id, which stays the
// same from version to version: scripts rely on it, and docs/errors.md lists them all.

#include <span>
#include <string_view>

namespace pibrain {

enum class FailureId {
#define PIBRAIN_FAILURE(name, id, meaning, fix) name,
#define PIBRAIN_WARNING(name, id, meaning, fix) name,
#include "hub/base/failure-kinds.inc"
#undef PIBRAIN_FAILURE
#undef PIBRAIN_WARNING
};

struct FailureKind {
  FailureId id;
  std::string_view name;     // "host-key-changed"
  std::string_view meaning;  // a sentence
  std::string_view fix;      // what a person usually does about it, a sentence
  bool warning;              // of the doctor; a command never fails with it
};

const FailureKind& kindOf(FailureId id);
std::span<const FailureKind> allFailureKinds();

// Returns whether a person must do something before the spoke can be reached, so that trying again
// soon is of no use.
bool needsAPerson(FailureId id);

}  // namespace pibrain
