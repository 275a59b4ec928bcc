#pragma once

#include <string>

#include "common/tree/stored-times.h"

namespace pibrain {

// What a filesystem makes of times, names and modes. It is asked, once for each mirror and when
// another one is mounted, or with other options, since its type does not tell: ext4 keeps seconds
// only in inodes of 128 bytes, and ignores case where a directory says so.
struct FilesystemTraits {
  StoredTimes times;
  bool foldsNames = false;    // takes names that differ in case, or in their normal form, for one
  bool changesNames = false;  // lists a file by another name than it was given, in its normal form
  bool keepsModes = true;     // or all files have those that its mount says
  bool toldOfModes = false;   // a run has warned of that

  auto operator<=>(const FilesystemTraits&) const = default;

  // As one line of text, and back: default traits if it cannot be read.
  std::string text() const;
  static FilesystemTraits fromText(const std::string& text);
};

// Tries it with files in the directory, and removes them. Throws a KJ exception if none can be
// made.
FilesystemTraits probeFilesystem(int directory);

class Mirror;
class Store;

// The traits of a spoke's mirror: as they are remembered (`store`: null if nothing is), or found
// out now if the mirror may be written to, and remembered. If neither can be, those of a filesystem
// that keeps all as it is.
FilesystemTraits traitsOf(Mirror& mirror, const std::string& spoke, Store* store, bool mayProbe);

// Of modes that are asked for (Mirror::keepModes()) and cannot be kept: a warning, the first time;
// empty after that, which is remembered as traitsOf() does it.
std::string warningOfModes(Mirror& mirror, const std::string& spoke, Store* store, bool remember);

// What tells this directory's filesystem from another one that is mounted in its place, and from
// itself mounted with other options.
std::string filesystemIdentity(int directory);

}  // namespace pibrain
