#pragma once

#include <string>
#include <vector>

#include "hub/config/config.h"

namespace pibrain {

// Where the key is that spokes share unless they are given one of their own; "~/…".
constexpr char SHARED_KEY[] = "~/.ssh/pi-brain-sync";

// Keys that were made for one spoke of one config alone: ~/.ssh/pi-brain-sync-NAME, and after a
// rotation pi-brain-sync-NAME~2 and so on; of a config in another place than the usual
// pi-brain-sync-NAME@HASH, where HASH tells which. No file is ever written over.
class SpokeKeys {
 public:
  // Both have to outlive it.
  SpokeKeys(const Config& config, const SpokeConfig& spoke);

  bool contains(const std::string& path) const;
  // Those that there are.
  std::vector<std::string> existing() const;
  // The first path for one that is free.
  std::string next() const;
  // Whether another spoke of the config has this key.
  bool usedByOthers(const std::string& key) const;
  // Both halves go.
  static void remove(const std::string& path);

 private:
  std::string path(unsigned number) const;

  const Config& config_;
  const SpokeConfig& spoke_;
  std::string first_;
};

}  // namespace pibrain
