#pragma once
// KJ's exceptions, as far as they become text.

#include <kj/exception.h>

#include <string>

namespace pibrain {

// The description of an exception, without the condition that KJ_REQUIRE puts in front.
std::string messageOf(const kj::Exception& e);

// Whether it is what the peer threw: type and text are the peer's choice. (rpc.c++, toException().)
bool isRemoteException(const kj::Exception& e);

}  // namespace pibrain
