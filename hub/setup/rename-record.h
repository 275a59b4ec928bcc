#pragma once
// What `spoke rename` is doing, in the file DATABASE/renaming, so that an interrupted one can be
// completed or undone.

#include <absl/status/status.h>

#include <optional>
#include <string>

namespace pibrain {

struct RenameRecord {
  std::string from, to;
  // The paths of the mirror and of the key for syncing; both empty: it stays where it is.
  std::string mirror, newMirror;
  std::string key, newKey;

  // Returns null if no rename is under way. A file that cannot be read was never written
  // completely, so nothing was done yet.
  static std::optional<RenameRecord> read(const std::string& databaseDir);
  // The record is on the disk when this returns.
  absl::Status write(const std::string& databaseDir) const;
  static void remove(const std::string& databaseDir);
};

}  // namespace pibrain
