#pragma once

#include <kj/async-io.h>

#include <string>

#include "proto/agent.capnp.h"
#include "spoke-agent/tree/tree-source.h"

namespace pibrain {

// Returns the bootstrap capability of an agent that serves `root`. `sandbox` says what
// confines it, for people; `partlyConfined`: a part of the sandbox is missing.
proto::Spoke::Client makeSpoke(kj::Own<TreeSource> root, std::string sandbox,
                               bool partlyConfined = false);

// Writes the preamble and serves `spoke` over `stream` until the hub hangs up.
void serve(kj::AsyncIoStream& stream, proto::Spoke::Client spoke, kj::WaitScope& waitScope);

}  // namespace pibrain
