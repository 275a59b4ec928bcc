#include "hub/sync/reach.h"

#include "common/text.h"
#include "hub/failure.h"
#include "hub/ssh/connect.h"
#include "hub/ssh/resolve.h"
#include "hub/sync/explain.h"

namespace pibrain {

kj::Own<Connection> reachSpoke(const SpokeConfig& spoke, ConnectOptions options,
                               kj::AsyncIoContext& io) {
  auto& source = spoke.source;
  if (source.host.empty()) return startLocalAgent(source.path, io);
  auto target = resolveSsh(source.user, source.host, spoke.sshConfig);
  if (!target.ok()) throw Failure(std::string(target.status().message()));
  options.mode = spoke.ssh;
  options.timeoutSeconds = spoke.timeoutSeconds;
  // What an unrestricted key runs; a forced command takes its place.
  auto command = "pi-brain-agent " + shellQuote("--root=" + source.path);
  return connectSsh(*target, command, options, io);
}

std::string explainConversation(const SpokeConfig& spoke, const kj::Exception& e,
                                Connection& connection, const PreambleFilter& preamble,
                                kj::WaitScope& waitScope) {
  // A full disk here is no news of the spoke.
  bool ours = e.getType() == kj::Exception::Type::OVERLOADED;
  auto farewell = ours ? Farewell() : connection.farewell(waitScope);
  if (!farewell.transportFailure.empty() && !preamble.found()) return farewell.transportFailure;
  return preamble.found() || fellSilent(e) ? explainBroken(spoke, e, farewell)
                                           : explainNoAgent(spoke, preamble.noise(), farewell);
}

}  // namespace pibrain
