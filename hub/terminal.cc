#include "hub/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <iterator>
#include <mutex>

namespace pibrain {

namespace {

std::mutex asking;

// The terminal as it was, for the signal handler.
int terminal = -1;
struct termios before;

constexpr int ENDING[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

void restoreAndDie(int signal) {
  tcsetattr(terminal, TCSAFLUSH, &before);
  // The handler was for once (SA_RESETHAND).
  raise(signal);
}

// While one lives, what is typed is not shown. A signal that ends the program sets it right first.
class Silence {
 public:
  explicit Silence(int fd) {
    terminal = fd;
    tcgetattr(fd, &before);
    struct sigaction action = {};
    action.sa_handler = restoreAndDie;
    action.sa_flags = int(SA_RESETHAND);
    for (size_t i = 0; i < std::size(ENDING); ++i) sigaction(ENDING[i], &action, &old_[i]);
    auto silent = before;
    silent.c_lflag &= ~tcflag_t(ECHO);
    silent.c_lflag |= ECHONL;
    // Stopped in the middle, it would leave the shell without echo.
    silent.c_cc[VSUSP] = _POSIX_VDISABLE;
    tcsetattr(fd, TCSAFLUSH, &silent);
  }
  ~Silence() {
    tcsetattr(terminal, TCSAFLUSH, &before);
    for (size_t i = 0; i < std::size(ENDING); ++i) sigaction(ENDING[i], &old_[i], nullptr);
  }

 private:
  struct sigaction old_[std::size(ENDING)];
};

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
  kj::AutoCloseFd owned(fd);
  Silence silence(fd);
  (void)!write(fd, prompt.data(), prompt.size());
  return readLine(fd);
}

}  // namespace pibrain
