#include "hub/daemon/daemon.h"

#include <absl/strings/str_cat.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/signals.h"
#include "hub/config/config.h"
#include "hub/daemon/control-server.h"
#include "hub/daemon/file-watch.h"
#include "hub/daemon/kept-spokes.h"
#include "hub/daemon/mailbox.h"
#include "hub/daemon/outside-events.h"
#include "hub/daemon/place.h"
#include "hub/daemon/states.h"
#include "hub/daemon/watchers.h"
#include "hub/daemon/wire.h"
#include "hub/run/libraries.h"

namespace pibrain {

namespace {

constexpr std::chrono::seconds STOP_PATIENCE(3);
constexpr int STOP_SIGNALS[] = {SIGINT, SIGTERM};

std::shared_ptr<const Config> load(const std::string& file) {
  auto config = loadConfig(file);
  if (!config.ok()) throw failureOf(config.status(), FailureId::CONFIG_INVALID);
  return std::make_shared<Config>(*std::move(config));
}

class Daemon : private kj::TaskSet::ErrorHandler {
 public:
  explicit Daemon(const DaemonOptions& options)
      : options_(options),
        config_(load(options.config)),
        place_(config_->hub.databaseDir),
        store_(openStore()),
        mailbox_(io_.unixEventPort),
        outside_(io_),
        file_(io_, options.config),
        spokes_(store_.get(), observer_) {}

  void run() {
    auto stop = kj::newPromiseAndFulfiller<void>();
    stop_ = kj::mv(stop.fulfiller);
    tasks_.add(mailbox_.deliver());
    tasks_.add(acceptAll());
    tasks_.add(reloadOnSignal());
    tasks_.add(reloadOnChange());
    tasks_.add(doubtAfterOutsideEvents());
    tasks_.add(petWatchdog());
    for (int signal : STOP_SIGNALS) {
      tasks_.add(io_.unixEventPort.onSignal(signal).then([this](auto&&) { stop_->fulfill(); }));
    }
    spokes_.use(config_);
    log(absl::StrCat("pi-brain ", PIBRAIN_VERSION, " keeps ", config_->spokes.size(), " spokes of ",
                     escapeForTerminal(options_.config), " up to date, as process ", getpid()));
    sd_notify(0, "READY=1");
    stop.promise.wait(io_.waitScope);
    sd_notify(0, "STOPPING=1");
    log("stopping");
    // What is killed while it connects, or syncs, loses nothing (P3).
    if (spokes_.stopAll(STOP_PATIENCE)) return;
    killRememberedChildren();
    unlink(place_.socketPath().c_str());
    // Threads that go on must not see what a return would destroy.
    _exit(0);
  }

 private:
  std::unique_ptr<Store> openStore() {
    auto store = Store::open(config_->hub.databaseDir, [this](auto& text) { log(text); });
    if (store.ok()) return std::move(*store);
    log(absl::StrCat("runs will not be recorded: ", store.status().message()));
    return nullptr;
  }

  void log(const std::string& text) { options_.log(text); }

  // Tells who watches. Called by the threads of the spokes.
  void tell(const std::string& spoke, std::function<void(control::Event::Builder)> fill) {
    if (!watchers_.any()) return;
    mailbox_.post([this, event = LiveEvent{spoke, std::move(fill)}]() { watchers_.tell(event); });
  }

  WatchObserver observe() {
    return {
        [this](auto& spoke, LiveState state, const std::string& why) {
          entered(spoke, state, why);
        },
        [this](auto& spoke, const LiveChange& change) {
          states_.changed(spoke.name, change);
          tell(spoke.name, [change](auto out) { encode(change, out.initChanged()); });
        },
        [this](auto& spoke, const SpokeReport& report) { passed(spoke, report); },
        [this](auto& spoke, const Failure& failure, std::chrono::milliseconds pause) {
          lost(spoke, failure, pause);
        },
        [this](auto& spoke) { states_.flushed(spoke.name); },
    };
  }

  void entered(const SpokeConfig& spoke, LiveState state, const std::string& why) {
    auto before = states_.of(spoke.name);
    states_.entered(spoke.name, state, why);
    auto after = states_.of(spoke.name);
    bool news = before.since == 0 || before.state != after.state || before.why != after.why;
    if (news && state != LiveState::CONNECTING) {
      log(absl::StrCat(spoke.name, ": ", toString(after.state), why.empty() ? "" : ": ",
                       escapeForTerminal(why)));
    }
    tell(spoke.name, [state, why](auto out) {
      auto event = out.initEntered();
      event.setState(toString(state));
      event.setWhy(why);
    });
  }

  void passed(const SpokeConfig& spoke, const SpokeReport& report) {
    states_.passed(spoke.name, report);
    if (report.failure) log(absl::StrCat(spoke.name, ": ", report.failure->what()));
    tell(spoke.name, [report](auto out) { encode(report, out.initPassed()); });
  }

  void lost(const SpokeConfig& spoke, const Failure& failure, std::chrono::milliseconds pause) {
    auto before = states_.of(spoke.name);
    states_.lost(spoke.name, failure, pause);
    // A machine that is away would otherwise fill the log.
    bool news = !before.failure || before.failure->id() != failure.id();
    if (news) log(absl::StrCat(spoke.name, ": ", failure.what()));
    tell(spoke.name, [failure, pause](auto out) {
      auto event = out.initLost();
      event.setFailure(dataOf(packed(failure)));
      event.setPauseMs(pause.count());
    });
  }

  // Takes up the config as it is now. If it cannot be used, the old one stays in use.
  std::optional<Failure> reload() {
    auto before = std::exchange(configFailure_, std::nullopt);
    try {
      auto next = load(options_.config);
      if (next->hub.databaseDir != config_->hub.databaseDir) {
        throw Failure(FailureId::DAEMON_FAILED,
                      "the daemon does not move to another 'database_dir' while it runs", "",
                      {{"Restart it", ownCommand("daemon restart")}});
      }
      bool same = next->hub == config_->hub && next->spokes == config_->spokes;
      if (same && !before) return std::nullopt;
      log("the config has changed");
      for (auto& spoke : config_->spokes) {
        if (findSpoke(*next, spoke.name) == nullptr) states_.forget(spoke.name);
      }
      config_ = next;
      spokes_.use(config_);
    } catch (const Failure& e) {
      configFailure_ = e;
      log(absl::StrCat("the config stays in use as it was: ", e.what()));
    }
    return configFailure_;
  }

  kj::Promise<void> acceptAll() {
    auto listener = io_.lowLevelProvider->wrapListenSocketFd(place_.listener());
    auto& ref = *listener;
    return acceptNext(ref).attach(kj::mv(listener));
  }
  kj::Promise<void> acceptNext(kj::ConnectionReceiver& listener) {
    return listener.accept().then([this, &listener](auto&& stream) {
      serve(kj::mv(stream));
      return acceptNext(listener);
    });
  }
  void serve(kj::Own<kj::AsyncIoStream> stream) {
    KJ_IF_MAYBE(fd, stream->getFd()) {
      if (isOurs(*fd)) server_.accept(kj::mv(stream));
    }
  }

  kj::Promise<void> reloadOnSignal() {
    return io_.unixEventPort.onSignal(SIGHUP).then([this](auto&&) {
      reload();
      return reloadOnSignal();
    });
  }
  kj::Promise<void> reloadOnChange() {
    return file_.next().then([this]() {
      reload();
      return reloadOnChange();
    });
  }
  kj::Promise<void> doubtAfterOutsideEvents() {
    return outside_.next().then([this]() {
      spokes_.doubtAll();
      return doubtAfterOutsideEvents();
    });
  }
  // Tells systemd that this loop goes round (systemd.service(5), WatchdogSec=).
  kj::Promise<void> petWatchdog() {
    uint64_t interval = 0;
    if (sd_watchdog_enabled(0, &interval) <= 0) return kj::READY_NOW;
    sd_notify(0, "WATCHDOG=1");
    return timer_.afterDelay(interval / 2 * kj::MICROSECONDS).then([this]() {
      return petWatchdog();
    });
  }

  void taskFailed(kj::Exception&& error) override {
    log(absl::StrCat("a task of the daemon failed: ", error.getDescription().cStr()));
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (auto& spoke : config_->spokes) {
      if (!reasonToSkip(spoke)) names.push_back(spoke.name);
    }
    return names;
  }

  void describe(control::About::Builder out) const {
    out.setVersion(PIBRAIN_VERSION);
    out.setPid(uint32_t(getpid()));
    out.setConfig(dataOf(options_.config));
    out.setStarted(started_);
    out.setConfigFailure(dataOf(packedOrEmpty(configFailure_)));
  }

  const DaemonOptions& options_;
  const int64_t started_ = wallClockNanos();
  std::shared_ptr<const Config> config_;
  std::optional<Failure> configFailure_;  // the file cannot be used as it is now
  DaemonPlace place_;
  const std::unique_ptr<Store> store_;
  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  kj::Timer& timer_ = io_.provider->getTimer();
  Mailbox mailbox_;
  OutsideEvents outside_;
  FileWatch file_;
  LiveStates states_;
  Watchers watchers_;
  const WatchObserver observer_ = observe();
  KeptSpokes spokes_;
  kj::Own<kj::PromiseFulfiller<void>> stop_;
  const DaemonParts parts_{spokes_,
                           states_,
                           watchers_,
                           mailbox_,
                           timer_,
                           [this](auto out) { describe(out); },
                           [this]() { return names(); },
                           [this]() { return reload(); },
                           [this]() { stop_->fulfill(); }};
  capnp::TwoPartyServer server_{makeControlServer(parts_)};
  kj::TaskSet tasks_{*this};  // last, so that it is destroyed first
};

}  // namespace

void runDaemon(const DaemonOptions& options) {
  // Before there are threads, which inherit that these signals are blocked.
  kj::UnixEventPort::captureSignal(SIGHUP);
  for (int signal : STOP_SIGNALS) kj::UnixEventPort::captureSignal(signal);
  initLibraries();
  Daemon daemon(options);
  daemon.run();
}

}  // namespace pibrain
