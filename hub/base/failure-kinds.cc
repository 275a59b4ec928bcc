#include "hub/base/failure-kinds.h"

namespace pibrain {

namespace {

constexpr FailureKind KINDS[] = {
#define PIBRAIN_FAILURE(name, id, meaning, fix) {FailureId::name, id, meaning, fix, false},
#define PIBRAIN_WARNING(name, id, meaning, fix) {FailureId::name, id, meaning, fix, true},
#include "hub/base/failure-kinds.inc"
#undef PIBRAIN_FAILURE
#undef PIBRAIN_WARNING
};

}  // namespace

const FailureKind& kindOf(FailureId id) { return KINDS[size_t(id)]; }
std::span<const FailureKind> allFailureKinds() { return KINDS; }

bool needsAPerson(FailureId id) {
  switch (id) {
    case FailureId::HOST_KEY_CHANGED:
    case FailureId::HOST_KEY_UNKNOWN:
    case FailureId::HOST_KEY_REVOKED:
    case FailureId::PERMISSION_DENIED:
    case FailureId::KEY_MISSING:
    case FailureId::KEY_UNUSABLE:
    case FailureId::AGENT_MISSING:
    case FailureId::AGENT_TOO_OLD:
    case FailureId::SSH_CONFIG_INVALID:
    case FailureId::SSH_CONFIG_UNSUPPORTED:
      return true;
    default:
      return false;
  }
}

}  // namespace pibrain
