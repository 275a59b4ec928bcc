#include "hub/setup/retire-mirror.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <kj/common.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"

namespace pibrain {

std::string retireMirror(const SpokeConfig& spoke, Mirror& locked) {
  locked.clearStaging();
  std::error_code error;
  auto names = listDirectory(spoke.path, error);
  if (error) {
    throw Failure(FailureId::MIRROR_UNREADABLE,
                  absl::StrCat("cannot read the mirror ", escapeForTerminal(spoke.path), ": ",
                               error.message()));
  }
  // mkfs created lost+found; it is part of the filesystem.
  std::erase(names, "lost+found");
  auto& archive = locked.archive();
  kj::AutoCloseFd directory(open(spoke.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (auto& name : names) archive.take(directory, name, name, ArchiveReason::REMOVED);
  archive.flush();
  // Failing is fine: the directory may be a mount point, and it is empty.
  if (unlink(spoke.path.c_str()) != 0) rmdir(spoke.path.c_str());
  return names.empty() ? "" : archive.run();
}

}  // namespace pibrain
