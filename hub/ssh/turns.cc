#include "hub/ssh/turns.h"

#include <absl/strings/str_cat.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <random>

namespace pibrain {

namespace {

struct Servers {
  std::mutex mutex;
  std::condition_variable someoneIsDone;
  std::map<std::string, int> connecting;
};

Servers& servers() {
  static Servers all;
  return all;
}

}  // namespace

std::chrono::milliseconds ConnectTurn::pauseBefore(int attempt) {
  std::random_device random;
  std::chrono::milliseconds part(std::uniform_int_distribution<int>(500, 1500)(random));
  return attempt == 1 ? part : 3 * part;
}

ConnectTurn::ConnectTurn(const SshTarget& target)
    : server_(absl::StrCat(target.host, " port ", target.port)) {
  auto& all = servers();
  std::unique_lock lock(all.mutex);
  all.someoneIsDone.wait(lock, [&]() { return all.connecting[server_] < MOST; });
  ++all.connecting[server_];
}

ConnectTurn::~ConnectTurn() {
  auto& all = servers();
  {
    std::lock_guard lock(all.mutex);
    if (--all.connecting[server_] == 0) all.connecting.erase(server_);
  }
  all.someoneIsDone.notify_all();
}

}  // namespace pibrain
