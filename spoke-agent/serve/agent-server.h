#pragma once

#include <kj/async-io.h>

#include <string>

#include "proto/agent.capnp.h"
#include "spoke-agent/serve/watch-stream.h"
#include "spoke-agent/tree/tree-source.h"

namespace pibrain {

// Returns the bootstrap capability of an agent that serves `root`. `sandbox` says what
// confines it, for people; `partlyConfined`: a part of the sandbox is missing. `watching`: null if
// the agent cannot watch.
proto::Spoke::Client makeSpoke(kj::Own<TreeSource> root, std::string sandbox,
                               bool partlyConfined = false,
                               kj::Maybe<kj::Own<Watching>> watching = nullptr);

// Writes the preamble and serves `spoke` over `stream` until the hub hangs up.
void serve(kj::AsyncIoStream& stream, proto::Spoke::Client spoke, kj::WaitScope& waitScope);

}  // namespace pibrain
