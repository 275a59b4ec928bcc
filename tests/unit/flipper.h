#pragma once
// A hostile local user: swaps names of a tree with symlinks, FIFOs and the like, again and again,
// while a program works in it (renameat2(2), RENAME_EXCHANGE).

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/fs/rooted-dir.h"

namespace pibrain {

// How often the action under test is repeated. With a sanitizer, each takes several times as long.
inline int flipperRounds() {
#ifdef PIBRAIN_SANITIZED
  if (getenv("PIBRAIN_TEST_FULL") == nullptr) return 2'000;
#endif
  return 10'000;
}

class Flipper {
 public:
  // Two paths beneath the base that trade places.
  using Pair = std::pair<std::string, std::string>;

  Flipper(kj::AutoCloseFd base, std::vector<Pair> pairs)
      : base_(kj::mv(base)), pairs_(std::move(pairs)), thread_([this]() { loop(); }) {}
  ~Flipper() {
    ending_ = true;
    thread_.join();
  }

  // Nothing is swapped while this is held.
  std::unique_lock<std::mutex> pause() {
    pausing_ = true;  // a mutex is not fair
    std::unique_lock lock(mutex_);
    pausing_ = false;
    return lock;
  }

  uint64_t swaps() const { return swaps_; }

 private:
  void loop() {
    for (size_t i = 0; !ending_; ++i) {
      while (pausing_) std::this_thread::yield();
      std::unique_lock lock(mutex_);
      swap(pairs_[i % pairs_.size()]);
    }
  }

  // Resolves names as the product does, so as not to follow its own symlinks.
  void swap(const Pair& pair) {
    auto one = base_.open(parentOf(pair.first), O_RDONLY | O_DIRECTORY);
    auto other = base_.open(parentOf(pair.second), O_RDONLY | O_DIRECTORY);
    if (one.error != 0 || other.error != 0) return;
    auto name = std::string(baseNameOf(pair.first));
    if (renameat2(one.fd, name.c_str(), other.fd, std::string(baseNameOf(pair.second)).c_str(),
                  RENAME_EXCHANGE) == 0) {
      ++swaps_;
    }
  }

  const RootedDir base_;
  const std::vector<Pair> pairs_;
  std::mutex mutex_;
  std::atomic<uint64_t> swaps_ = 0;
  std::atomic<bool> pausing_ = false;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace pibrain
