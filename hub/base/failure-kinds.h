#pragma once
// Every failure that a person can see has an id, which stays the same from version to version:
// scripts rely on it, and docs/errors.md lists them all.

#include <span>
#include <string_view>

namespace pibrain {

enum class FailureId {
#define PIBRAIN_FAILURE(name, id, meaning, fix) name,
#include "hub/base/failure-kinds.inc"
#undef PIBRAIN_FAILURE
};

struct FailureKind {
  FailureId id;
  std::string_view name;     // "host-key-changed"
  std::string_view meaning;  // a sentence
  std::string_view fix;      // what a person usually does about it, a sentence
};

const FailureKind& kindOf(FailureId id);
std::span<const FailureKind> allFailureKinds();

}  // namespace pibrain
