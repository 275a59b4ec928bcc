#pragma once

#include <string>

#include "proto/agent.capnp.h"

namespace pibrain {

// The reason to give the other side for a failed system call.
proto::Reason reasonOf(int error);

// A system call failed: throws a KJ exception that says `what` and the error's text. Out of
// memory, descriptors or space is OVERLOADED, everything else FAILED.
[[noreturn]] void throwErrno(int error, const std::string& what);

}  // namespace pibrain
