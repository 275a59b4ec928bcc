#include "hub/mirror/deletion.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"

namespace pibrain {

namespace {

constexpr uint64_t FEW_FILES = 10;  // the default limit is never lower

}  // namespace

std::optional<Failure> whyNotDelete(const SpokeConfig& spoke, uint64_t count, uint64_t mirrorFiles,
                                    uint64_t spokeFiles, uint64_t maxDelete) {
  if (count == 0) return std::nullopt;
  auto name = escapeForTerminal(shellQuote(spoke.name));
  if (spokeFiles == 0) {
    return Failure(
        FailureId::DELETION_REFUSED,
        absl::StrCat("nothing was deleted: the spoke has no files at all, but the mirror has ",
                     mirrorFiles),
        "The directory on the spoke might not be mounted, or 'source' might name the wrong one.",
        {{"On the spoke, see whether the directory is mounted",
          "ls -la " + escapeForTerminal(shellQuotePath(spoke.source.path))},
         {"If the sessions are really gone, remove the spoke, which moves its mirror to the "
          "archive",
          ownCommand("spoke remove " + name)}});
  }
  uint64_t limit = maxDelete > 0 ? maxDelete : std::max<uint64_t>(FEW_FILES, mirrorFiles / 2);
  if (count <= limit) return std::nullopt;
  return Failure(
      FailureId::DELETION_REFUSED,
      absl::StrCat("nothing was deleted: ", count, " of the mirror's ", mirrorFiles,
                   " files are gone on the spoke, and the limit is ", limit),
      "",
      {{"To move them to the archive",
        ownCommand(absl::StrCat("sync run --spoke ", name, " --delete --max-delete ", count))}});
}

Failure notDeletedUnread(const std::string& what) {
  return Failure(FailureId::DELETION_REFUSED,
                 absl::StrCat("nothing was deleted, because ", what, " could not be read"));
}

Failure rootEmpty(const std::string& root, uint64_t mirrorFiles) {
  auto shown = escapeForTerminal(root);
  return Failure(
      FailureId::ROOT_EMPTY,
      absl::StrCat(shown, " on the spoke has no files, but the mirror has ", mirrorFiles),
      "The directory might not be mounted, or the sessions were moved. Nothing is deleted.",
      {{"See what is there, on the spoke", "ls -la " + escapeForTerminal(shellQuotePath(root))}});
}

Deletion archiveGone(Mirror& mirror, const std::vector<std::string>& paths) {
  Deletion deletion;
  std::vector<std::string> going;
  for (auto& path : paths) {
    try {
      if (mirror.archiveFile(path)) going.push_back(path);
    } catch (const kj::Exception& e) {
      if (e.getType() != kj::Exception::Type::FAILED) throw;
      deletion.failed.emplace(path, messageOf(e));
    }
  }
  deletion.uncommitted = mirror.commit();
  for (auto& one : deletion.uncommitted) deletion.failed.emplace(one.path, messageOf(one.why));
  for (auto& path : going) {
    if (!deletion.failed.contains(path)) deletion.archived.push_back(path);
  }
  return deletion;
}

}  // namespace pibrain
