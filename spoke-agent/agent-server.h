#pragma once

#include <kj/async-io.h>

#include "proto/agent.capnp.h"
#include "spoke-agent/root.h"

namespace pibrain {

// The bootstrap capability of an agent that serves `root`.
proto::Spoke::Client makeSpoke(kj::Own<Root> root);

// Writes the preamble and serves `spoke` over `stream` until the hub hangs up.
void serve(kj::AsyncIoStream& stream, proto::Spoke::Client spoke, kj::WaitScope& waitScope);

}  // namespace pibrain
