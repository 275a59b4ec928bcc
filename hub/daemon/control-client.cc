#include "hub/daemon/control-client.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>

#include "common/text/escape.h"
#include "hub/base/own-command.h"
#include "hub/daemon/place.h"
#include "hub/daemon/wire.h"

namespace pibrain {

namespace {

// A daemon that works answers at once.
constexpr kj::Duration PATIENCE = 10 * kj::SECONDS;
// How often to ask for the progress of a pass.
constexpr uint32_t PROGRESS_MILLISECONDS = 100;
// A report may list a change of each file of a spoke.
constexpr uint64_t MAX_MESSAGE_WORDS = uint64_t(1) << 27;

kj::AutoCloseFd connectTo(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return kj::AutoCloseFd();
  memcpy(address.sun_path, path.data(), path.size());
  kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return kj::AutoCloseFd();
  }
  return fd;
}

std::string realPath(const std::string& path) {
  std::error_code error;
  auto real = std::filesystem::weakly_canonical(path, error);
  return error ? path : real.string();
}

class ObserverServer : public control::Observer::Server {
 public:
  ObserverServer(const Config& config, const WatchObserver& observer)
      : config_(config), observer_(observer) {}

  kj::Promise<void> tell(TellContext context) override {
    auto event = context.getParams().getEvent();
    auto* spoke = findSpoke(config_, event.getSpoke());
    if (spoke == nullptr) return kj::READY_NOW;  // added since this command read the config
    switch (event.which()) {
      case control::Event::ENTERED:
        observer_.entered(*spoke, liveStateFrom(event.getEntered().getState()),
                          event.getEntered().getWhy());
        break;
      case control::Event::CHANGED:
        observer_.changed(*spoke, decode(event.getChanged()));
        break;
      case control::Event::PASSED:
        observer_.passed(*spoke, decode(event.getPassed()));
        break;
      case control::Event::LOST: {
        auto failure = failureFrom(event.getLost().getFailure());
        KJ_REQUIRE(failure.has_value(), "a loss without a reason");
        observer_.lost(*spoke, *failure, std::chrono::milliseconds(event.getLost().getPauseMs()));
        break;
      }
    }
    return kj::READY_NOW;
  }

 private:
  const Config& config_;
  const WatchObserver& observer_;
};

}  // namespace

std::unique_ptr<ControlClient> ControlClient::connect(const std::string& databaseDir) {
  auto running = findDaemon(databaseDir);
  if (!running) return nullptr;
  std::unique_ptr<ControlClient> client(new ControlClient(running->pid));
  auto fd = connectTo(running->socket);
  if (fd.get() < 0 || !isOurs(fd)) throw client->gone("cannot be reached");
  client->stream_ = client->io_.lowLevelProvider->wrapSocketFd(kj::mv(fd));
  capnp::ReaderOptions options;
  options.traversalLimitInWords = MAX_MESSAGE_WORDS;
  client->network_ = kj::heap<capnp::TwoPartyVatNetwork>(
      *client->stream_, capnp::rpc::twoparty::Side::CLIENT, options);
  client->rpc_ = kj::heap(capnp::makeRpcClient(*client->network_));
  capnp::MallocMessageBuilder message;
  auto id = message.initRoot<capnp::rpc::twoparty::VatId>();
  id.setSide(capnp::rpc::twoparty::Side::SERVER);
  client->daemon_ = client->rpc_->bootstrap(id).castAs<control::Daemon>();
  auto answer = client->wait<capnp::Response<control::Daemon::HelloResults>>(
      client->daemon_.helloRequest().send());
  auto about = answer.getAbout();
  client->about_ = {about.getVersion(), pid_t(about.getPid()), bytesOf(about.getConfig()),
                    about.getStarted(), failureFrom(about.getConfigFailure())};
  if (client->about_.version != PIBRAIN_VERSION) {
    throw Failure(FailureId::DAEMON_FAILED,
                  absl::StrCat("the daemon is version ", escapeForTerminal(client->about_.version),
                               ", and this command is version ", PIBRAIN_VERSION),
                  "", {{"Restart the daemon", ownCommand("daemon restart")}});
  }
  return client;
}

std::unique_ptr<ControlClient> ControlClient::connect(const Config& config) {
  auto client = connect(config.hub.databaseDir);
  bool same = client != nullptr && realPath(client->about().config) == realPath(config.file);
  return same ? std::move(client) : nullptr;
}

Failure ControlClient::gone(const std::string& what) const {
  return Failure(FailureId::DAEMON_FAILED, absl::StrCat("the daemon, process ", pid_, ", ", what),
                 "It may be suspended, or shutting down.",
                 {{"See whether it runs", absl::StrCat("ps -fp ", pid_)},
                  {"Kill it (nothing is lost) and start a new one",
                   absl::StrCat("kill -KILL ", pid_, "; ", ownCommand("daemon start"))}});
}

template <typename T>
T ControlClient::wait(kj::Promise<T> promise) {
  kj::Maybe<kj::Exception> broke;
  bool late = false;
  auto timeout = io_.provider->getTimer().afterDelay(PATIENCE).then([&late]() -> kj::Promise<T> {
    late = true;
    return KJ_EXCEPTION(OVERLOADED, "no answer");
  });
  try {
    return promise.exclusiveJoin(kj::mv(timeout)).wait(io_.waitScope);
  } catch (kj::Exception& e) {
    broke = kj::mv(e);
  }
  throw gone(late ? "does not answer" : "ended the conversation");
}

std::vector<LiveStatus> ControlClient::status() {
  auto answer =
      wait<capnp::Response<control::Daemon::StatusResults>>(daemon_.statusRequest().send());
  std::vector<LiveStatus> all;
  for (auto spoke : answer.getSpokes()) {
    all.push_back({spoke.getName(), liveStateFrom(spoke.getState()), spoke.getWhy(),
                   spoke.getSince(), spoke.getLastChange(), spoke.getUnflushed(),
                   spoke.getLastPass(), spoke.getLagP50(), spoke.getLagP99(),
                   spoke.getNextAttempt(), failureFrom(spoke.getFailure())});
  }
  return all;
}

std::optional<SpokeReport> ControlClient::pass(const std::string& spoke, const RunOptions& options,
                                               Progress& progress) {
  auto request = daemon_.passRequest();
  request.setSpoke(spoke);
  encode(options, request.initOptions());
  auto begun = wait<capnp::Response<control::Daemon::PassResults>>(request.send());
  if (!begun.hasPass()) return std::nullopt;
  auto pass = begun.getPass();
  for (;;) {
    auto ask = pass.waitRequest();
    ask.setMilliseconds(PROGRESS_MILLISECONDS);
    auto answer = wait<capnp::Response<control::Pass::WaitResults>>(ask.send());
    decodeInto(answer.getProgress(), progress);
    if (answer.getEnded()) return decode(answer.getReport());
  }
}

void ControlClient::watch(const Config& config, const std::vector<std::string>& spokes,
                          const WatchObserver& observer) {
  auto request = daemon_.watchRequest();
  auto names = request.initSpokes(uint32_t(spokes.size()));
  for (uint32_t i = 0; i < names.size(); ++i) names.set(i, spokes[i]);
  request.setObserver(kj::heap<ObserverServer>(config, observer));
  kj::Maybe<kj::Exception> broke;
  try {
    request.send().ignoreResult().wait(io_.waitScope);
  } catch (kj::Exception& e) {
    broke = kj::mv(e);
  }
  throw gone("ended the watch");
}

std::optional<Failure> ControlClient::reload() {
  auto answer =
      wait<capnp::Response<control::Daemon::ReloadResults>>(daemon_.reloadRequest().send());
  return failureFrom(answer.getFailure());
}

void ControlClient::doubt(const std::string& spoke) {
  auto request = daemon_.doubtRequest();
  request.setSpoke(spoke);
  (void)wait<capnp::Response<control::Daemon::DoubtResults>>(request.send());
}

void ControlClient::reconnect(const std::string& spoke) {
  auto request = daemon_.reconnectRequest();
  request.setSpoke(spoke);
  (void)wait<capnp::Response<control::Daemon::ReconnectResults>>(request.send());
}

void ControlClient::stop() {
  try {
    (void)wait<capnp::Response<control::Daemon::StopResults>>(daemon_.stopRequest().send());
  } catch (const Failure&) {
    // It may end before its answer is sent.
  }
}

}  // namespace pibrain
