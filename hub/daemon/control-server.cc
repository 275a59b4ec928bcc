#include "hub/daemon/control-server.h"

#include <kj/debug.h>

#include "hub/daemon/wire.h"

namespace pibrain {

namespace {

class PassServer : public control::Pass::Server {
 public:
  // `ended` resolves when the request is answered.
  PassServer(std::shared_ptr<PassRequest> request, kj::Promise<void> ended, kj::Timer& timer)
      : request_(std::move(request)), ended_(ended.fork()), timer_(timer) {}

  kj::Promise<void> wait(WaitContext context) override {
    auto most = context.getParams().getMilliseconds() * kj::MILLISECONDS;
    return ended_.addBranch()
        .exclusiveJoin(timer_.afterDelay(most))
        .then([this, context]() mutable {
          auto results = context.getResults();
          encode(request_->progress, results.initProgress());
          auto report = request_->report();
          results.setEnded(report.has_value());
          if (report) encode(*report, results.initReport());
        });
  }

 private:
  const std::shared_ptr<PassRequest> request_;
  kj::ForkedPromise<void> ended_;
  kj::Timer& timer_;
};

// Returns whether a pass needs no new connection.
bool isConnected(const LiveStatus& status) { return status.state != LiveState::CONNECTING; }

class ControlServer : public control::Daemon::Server {
 public:
  explicit ControlServer(const DaemonParts& parts) : parts_(parts) {}

  kj::Promise<void> hello(HelloContext context) override {
    parts_.about(context.getResults().initAbout());
    return kj::READY_NOW;
  }

  kj::Promise<void> status(StatusContext context) override {
    auto names = parts_.names();
    auto spokes = context.getResults().initSpokes(uint32_t(names.size()));
    for (uint32_t i = 0; i < spokes.size(); ++i) fill(parts_.states.of(names[i]), spokes[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> pass(PassContext context) override {
    std::string name = context.getParams().getSpoke();
    auto* requests = parts_.spokes.requestsOf(name);
    if (requests == nullptr || !isConnected(parts_.states.of(name))) return kj::READY_NOW;
    auto paf = kj::newPromiseAndFulfiller<void>();
    auto fulfiller = std::make_shared<kj::Own<kj::PromiseFulfiller<void>>>(kj::mv(paf.fulfiller));
    // The answer comes from another thread, which must not touch this one's promises.
    auto answered = [&mailbox = parts_.mailbox, fulfiller]() {
      mailbox.post([fulfiller]() { (*fulfiller)->fulfill(); });
    };
    auto request =
        std::make_shared<PassRequest>(decode(context.getParams().getOptions()), answered);
    requests->add(request);
    context.getResults().setPass(kj::heap<PassServer>(request, kj::mv(paf.promise), parts_.timer));
    return kj::READY_NOW;
  }

  kj::Promise<void> watch(WatchContext context) override {
    std::vector<std::string> names;
    for (auto name : context.getParams().getSpokes()) names.emplace_back(name);
    // The caller hears what is so, before what happens.
    auto observer = context.getParams().getObserver();
    auto watching = parts_.watchers.add(names, observer);
    for (auto& name : names.empty() ? parts_.names() : names) {
      auto status = parts_.states.of(name);
      parts_.watchers.tell({name, [status](control::Event::Builder out) {
                              auto entered = out.initEntered();
                              entered.setState(toString(status.state));
                              entered.setWhy(status.why);
                            }});
    }
    context.allowCancellation();
    return watching;
  }

  kj::Promise<void> reload(ReloadContext context) override {
    context.getResults().setFailure(dataOf(packedOrEmpty(parts_.reload())));
    return kj::READY_NOW;
  }

  kj::Promise<void> doubt(DoubtContext context) override {
    auto* requests = parts_.spokes.requestsOf(context.getParams().getSpoke());
    if (requests != nullptr) requests->doubtConnection();
    return kj::READY_NOW;
  }

  kj::Promise<void> reconnect(ReconnectContext context) override {
    auto* requests = parts_.spokes.requestsOf(context.getParams().getSpoke());
    if (requests != nullptr) requests->reconnect();
    return kj::READY_NOW;
  }

  kj::Promise<void> stop(StopContext) override {
    parts_.stop();
    return kj::READY_NOW;
  }

 private:
  static void fill(const LiveStatus& status, control::Spoke::Builder out) {
    out.setName(status.name);
    out.setState(toString(status.state));
    out.setWhy(status.why);
    out.setSince(status.since);
    out.setLastChange(status.lastChange);
    out.setLastPass(status.lastPass);
    out.setLagP50(status.lagP50);
    out.setLagP99(status.lagP99);
    out.setUnflushed(status.unflushed);
    out.setNextAttempt(status.nextAttempt);
    out.setFailure(dataOf(packedOrEmpty(status.failure)));
  }

  const DaemonParts& parts_;
};

}  // namespace

control::Daemon::Client makeControlServer(const DaemonParts& parts) {
  return kj::heap<ControlServer>(parts);
}

}  // namespace pibrain
