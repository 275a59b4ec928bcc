#include "hub/setup/spoke-keys.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>

namespace pibrain {

namespace {

std::string realPath(const std::string& path) {
  std::error_code none;
  return std::filesystem::weakly_canonical(std::filesystem::absolute(path, none), none).string();
}

// Returns a mark for names of keys, since two configs can have a spoke of the same name.
std::string markOf(const Config& config) {
  auto file = realPath(config.file);
  if (file == realPath(configPath(""))) return "";
  return absl::StrCat("@",
                      absl::Hex(uint32_t(XXH64(file.data(), file.size(), 0)), absl::kZeroPad8));
}

}  // namespace

SpokeKeys::SpokeKeys(const Config& config, const SpokeConfig& spoke)
    : config_(config),
      spoke_(spoke),
      first_(expandHome(absl::StrCat(SHARED_KEY, "-", spoke.name, markOf(config)))) {}

std::string SpokeKeys::path(unsigned number) const {
  return number < 2 ? first_ : absl::StrCat(first_, "~", number);
}

bool SpokeKeys::contains(const std::string& path) const {
  if (!path.starts_with(first_)) return false;
  auto rest = path.substr(first_.size());
  return rest.empty() || (rest[0] == '~' && rest.find_first_not_of("0123456789", 1) == rest.npos);
}

std::vector<std::string> SpokeKeys::existing() const {
  std::vector<std::string> there;
  std::error_code ignored;
  auto directory = std::filesystem::path(first_).parent_path();
  for (auto& name : listDirectory(directory, ignored)) {
    auto path = directory / name;
    if (contains(path)) there.push_back(path);
  }
  return there;
}

std::string SpokeKeys::next() const {
  unsigned number = 1;
  while (access(path(number).c_str(), F_OK) == 0) ++number;
  return path(number);
}

bool SpokeKeys::usedByOthers(const std::string& key) const {
  return std::any_of(config_.spokes.begin(), config_.spokes.end(),
                     [&](auto& other) { return other.name != spoke_.name && other.key == key; });
}

void SpokeKeys::remove(const std::string& path) {
  unlink(path.c_str());
  unlink((path + ".pub").c_str());
}

}  // namespace pibrain
