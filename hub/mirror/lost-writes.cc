#include "hub/mirror/lost-writes.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/exception.h>
#include <kj/io.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs/file-io.h"

namespace pibrain {

LostWrites LostWrites::parse(std::string_view text) {
  LostWrites lost;
  lost.all_ = text.empty();
  while (!text.empty()) {
    auto end = text.find('\0');
    if (end == 0 || end == text.npos) {
      lost.all_ = true;
    } else {
      lost.paths_.emplace(text.substr(0, end));
    }
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lost;
}

LostWrites LostWrites::readFrom(int stagingDirectory) {
  if (stagingDirectory < 0) return {};
  kj::AutoCloseFd mark(
      openat(stagingDirectory, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (mark.get() < 0 && errno == ENOENT) return {};
  // The mark exists; a part that cannot be read counts as empty.
  std::string text;
  struct stat st;
  auto failed = kj::runCatchingExceptions([&]() {
    if (mark.get() < 0 || fstat(mark, &st) != 0 || !S_ISREG(st.st_mode)) return;
    text.resize(size_t(st.st_size));
    auto bytes = kj::arrayPtr(reinterpret_cast<kj::byte*>(text.data()), text.size());
    text.resize(readAt(mark, bytes, 0));
  });
  return parse(failed == nullptr ? text : "");
}

void LostWrites::writeTo(int stagingDirectory) const {
  if (none()) {
    unlinkat(stagingDirectory, NAME, 0);
    return;
  }
  kj::AutoCloseFd mark(openat(stagingDirectory, NAME,
                              O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                              0600));
  if (mark.get() < 0) return;
  std::string text;
  if (all_) text += '\0';
  for (auto& path : paths_) text.append(path).push_back('\0');
  auto bytes = kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size());
  if (kj::runCatchingExceptions([&]() { writeAll(mark, bytes); }) != nullptr) {
    (void)!ftruncate(mark, 0);
  }
  (void)fsync(mark);
}

void LostWrites::keepOnly(const std::unordered_set<std::string>& left) {
  std::unordered_set<std::string> kept;
  for (auto& path : left) {
    if (concern(path)) kept.insert(path);
  }
  paths_ = std::move(kept);
  all_ = false;
}

}  // namespace pibrain
