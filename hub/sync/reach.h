#pragma once

#include <kj/async-io.h>

#include "hub/config.h"
#include "hub/connection.h"
#include "hub/sync/spoke-session.h"

namespace pibrain {

// Starts the agent of a spoke whose method is AGENT, wherever it is, with the spoke's own settings
// in place of `options.mode` and `options.timeoutSeconds`. Throws Failure.
kj::Own<Connection> reachSpoke(const SpokeConfig& spoke, ConnectOptions options,
                               kj::AsyncIoContext& io);

// What an exception of the conversation with the agent meant, for a person.
std::string explainConversation(const SpokeConfig& spoke, const kj::Exception& e,
                                Connection& connection, const PreambleFilter& preamble,
                                kj::WaitScope& waitScope);

}  // namespace pibrain
