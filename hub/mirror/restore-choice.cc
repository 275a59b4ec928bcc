// Chooses the archived files to restore.

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/base/own-command.h"
#include "hub/mirror/restore.h"

namespace pibrain {

namespace {

bool looksLikeId(const std::string& text) {
  constexpr size_t ID_LENGTH = 16;
  return !text.empty() && text.size() <= ID_LENGTH &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool isMeantBy(const std::string& path, const std::string& wanted) {
  if (path == wanted) return true;
  auto directory = wanted.ends_with('/') ? wanted : wanted + "/";
  return path.starts_with(directory) || fnmatch(wanted.c_str(), path.c_str(), 0) == 0;
}

using ArchivedFiles = std::vector<const ArchivedFile*>;

// Returns the files that `wanted` means. Adds to `failures` if there are none, or if it is the
// beginning of several ids.
ArchivedFiles chosenBy(const ArchivedFiles& files, const std::string& wanted,
                       std::vector<Failure>& failures) {
  ArchivedFiles meant, ids;
  for (auto* file : files) {
    if (isMeantBy(file->path, wanted)) meant.push_back(file);
    if (file->id.starts_with(wanted)) ids.push_back(file);
  }
  if (!meant.empty()) return meant;
  if (looksLikeId(wanted)) {
    if (ids.size() == 1) return ids;
    std::vector<ArchivedFile> all;
    for (auto* file : ids) all.push_back(*file);
    auto status = findArchived(all, wanted).status();
    failures.push_back(failureOf(status, FailureId::ARCHIVED_FILE_UNKNOWN));
  } else {
    failures.push_back(Failure(FailureId::ARCHIVED_FILE_UNKNOWN,
                               absl::StrCat("nothing archived has the path ", inQuotes(wanted),
                                            ", or matches it as a pattern"),
                               "", {{"List the archived files", ownCommand("sync archive list")}}));
  }
  return {};
}

// Returns the text as the beginning of a run's name. A person may have given the run's time
// instead, as the list shows it.
std::string asRunName(const std::string& run) {
  constexpr std::string_view REMOVED = "removed-";
  std::string prefix(run.starts_with(REMOVED) ? REMOVED : "");
  auto time = run.substr(prefix.size());
  if (time.find('.') == std::string::npos && time.ends_with('Z')) time.pop_back();
  return prefix + absl::StrReplaceAll(time, {{"-", ""}, {":", ""}});
}

// Puts the files into the order of the list, each once.
void sortAsListed(ArchivedFiles& files) {
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
}

}  // namespace

bool RestoreRequest::isOneId() const {
  return wanted.size() == 1 && looksLikeId(wanted[0]) && spokes.empty() && run.empty();
}

bool isOfRun(const ArchivedFile& file, const std::string& run) {
  auto wanted = asRunName(run);
  auto name = archiveRunOf(file.run);
  // A time alone also means the run that removed a spoke at that time.
  return name.starts_with(wanted) ||
         (file.forGood && name.substr(name.find('-') + 1).starts_with(wanted));
}

RestoreChoice chooseArchived(const std::vector<ArchivedFile>& files,
                             const RestoreRequest& request) {
  auto& [spokes, run, wanted] = request;
  RestoreChoice choice;
  ArchivedFiles chosen;
  for (auto& file : files) {
    bool ofSpoke = spokes.empty() || std::count(spokes.begin(), spokes.end(), file.spoke) > 0;
    if (ofSpoke && (run.empty() || isOfRun(file, run))) chosen.push_back(&file);
  }
  if (!wanted.empty()) {
    ArchivedFiles any;
    for (auto& one : wanted) {
      auto meant = chosenBy(chosen, one, choice.failures);
      any.insert(any.end(), meant.begin(), meant.end());
    }
    sortAsListed(any);
    chosen = std::move(any);
  }
  std::map<std::pair<std::string, std::string>, const ArchivedFile*> latest;
  auto age = [](const ArchivedFile* file) { return std::pair(file->archived, file->mtime); };
  for (auto* file : chosen) {
    auto& best = latest[{file->spoke, file->path}];
    if (best == nullptr || age(best) <= age(file)) best = file;
  }
  for (auto* file : chosen) {
    bool best = latest[{file->spoke, file->path}] == file;
    (best ? choice.files : choice.older).push_back(*file);
  }
  return choice;
}

}  // namespace pibrain
