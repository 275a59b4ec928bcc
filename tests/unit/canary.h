#pragma once
// Files outside the tree under test, which nobody may read or change.

#include <gtest/gtest.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <map>
#include <set>

#include "tests/unit/temp-dir.h"

namespace pibrain {

class Canary {
 public:
  static constexpr std::string_view MARKER = "CANARY-9d3f41";

  // Makes these files, with the marker in each, in a directory that may have others.
  Canary(const TempDir& dir, const std::vector<std::string>& files) : dir_(dir) {
    for (auto& file : files) {
      dir_.write("canary/" + file, std::string(MARKER) + "\n");
    }
    before_ = look();
    watch(dir_ / "canary");
    for (auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "canary")) {
      if (!entry.is_directory() || entry.is_symlink()) continue;
      // Deeper directories are reached only through the watched ones.
      if (entry.path().native().size() < PATH_MAX) watch(entry.path());
    }
    (void)seen();  // discards the events of this walk
  }

  // Checks that nothing was even opened: inotify reports that, whatever times the filesystem keeps.
  void expectUntouched() const {
    EXPECT_EQ(seen(), std::set<std::string>());
    EXPECT_EQ(look(), before_);
    // Checks that an open would have been seen.
    (void)seen();
    std::ifstream(before_.rbegin()->first).get();
    EXPECT_FALSE(seen().empty());
  }

  // Checks that no regular file beneath `name` has the marker.
  void expectNotIn(std::string_view name) const {
    namespace fs = std::filesystem;
    if (!dir_.exists(name)) return;
    for (auto& entry : fs::recursive_directory_iterator(dir_ / name)) {
      if (!entry.is_regular_file() || entry.is_symlink()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::string content(std::istreambuf_iterator<char>(file), {});
      EXPECT_EQ(content.find(MARKER), std::string::npos) << entry.path();
    }
  }

 private:
  // Returns each entry with its inode, mode, size and times.
  std::map<std::string, std::string> look() const {
    std::map<std::string, std::string> found;
    for (auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "canary")) {
      struct stat st = {};
      lstat(entry.path().c_str(), &st);
      auto& is = found[entry.path().string()];
      for (int64_t number :
           {int64_t(st.st_ino), int64_t(st.st_mode), int64_t(st.st_nlink), int64_t(st.st_size),
            mtimeOf(st), int64_t(st.st_ctim.tv_sec), int64_t(st.st_ctim.tv_nsec)}) {
        is += std::to_string(number) + " ";
      }
    }
    return found;
  }

  // Watches the directory, and everything directly in it.
  void watch(const std::filesystem::path& directory) const {
    ASSERT_GE(inotify_add_watch(inotify_, directory.c_str(), IN_ALL_EVENTS), 0) << strerror(errno);
  }

  // Returns the names with events since the last call, "." for a directory.
  std::set<std::string> seen() const {
    std::set<std::string> names;
    alignas(struct inotify_event) char buffer[64 * 1024];
    ssize_t n;
    while ((n = read(inotify_, buffer, sizeof(buffer))) > 0) {
      for (ssize_t at = 0; at < n;) {
        auto* event = reinterpret_cast<struct inotify_event*>(buffer + at);
        names.insert(event->len > 0 ? event->name : ".");
        at += ssize_t(sizeof(*event) + event->len);
      }
    }
    return names;
  }

  const TempDir& dir_;
  const kj::AutoCloseFd inotify_{inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  std::map<std::string, std::string> before_;
};

}  // namespace pibrain
