#pragma once
// What `spoke rename` is about to do, in the file DATABASE/renaming, while it does it: so that what
// was broken off is known, and can be brought to an end or taken back.

#include <absl/status/status.h>

#include <optional>
#include <string>

namespace pibrain {

struct RenameRecord {
  std::string from, to;
  // Of the mirror, and of the key for syncing; both empty: it stays where it is.
  std::string mirror, newMirror;
  std::string key, newKey;

  // Null: no rename is under way. What cannot be read was never whole, so nothing was done yet.
  static std::optional<RenameRecord> read(const std::string& databaseDir);
  // On the disk when this returns.
  absl::Status write(const std::string& databaseDir) const;
  static void remove(const std::string& databaseDir);
};

}  // namespace pibrain
