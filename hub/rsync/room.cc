#include "hub/rsync/room.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <tuple>

namespace pibrain {

namespace {

constexpr uint64_t BLOCK = 4096;  // of most filesystems

}  // namespace

Room roomAt(const std::string& directory) {
  Room room;
  struct statvfs fs;
  if (statvfs(directory.c_str(), &fs) == 0) room.free = uint64_t(fs.f_bavail) * fs.f_frsize;
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    room.largest = limit.rlim_cur;
  }
  return room;
}

std::vector<std::string> withoutRoom(std::vector<PendingFile> pending, const Unwritten& unwritten,
                                     const Room& room) {
  std::sort(pending.begin(), pending.end(),
            [](auto& a, auto& b) { return std::tie(a.size, a.path) < std::tie(b.size, b.path); });
  auto failed = std::find_if(pending.begin(), pending.end(),
                             [&](auto& file) { return file.path == unwritten.path; });
  uint64_t tooLarge = UINT64_MAX;
  if (unwritten.error == EFBIG) {
    if (room.largest < UINT64_MAX) tooLarge = room.largest + 1;
    if (failed != pending.end()) tooLarge = std::min(tooLarge, failed->size);
  }
  // The filesystem's metadata needs space too.
  uint64_t left = unwritten.error == ENOSPC ? room.free - room.free / 50 : UINT64_MAX;
  std::vector<std::string> out;
  for (auto& [path, size] : pending) {
    uint64_t takes = size < UINT64_MAX - BLOCK ? (size + BLOCK - 1) / BLOCK * BLOCK : size;
    bool fits = size < tooLarge && takes <= left && path != unwritten.path;
    if (!fits) {
      out.push_back(path);
    } else if (left != UINT64_MAX) {
      left -= takes;
    }
  }
  return out;
}

}  // namespace pibrain
