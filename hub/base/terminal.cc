#include "hub/base/terminal.h"

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
struct sigaction handlers[std::size(ENDING)];  // as they were

void restoreAndDie(int signal) {
  tcsetattr(terminal, TCSAFLUSH, &before);
  for (size_t i = 0; i < std::size(ENDING); ++i) {
    if (ENDING[i] == signal) sigaction(signal, &handlers[i], nullptr);
  }
  // Delivered to that handler when this one returns.
  raise(signal);
}

// While one lives, what is typed is not shown. A signal that ends the program sets it right first.
class Silence {
 public:
  // `fd` has to be a terminal, whose settings are in `before`.
  explicit Silence(int fd) {
    terminal = fd;
    struct sigaction action = {};
    action.sa_handler = restoreAndDie;
    // To set a terminal from the background would stop us.
    sigaddset(&action.sa_mask, SIGTTOU);
    for (size_t i = 0; i < std::size(ENDING); ++i) {
      sigaction(ENDING[i], nullptr, &handlers[i]);
      if (handlers[i].sa_handler != SIG_IGN) sigaction(ENDING[i], &action, nullptr);
    }
    auto silent = before;
    silent.c_lflag &= ~tcflag_t(ECHO);
    silent.c_lflag |= ECHONL;
    // Stopped in the middle, it would leave the shell without echo.
    silent.c_cc[VSUSP] = _POSIX_VDISABLE;
    tcsetattr(fd, TCSAFLUSH, &silent);
  }
  ~Silence() {
    tcsetattr(terminal, TCSAFLUSH, &before);
    for (size_t i = 0; i < std::size(ENDING); ++i) sigaction(ENDING[i], &handlers[i], nullptr);
  }
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

std::unique_lock<std::mutex> tryTerminal() { return std::unique_lock(asking, std::try_to_lock); }

std::optional<std::string> askSecret(const std::string& prompt) {
  // Without a person at standard input, a terminal that some session left behind is not asked.
  if (!isatty(STDIN_FILENO)) return std::nullopt;
  std::lock_guard lock(asking);
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  kj::AutoCloseFd owned(fd);
  if (tcgetattr(fd, &before) != 0) return std::nullopt;
  Silence silence(fd);
  // In place of lines that are redrawn (hub/view/live.h), if there are any.
  auto text = "\r\x1b[J" + prompt;
  (void)!write(fd, text.data(), text.size());
  return readLine(fd);
}

}  // namespace pibrain
