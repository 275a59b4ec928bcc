#include "hub/sync/reach.h"

#include "common/login-shell.h"
#include "common/protocol.h"
#include "hub/failure.h"
#include "hub/ssh/connect.h"
#include "hub/ssh/dial.h"
#include "hub/sync/explain.h"

namespace pibrain {

SpokeReach::SpokeReach(const SpokeConfig& spoke) : spoke_(spoke) {
  if (!spoke.source.host.empty()) resolution_.emplace(sshRequestOf(spoke));
}

void SpokeReach::dialEarly(Store& store) {
  if (!resolution_ || spoke_.ssh == SshMode::OPENSSH) return;
  last_ = store.lastEndpoint(spoke_.name);
  if (last_) early_ = std::make_shared<EarlyDial>(*last_);
}

void SpokeReach::remember(Store& store) const {
  // A lost one costs a few milliseconds.
  if (reached_ != last_) (void)store.setLastEndpoint(spoke_.name, reached_);
}

kj::Own<Connection> SpokeReach::connect(ConnectOptions options, kj::AsyncIoContext& io) {
  if (!resolution_) return startLocalAgent(spoke_.source.path, io);
  auto target = resolution_->get();
  if (!target.ok()) throw Failure(std::string(target.status().message()));
  options.mode = spoke_.ssh;
  options.timeoutSeconds = spoke_.timeoutSeconds;
  options.early = std::move(early_);
  options.dialed = [this](const Endpoint& endpoint) { reached_ = endpoint; };
  // What an unrestricted key runs; a forced command takes its place.
  auto command = "pi-brain-agent " + rootOption(spoke_.source.path);
  return connectSsh(*target, command, options, io);
}

std::string explainConversation(const SpokeConfig& spoke, const kj::Exception& e,
                                Connection& connection, const PreambleFilter& preamble,
                                kj::WaitScope& waitScope) {
  auto farewell = lacksMeans(e) ? Farewell() : connection.farewell(waitScope);
  bool noisy = preamble.noise().size() > MAX_SHELL_NOISE;
  return preamble.found() || fellSilent(e) || trickled(e) || (!farewell.cutOff.empty() && !noisy)
             ? explainBroken(spoke, e, farewell)
             : explainNoAgent(spoke, preamble.noise(), farewell);
}

}  // namespace pibrain
