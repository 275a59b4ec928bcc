#pragma once
// Files outside of what is worked in, which nobody may read or change.

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/temp-dir.h"

namespace pibrain {

class Canary {
 public:
  static constexpr std::string_view MARKER = "CANARY-9d3f41";

  // Makes these files, with the marker in each, in a directory that others may be in.
  Canary(const TempDir& dir, const std::vector<std::string>& files) : dir_(dir) {
    for (auto& file : files) {
      dir_.write("canary/" + file, std::string(MARKER) + "\n");
      // So old that a filesystem with "relatime" notes the first reading.
      struct timespec times[2] = {{1, 0}, {OLD / SECOND, 0}};
      utimensat(AT_FDCWD, (dir_ / ("canary/" + file)).c_str(), times, 0);
    }
    before_ = look();
  }

  void expectUntouched() const { EXPECT_EQ(look(), before_); }

  // That nothing below `name` holds the marker, by any name that is not a symlink.
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
  // What is there, and when it was read and changed.
  std::map<std::string, std::string> look() const {
    std::map<std::string, std::string> found;
    for (auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "canary")) {
      struct stat st = {};
      lstat(entry.path().c_str(), &st);
      auto& is = found[entry.path().string()];
      for (int64_t number :
           {int64_t(st.st_ino), int64_t(st.st_mode), int64_t(st.st_nlink), int64_t(st.st_size),
            mtimeOf(st), int64_t(st.st_ctim.tv_sec), int64_t(st.st_ctim.tv_nsec),
            S_ISREG(st.st_mode) ? int64_t(st.st_atim.tv_sec) : 0}) {
        is += std::to_string(number) + " ";
      }
    }
    return found;
  }

  const TempDir& dir_;
  std::map<std::string, std::string> before_;
};

}  // namespace pibrain
