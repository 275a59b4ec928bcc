#pragma once
// Turns KJ's exceptions into text.

#include <kj/exception.h>

#include <string>

namespace pibrain {

// Returns whether a KJ_REQUIRE failed: its description begins with the condition (kj/debug.h).
bool isFailedRequirement(const kj::Exception& e);

// Returns the description of an exception, without the condition that KJ_REQUIRE puts in front.
std::string messageOf(const kj::Exception& e);

// Returns whether the peer threw it: then the peer chose its type and text (rpc.c++,
// toException()).
bool isRemoteException(const kj::Exception& e);

}  // namespace pibrain
