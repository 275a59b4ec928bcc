#include "hub/setup/rename-record.h"

#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <kj/io.h>
#include <unistd.h>

#include <vector>

#include "hub/base/user-files.h"

namespace pibrain {

namespace {

std::string fileIn(const std::string& databaseDir) { return databaseDir + "/renaming"; }

// Neither names nor paths contain it.
constexpr char SEPARATOR = '\0';

}  // namespace

std::optional<RenameRecord> RenameRecord::read(const std::string& databaseDir) {
  auto text = readWholeFile(fileIn(databaseDir));
  if (!text) return std::nullopt;
  std::vector<std::string> parts = absl::StrSplit(*text, SEPARATOR);
  if (parts.size() != 6) return std::nullopt;
  return RenameRecord{parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]};
}

absl::Status RenameRecord::write(const std::string& databaseDir) const {
  auto made = makeDirectories(databaseDir);
  if (!made.ok()) return made;
  auto text =
      absl::StrJoin({from, to, mirror, newMirror, key, newKey}, absl::string_view(&SEPARATOR, 1));
  auto written = replaceFile(fileIn(databaseDir), text, 0600);
  kj::AutoCloseFd directory(open(databaseDir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) fsync(directory);
  return written;
}

void RenameRecord::remove(const std::string& databaseDir) { unlink(fileIn(databaseDir).c_str()); }

}  // namespace pibrain
