#pragma once

#include <kj/exception.h>

#include <optional>
#include <string>

#include "proto/agent.capnp.h"

namespace pibrain {

// The reason to give the other side for a failed system call.
proto::Reason reasonOf(int error);

// A system call failed: throws a KJ exception that says `what` and the error's text. Out of
// memory, descriptors or space is OVERLOADED, everything else FAILED.
[[noreturn]] void throwErrno(int error, const std::string& what);

// The same where the text says it all and the number is not known: FAILED, and errnoOf() is 0.
[[noreturn]] void throwFileError(const std::string& text);

// The error that throwErrno() was given; none: it is another exception, or the peer's.
std::optional<int> errnoOf(const kj::Exception& exception);

// Whether it is one for which a disk has no room.
bool isDiskFull(const kj::Exception& exception);

}  // namespace pibrain
