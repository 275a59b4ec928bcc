#pragma once
// Shared by the tests: a directory of a test's own, and bytes to put into it.

#include <fcntl.h>
#include <kj/io.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/fs/file-io.h"
#include "common/fs/file-times.h"

namespace pibrain {

inline constexpr int64_t SECOND = 1'000'000'000;
// A time for files that did not change recently: long ago, and not a whole second.
inline constexpr int64_t OLD = 1'700'000'000 * SECOND + 123'456'789;

inline kj::ArrayPtr<const kj::byte> bytesOf(std::string_view text) {
  return kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size());
}

inline std::string textOf(kj::ArrayPtr<const kj::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

// `size` bytes that do not compress, the same for each seed.
inline std::string noise(size_t size, uint64_t seed) {
  std::string text(size, '\0');
  uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  for (auto& c : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = char(state >> 32);
  }
  return text;
}

// An anonymous file with this content.
inline kj::AutoCloseFd fileWith(std::string_view content) {
  kj::AutoCloseFd fd(memfd_create("test", MFD_CLOEXEC));
  writeAll(fd, bytesOf(content));
  return fd;
}

inline void setMtime(const std::string& path, int64_t mtime) {
  int64_t seconds = mtime / SECOND, nanos = mtime % SECOND;
  if (nanos < 0) --seconds, nanos += SECOND;
  struct timespec times[2] = {{seconds, nanos}, {seconds, nanos}};
  if (utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    throw std::runtime_error("cannot set the time of " + path);
  }
}

class TempDir {
 public:
  explicit TempDir(const std::string& parent = "/tmp") : path_(parent + "/pi-brain-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot create " + path_);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Makes a file and its directories.
  void write(std::string_view name, std::string_view content, int64_t mtime = OLD) const {
    auto path = *this / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    setMtime(path, mtime);
  }

  // Returns nullopt if it is not a regular file.
  std::optional<std::string> read(std::string_view name) const {
    if (!std::filesystem::is_regular_file(*this / name)) return std::nullopt;
    std::ifstream file(*this / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  bool exists(std::string_view name) const {
    struct stat st;
    return lstat((*this / name).c_str(), &st) == 0;
  }

  struct stat stat(std::string_view name) const {
    struct stat st = {};
    if (::lstat((*this / name).c_str(), &st) != 0) throw std::runtime_error("no such file");
    return st;
  }
  int64_t mtime(std::string_view name) const { return mtimeOf(stat(name)); }
  mode_t mode(std::string_view name) const { return stat(name).st_mode & 07777; }

  kj::AutoCloseFd open() const {
    return kj::AutoCloseFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

 private:
  std::string path_;
};

}  // namespace pibrain
