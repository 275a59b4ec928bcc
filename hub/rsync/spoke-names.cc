#include "hub/rsync/spoke-names.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "common/text/escape.h"
#include "hub/base/exceptions.h"
#include "hub/rsync/folding.h"

namespace pibrain {

void SpokeNames::look(Mirror& mirror, SpokeRsync& rsync, MirrorBefore& before, bool mayChange) {
  list(rsync, mayChange ? mirror.lockFd() : -1, rsync.staging());
  std::set<std::string> ours;
  for (auto& [path, size] : before.sizes()) ours.insert(path);
  std::optional<ScratchDirectory> scratch;
  if (mayChange) scratch.emplace(rsync.staging());
  auto folding = findFolding(
      names_, ours, [&](auto& names) { return foldedNames(names, scratch ? scratch->fd() : -1); });
  scratch.reset();
  for (auto& [path, other] : folding.refused) {
    rsync.leftOut.folded.emplace(
        path, absl::StrCat("the mirror's filesystem treats its name as ", inQuotes(other),
                           ", which the spoke has too. Rename one of them on the spoke, or move "
                           "the mirror to a filesystem that distinguishes them"));
  }
  if (!mayChange || folding.respelled.empty()) return;
  respell(mirror, folding.respelled, rsync);
  before.read(mirror);
}

void SpokeNames::list(SpokeRsync& rsync, int held, const std::string& staging) {
  auto look = rsync.run({"--dry-run"}, held, staging + "/a-directory-that-is-not-there");
  rsync.requireGood(look);
  for (auto& item : look.output.items()) {
    bool reserved = folded(item.path.substr(0, item.path.find('/'))) == Mirror::STAGING;
    if (reserved) rsync.leftOut.folded.emplace(item.path, "the mirror uses this name itself");
    if (!reserved) names_.insert(item.path);
  }
  for (auto& path : names_) folded_.insert(folded(path));
}

void SpokeNames::respell(Mirror& mirror, const std::map<std::string, std::string>& respelled,
                         SpokeRsync& rsync) {
  mirror.spokeHas([&](const std::string& path) { return has(path); });
  for (auto& [from, to] : respelled) {
    try {
      mirror.move(from, to);
    } catch (const kj::Exception& e) {
      if (e.getType() != kj::Exception::Type::FAILED) throw;
      rsync.leftOut.folded.emplace(to, messageOf(e));
    }
  }
}

// Returns whether the path is a file, or a directory with files, on the spoke.
bool SpokeNames::has(const std::string& path) const {
  if (names_.contains(path)) return true;
  auto below = names_.lower_bound(path + "/");
  return below != names_.end() && below->starts_with(path + "/");
}

void SpokeNames::lookForRespelled(const Tree& mirror, const std::string& root) {
  if (names_.empty()) return;
  std::unordered_set<std::string> ours;
  for (auto& directory : mirror.directories) {
    for (auto& file : directory.files) ours.insert(directory.pathOf(file));
  }
  respelled_ = std::any_of(names_.begin(), names_.end(), [&](auto& path) {
    return !isAscii(path) && !ours.contains(path) && access((root + "/" + path).c_str(), F_OK) == 0;
  });
}

bool SpokeNames::mayHave(const std::string& path) const {
  return folded_.contains(folded(path)) || (respelled_ && !isAscii(path));
}

}  // namespace pibrain
