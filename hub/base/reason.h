#pragma once

#include "proto/agent.capnp.h"

namespace pibrain {

// Returns the reason in words, for example "permission denied on the spoke".
const char* describe(proto::Reason reason);

}  // namespace pibrain
