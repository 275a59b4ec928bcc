#include "hub/daemon/kept-spokes.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "hub/base/failure.h"

namespace pibrain {

namespace {

bool isKept(const SpokeConfig& spoke) { return !reasonToSkip(spoke); }

}  // namespace

void KeptSpokes::use(const std::shared_ptr<const Config>& config) {
  std::erase_if(ending_, [](auto& one) {
    bool ended = one.ended->load();
    if (ended) one.thread->join();
    return ended;
  });
  std::erase_if(kept_, [&](auto& one) {
    auto& [name, kept] = one;
    auto* now = findSpoke(*config, name);
    bool same = now != nullptr && *now == kept.spoke->spoke() && config->hub == kept.hub;
    if (same) return false;
    kept.spoke->requests().stop();
    ending_.push_back(kept);
    return true;
  });
  for (auto& spoke : config->spokes) {
    if (!isKept(spoke) || kept_.contains(spoke.name)) continue;
    try {
      start(config, spoke);
    } catch (const std::system_error& e) {
      throw Failure(FailureId::DAEMON_FAILED,
                    absl::StrCat("the daemon cannot keep ", spoke.name, ": ", e.code().message()),
                    "It may have reached its limit of processes or of open files.",
                    {{"Raise the limits, which this shows, and restart the daemon", "ulimit -a"}});
    }
  }
}

void KeptSpokes::start(const std::shared_ptr<const Config>& config, const SpokeConfig& spoke) {
  Kept kept{std::make_shared<LiveSpoke>(config, spoke, store_, observer_),
            std::make_shared<std::atomic<bool>>(false), nullptr, config->hub};
  kept.thread = std::make_shared<std::thread>([live = kept.spoke, ended = kept.ended]() {
    live->run();
    *ended = true;
  });
  kept_.emplace(spoke.name, kept);
}

void KeptSpokes::askAllToEnd() {
  for (auto& [name, kept] : kept_) {
    kept.spoke->requests().stop();
    ending_.push_back(kept);
  }
  kept_.clear();
}

KeptSpokes::~KeptSpokes() {
  askAllToEnd();
  for (auto& one : ending_) one.thread->join();
}

bool KeptSpokes::stopAll(std::chrono::milliseconds patience) {
  askAllToEnd();
  auto until = std::chrono::steady_clock::now() + patience;
  auto allEnded = [&]() {
    return std::all_of(ending_.begin(), ending_.end(), [](auto& one) { return one.ended->load(); });
  };
  while (!allEnded()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (auto& one : ending_) one.thread->join();
  ending_.clear();
  return true;
}

LiveRequests* KeptSpokes::requestsOf(const std::string& name) {
  auto found = kept_.find(name);
  return found == kept_.end() ? nullptr : &found->second.spoke->requests();
}

void KeptSpokes::doubtAll() {
  for (auto& [name, kept] : kept_) kept.spoke->requests().doubtConnection();
}

}  // namespace pibrain
