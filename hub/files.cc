#include "hub/files.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file-io.h"
#include "common/text.h"

namespace pibrain {

absl::Status makeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    auto part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::UnavailableError(absl::StrCat("cannot create the directory ",
                                                 escapeForTerminal(part), ": ", strerror(errno)));
    }
    if (end == std::string::npos) break;
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot read ", escapeForTerminal(path), ": ", strerror(errno)));
  }
  if (!S_ISDIR(st.st_mode)) {
    return absl::UnavailableError(escapeForTerminal(path) + " is not a directory");
  }
  return absl::OkStatus();
}

absl::Status replaceFile(const std::string& path, const std::string& text, mode_t mode) {
  auto temporary = path + ".new";
  auto fail = [&]() {
    auto status = absl::UnavailableError(
        absl::StrCat("cannot write ", escapeForTerminal(path), ": ", strerror(errno)));
    unlink(temporary.c_str());
    return status;
  };
  unlink(temporary.c_str());
  kj::AutoCloseFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (fd.get() < 0) return fail();
  KJ_IF_MAYBE(e, kj::runCatchingExceptions(
                     [&]() { writeAll(fd, kj::arrayPtr(text.data(), text.size()).asBytes()); })) {
    unlink(temporary.c_str());
    return absl::UnavailableError(e->getDescription().cStr());
  }
  // Whatever the umask is; and after a power cut it is the old one or the new.
  if (fchmod(fd, mode) != 0 || fsync(fd) != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
    return fail();
  }
  return absl::OkStatus();
}

std::optional<std::string> readWholeFile(const std::string& path) {
  constexpr size_t LARGEST = 64 << 20;
  // Not to wait for a writer if it is a FIFO.
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  kj::AutoCloseFd owned(fd);
  std::string text;
  char buffer[16384];
  for (;;) {
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (text.size() + size_t(n) > LARGEST) return errno = EFBIG, std::nullopt;
    text.append(buffer, size_t(n));
  }
}

}  // namespace pibrain
