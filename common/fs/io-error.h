#pragma once

#include <kj/exception.h>

#include <optional>
#include <string>

#include "proto/agent.capnp.h"

namespace pibrain {

// Returns the reason to report to the other side for a failed system call.
proto::Reason reasonOf(int error);

// Throws a KJ exception for a failed system call: `what`, and the error's text. Out of memory,
// descriptors or space is OVERLOADED, everything else FAILED.
[[noreturn]] void throwErrno(int error, const std::string& what);

// Throws `text` as FAILED, where no error number is known: errnoOf() returns 0.
[[noreturn]] void throwFileError(const std::string& text);

// Returns the error that throwErrno() was given; nullopt for every other exception, or a peer's.
std::optional<int> errnoOf(const kj::Exception& exception);

// Returns whether it means that the disk is full.
bool isDiskFull(const kj::Exception& exception);

}  // namespace pibrain
