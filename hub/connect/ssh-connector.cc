#include "hub/connect/ssh-connector.h"

#include <absl/strings/str_cat.h>

#include "common/fs/file-times.h"
#include "common/text/login-shell.h"
#include "common/wire/protocol.h"
#include "hub/base/failure-status.h"
#include "hub/connect/connect-ssh.h"
#include "hub/ssh/config-files.h"
#include "hub/ssh/libssh2/dial.h"

namespace pibrain {

namespace {

constexpr char SSH[] = "ssh";

}  // namespace

SshConnector::SshConnector(const SpokeConfig& spoke, Store* store, const MayDial& mayDial)
    : spoke_(spoke), store_(store) {
  if (store != nullptr) {
    if (auto known = store->programVersion(SSH)) ssh_ = SshVersion{known->state, known->version};
    if (ssh_) recallSshVersion(*ssh_);
  }
  // Read the state before ssh reads the files, so that the next run notices a change in between.
  auto request = sshRequestOf(spoke);
  configState_ = sshConfigState(request);
  resolution_.emplace(request);
  if (store != nullptr) connectSpeculatively(mayDial);
}

void SshConnector::connectSpeculatively(const MayDial& mayDial) {
  if (spoke_.ssh == SshMode::OPENSSH) return;
  last_ = store_->lastEndpoint(spoke_.name);
  // With another configuration the way may have changed: it may use a proxy now.
  bool sameWay = last_ && !configState_.empty() && last_->configState == configState_;
  if (sameWay && mayDial(*last_)) speculative_ = std::make_shared<SpeculativeConnect>(*last_);
}

void SshConnector::confirmed() {
  if (store_ == nullptr) return;
  // A failure only costs the next run a few milliseconds.
  if (reached_ != last_) (void)store_->setLastEndpoint(spoke_.name, reached_);
  if (whyNotLibssh2_) {
    (void)store_->setWhyNotLibssh2(spoke_.name, server_, *whyNotLibssh2_, wallClockNanos());
  }
  auto ssh = sshVersionToRecall();
  if (ssh && ssh != ssh_) (void)store_->setProgramVersion(SSH, {ssh->program, ssh->said});
}

kj::Own<Connection> SshConnector::connect(ConnectOptions wanted, kj::AsyncIoContext& io) {
  auto target = resolution_->get();
  if (!target.ok()) throw failureOf(target.status(), FailureId::SSH_CONFIG_INVALID);
  SshOptions options(std::move(wanted));
  options.mode = spoke_.ssh;
  options.timeoutSeconds = spoke_.timeoutSeconds;
  options.speculative = std::move(speculative_);
  options.dialed = [this](const Endpoint& endpoint) {
    reached_ = endpoint;
    reached_->configState = configState_;
  };
  // Another version of libssh2 may be able to connect.
  server_ = absl::StrCat(target->host, " port ", target->port, ", libssh2 ", libssh2Version());
  if (store_ != nullptr) {
    options.notLibssh2 = store_->whyNotLibssh2(spoke_.name, server_, wallClockNanos());
  }
  options.learned = [this](std::string why) {
    whyNotLibssh2_ = std::move(why);
    reached_.reset();  // ssh makes its own connection, to an unknown address
  };
  // An unrestricted key runs this; a forced command overrides it.
  auto command = "pi-brain-agent " + rootOption(spoke_.source.path);
  return connectSsh(*target, command, options, io);
}

}  // namespace pibrain
