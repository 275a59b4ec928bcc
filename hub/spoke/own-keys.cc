#include "hub/spoke/own-keys.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace pibrain {

namespace {

std::string pathOf(const SpokeConfig& spoke, unsigned number) {
  auto path = expandHome(absl::StrCat(SHARED_KEY, "-", spoke.name));
  return number < 2 ? path : absl::StrCat(path, "~", number);
}

}  // namespace

bool isOwnKey(const SpokeConfig& spoke, const std::string& path) {
  auto first = pathOf(spoke, 1);
  if (!path.starts_with(first)) return false;
  auto rest = path.substr(first.size());
  return rest.empty() || (rest[0] == '~' && rest.find_first_not_of("0123456789", 1) == rest.npos);
}

std::vector<std::string> ownKeys(const SpokeConfig& spoke) {
  std::vector<std::string> there;
  std::error_code none;
  auto directory = std::filesystem::path(pathOf(spoke, 1)).parent_path();
  for (std::filesystem::directory_iterator entry(directory, none), end; entry != end;
       entry.increment(none)) {
    auto path = entry->path().string();
    if (isOwnKey(spoke, path)) there.push_back(path);
  }
  return there;
}

std::string nextOwnKey(const SpokeConfig& spoke) {
  unsigned number = 1;
  while (access(pathOf(spoke, number).c_str(), F_OK) == 0) ++number;
  return pathOf(spoke, number);
}

bool usedByOthers(const Config& config, const SpokeConfig& spoke, const std::string& key) {
  return std::any_of(config.spokes.begin(), config.spokes.end(),
                     [&](auto& other) { return other.name != spoke.name && other.key == key; });
}

void removeKey(const std::string& path) {
  unlink(path.c_str());
  unlink((path + ".pub").c_str());
}

}  // namespace pibrain
