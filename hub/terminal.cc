#include "hub/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <termios.h>
#include <unistd.h>

#include <mutex>

namespace pibrain {

namespace {

std::mutex asking;

std::optional<std::string> readLine(int fd) {
  std::string line;
  for (char c;;) {
    ssize_t n = read(fd, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    if (c == '\n') return line;
    line += c;
  }
}

}  // namespace

std::optional<std::string> askSecret(const std::string& prompt) {
  // Without a person at standard input, a terminal that some session left behind is not asked.
  if (!isatty(STDIN_FILENO)) return std::nullopt;
  std::lock_guard lock(asking);
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  kj::AutoCloseFd terminal(fd);
  struct termios before;
  if (tcgetattr(fd, &before) != 0) return std::nullopt;
  auto silent = before;
  silent.c_lflag &= ~tcflag_t(ECHO);
  silent.c_lflag |= ECHONL;
  tcsetattr(fd, TCSAFLUSH, &silent);
  (void)!write(fd, prompt.data(), prompt.size());
  auto line = readLine(fd);
  tcsetattr(fd, TCSAFLUSH, &before);
  return line;
}

}  // namespace pibrain
