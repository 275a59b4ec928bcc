#pragma once

#include "proto/agent.capnp.h"

namespace pibrain {

// "permission denied", …: the reason in words.
const char* describe(proto::Reason reason);

}  // namespace pibrain
