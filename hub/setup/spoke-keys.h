#pragma once

#include <string>
#include <vector>

#include "hub/config/config.h"

namespace pibrain {

// The key that spokes share by default.
constexpr char SHARED_KEY[] = "~/.ssh/pi-brain-sync";

// The keys that were created for one spoke of one config alone: ~/.ssh/pi-brain-sync-NAME, and
// after rotations pi-brain-sync-NAME~2 and so on. A config at another path than the default uses
// pi-brain-sync-NAME@HASH, where HASH depends on the path. Files are never overwritten.
class SpokeKeys {
 public:
  // Both must outlive this.
  SpokeKeys(const Config& config, const SpokeConfig& spoke);

  bool contains(const std::string& path) const;
  // Returns the keys that exist.
  std::vector<std::string> existing() const;
  // Returns the first free path for a key.
  std::string next() const;
  // Returns whether another spoke of the config has this key.
  bool usedByOthers(const std::string& key) const;
  // Removes both halves.
  static void remove(const std::string& path);

 private:
  std::string path(unsigned number) const;

  const Config& config_;
  const SpokeConfig& spoke_;
  std::string first_;
};

}  // namespace pibrain
