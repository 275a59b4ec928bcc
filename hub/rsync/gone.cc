#include "hub/rsync/gone.h"

#include <absl/strings/str_split.h>

#include <algorithm>

#include "common/fs/rooted-dir.h"
#include "hub/mirror/deletion.h"
#include "hub/rsync/name-list.h"

namespace pibrain {

namespace {

bool saysNotADirectory(const RsyncRun& run) {
  std::vector<std::string> lines = absl::StrSplit(run.errors, '\n', absl::SkipEmpty());
  return run.exitStatus == rsync_exit::PARTIAL &&
         std::all_of(lines.begin(), lines.end(), [](auto& line) {
           return line.starts_with("rsync error: ") || line.ends_with("Not a directory (20)");
         });
}

}  // namespace

GoneSearch::GoneSearch(const SpokeConfig& spoke, const RunOptions& options,
                       const MirrorBefore& before, const SpokeNames& names, SpokeRsync& rsync)
    : spoke_(spoke), options_(options), before_(before), names_(names), rsync_(rsync) {}

std::vector<std::string> GoneSearch::lookOptions() const {
  std::vector<std::string> options{"--dry-run", "--delete"};
  // rsync would fail on directories of the mirror that cannot be read.
  for (auto& problem : before_.tree().problems) {
    options.push_back("--filter=P " + filterFor(problem.path) + "/");
  }
  return options;
}

GoneFiles GoneSearch::find(const RsyncRun& first, int held, uint64_t mirrored) {
  GoneFiles gone;
  gone.paths = goneAt(first, mirrored, gone.refusal);
  if (gone.paths.empty()) return gone;
  auto look = rsync_.run(lookOptions(), held);
  auto second = goneAt(look, mirrored, gone.refusal);
  std::unordered_set<std::string> again(second.begin(), second.end());
  std::erase_if(gone.paths,
                [&](auto& path) { return !again.contains(path) || mayBeOnSpoke(path); });
  if (gone.paths.empty()) return gone;
  // The mirror's directories have the times that the spoke's had when rsync ran; if one differs
  // now, what is gone may be in it.
  gone.restless = !options_.dryRun && !look.output.directories().empty();
  auto there = gone.restless ? std::unordered_set<std::string>()
                             : thereByName(gone.paths, held, gone.refusal);
  if (gone.restless || gone.refusal) gone.paths.clear();
  std::erase_if(gone.paths, [&](auto& path) { return there.contains(path); });
  return gone;
}

std::vector<std::string> GoneSearch::goneAt(const RsyncRun& look, uint64_t mirrored,
                                            std::optional<Failure>& refusal) const {
  std::vector<std::string> gone;
  // Files vanished while they were read; nobody needs to fix that, since a later run finds them at
  // rest.
  if (look.exitStatus == rsync_exit::VANISHED && look.output.ended) return gone;
  if (look.exitStatus != 0 || !look.output.ended) {
    refusal = notDeletedUnread("parts of the spoke");
    return gone;
  }
  for (auto& item : look.output.items()) {
    if (item.kind == RsyncOutput::Kind::DELETED) gone.push_back(item.path);
  }
  refusal = whyNotDelete(spoke_, gone.size(), mirrored, look.output.files, options_.maxDelete);
  if (refusal) gone.clear();
  return gone;
}

// Returns which of the files are on the spoke. rsync looks up each, and reads no directory.
std::unordered_set<std::string> GoneSearch::thereByName(const std::vector<std::string>& paths,
                                                        int held, std::optional<Failure>& refusal) {
  NameList names(paths);
  auto look = rsync_.run({"--dry-run", "--ignore-times", "--ignore-missing-args", "--from0",
                          "--files-from=" + names.path()},
                         held);
  std::unordered_set<std::string> there;
  if (look.exitStatus == rsync_exit::VANISHED) return {paths.begin(), paths.end()};
  if (!look.output.ended || (look.exitStatus != 0 && !saysNotADirectory(look))) {
    refusal = notDeletedUnread("parts of the spoke");
  }
  for (auto& item : look.output.items()) there.insert(item.path);
  return there;
}

// Returns whether the spoke may have the path under another spelling, or under the name of a file
// that could not be written.
bool GoneSearch::mayBeOnSpoke(const std::string& path) const {
  if (names_.mayHave(path)) return true;
  auto& unwritten = rsync_.leftOut.unwritten;
  return std::any_of(unwritten.begin(), unwritten.end(),
                     [&](auto& one) { return baseNameOf(one.first) == baseNameOf(path); });
}

}  // namespace pibrain
