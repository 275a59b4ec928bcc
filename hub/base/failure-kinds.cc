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

}  // namespace pibrain
