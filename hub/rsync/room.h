#pragma once
// Finds which other files rsync cannot write either, after it failed to write one.

#include <stdint.h>

#include <string>
#include <vector>

#include "hub/rsync/process.h"

namespace pibrain {

struct PendingFile {
  std::string path;
  uint64_t size = 0;  // on the spoke: rsync writes a whole new file before it replaces the old one
};

// The limits of the disk and the process.
struct Room {
  uint64_t free = UINT64_MAX;     // free bytes on the disk
  uint64_t largest = UINT64_MAX;  // the largest possible file, bytes
};
Room roomAt(const std::string& directory);

// Returns the paths of the files that are too large or have no room, judging by `unwritten`. If
// each fits but not all together, the smaller ones take precedence.
std::vector<std::string> withoutRoom(std::vector<PendingFile> pending, const Unwritten& unwritten,
                                     const Room& room);

}  // namespace pibrain
