#pragma once
// A command's connection to the daemon of its config.

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/daemon/states.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"
#include "hub/run/live-spoke.h"
#include "proto/control.capnp.h"

namespace pibrain {

// What a daemon says of itself.
struct AboutDaemon {
  std::string version;
  pid_t pid;
  std::string config;  // an absolute path
  int64_t started;     // ns since the epoch
  std::optional<Failure> configFailure;
};

// Used by the thread that made it. All functions throw Failure: DAEMON_FAILED if the daemon does
// not answer, or goes away.
class ControlClient {
 public:
  // Connects to the daemon that runs for this database directory; null: none runs.
  static std::unique_ptr<ControlClient> connect(const std::string& databaseDir);
  // The same, if the daemon has this config.
  static std::unique_ptr<ControlClient> connect(const Config& config);

  const AboutDaemon& about() const { return about_; }

  std::vector<LiveStatus> status();
  // Lets the daemon do a pass, and follows its progress. Returns its report; nullopt: the daemon is
  // not connected to the spoke.
  std::optional<SpokeReport> pass(const std::string& spoke, const RunOptions& options,
                                  Progress& progress);
  // Tells the observer what happens to these spokes (none: all). Does not return.
  [[noreturn]] void watch(const Config& config, const std::vector<std::string>& spokes,
                          const WatchObserver& observer);
  // Returns why the config cannot be used.
  std::optional<Failure> reload();
  // Says that a spoke may be reached now.
  void doubt(const std::string& spoke);
  // Ends the connection to a spoke and makes another.
  void reconnect(const std::string& spoke);
  // Asks the daemon to end. It may not have ended yet, or have failed to, when this returns.
  void stop();

 private:
  explicit ControlClient(pid_t pid) : pid_(pid) {}

  template <typename T>
  T wait(kj::Promise<T> promise);
  Failure gone(const std::string& what) const;

  const pid_t pid_;
  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  kj::Own<kj::AsyncIoStream> stream_;
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc_;
  control::Daemon::Client daemon_ = nullptr;
  AboutDaemon about_;
};

}  // namespace pibrain
