#pragma once

#include <optional>
#include <string>

#include "common/tree/stored-times.h"

namespace pibrain {

// How a filesystem stores times, names and modes. The filesystem's type does not tell: ext4 keeps
// only seconds in inodes of 128 bytes, and ignores case in directories with the casefold attribute.
// So each mirror's filesystem is probed once, and again when another one is mounted in its place,
// or the same one with other options.
struct FilesystemTraits {
  StoredTimes times;
  bool foldsNames = false;    // treats names that differ in case or normal form as one
  bool changesNames = false;  // lists files under their names' normal form
  bool keepsModes = true;     // false: the mount decides the mode of all files
  bool toldOfModes = false;   // a run has warned that modes are not kept

  auto operator<=>(const FilesystemTraits&) const = default;

  // Convert to one line of text, and back; an invalid text gives default traits.
  std::string text() const;
  static FilesystemTraits fromText(const std::string& text);
};

// Probes with files in the directory, and removes them. Throws a KJ exception if it cannot create
// any.
FilesystemTraits probeFilesystem(int directory);

class Mirror;
class Store;

// Returns the traits of a spoke's mirror. Takes them from `store` (null: none), or else, if the
// mirror may be written to (`mayProbe`), probes and stores them. If neither works, returns the
// traits of a filesystem that keeps everything.
FilesystemTraits traitsOf(Mirror& mirror, const std::string& spoke, Store* store, bool mayProbe);

// Returns a warning if modes should be kept (Mirror::keepModes()) and cannot be, unless an earlier
// run has warned, which `store` remembers.
std::optional<std::string> warningOfModes(Mirror& mirror, const std::string& spoke, Store* store,
                                          bool remember);

// Returns a text that changes when another filesystem is mounted in this directory's place, or the
// same one with other options.
std::string filesystemIdentity(int directory);

}  // namespace pibrain
