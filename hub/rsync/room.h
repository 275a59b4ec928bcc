#pragma once
// Which files rsync cannot write here, once it could not write one of them.

#include <stdint.h>

#include <string>
#include <vector>

#include "hub/rsync/process.h"

namespace pibrain {

struct PendingFile {
  std::string path;
  uint64_t size = 0;  // on the spoke: rsync writes each file anew before it replaces the old one
};

// What there is of it.
struct Room {
  uint64_t free = UINT64_MAX;     // bytes on the disk
  uint64_t largest = UINT64_MAX;  // that a file may be
};
Room roomAt(const std::string& directory);

// The paths of the files that have no room, or are too large, by what `unwritten` shows of it. If
// they fit one by one and not all together, the smaller ones come first.
std::vector<std::string> withoutRoom(std::vector<PendingFile> pending, const Unwritten& unwritten,
                                     const Room& room);

}  // namespace pibrain
