#pragma once

#include <kj/io.h>
#include <stdint.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace pibrain {

// A program found on PATH (or by a path with a '/'), if it can be executed.
std::optional<std::string> findProgram(const std::string& name);

struct Spawned {
  pid_t pid;
  kj::AutoCloseFd stdio;   // a stream socket, the child's standard input and output
  kj::AutoCloseFd errors;  // an unlinked file that takes the child's standard error, up to 1 MiB
};

// Whether a program may ask a person: otherwise it gets a session of its own, without a terminal.
enum class Terminal { NONE, OURS };

// Starts a program without a shell; the caller waits for it. Throws a KJ exception if it cannot.
Spawned spawnWithSocket(const std::vector<std::string>& argv, Terminal terminal = Terminal::NONE);

struct Piped {
  pid_t pid;
  kj::AutoCloseFd out, err;  // the reading ends of the child's standard output and error
};

// The same without a terminal, and with /dev/null as standard input. The child keeps a second
// descriptor of `held`, so that a lock on it lasts as long as the child does. What would be larger
// than RLIMIT_FSIZE is an error to it as to this process, not its end.
Piped spawnWithPipes(const std::vector<std::string>& argv, int held);

// Waits for the child and gives its wait status; after `patience` it is killed, with what it
// started. Returns whether it ended by itself.
bool waitOrKill(pid_t pid, std::chrono::milliseconds patience, int& status);

// The exit status of a child, or 128 + the signal that killed it, once it has ended; it is left to
// be waited for. nullopt if it runs for longer than `patience`.
std::optional<int> exitStatusOf(pid_t pid, std::chrono::milliseconds patience);

// What a program wrote to such a file so far, at most `limit` bytes of it.
std::string readBack(int fd, size_t limit = SIZE_MAX);

struct Output {
  int exitStatus = -1;  // 128 + signal if it was killed
  bool timedOut = false;
  bool cut = false;  // there may have been more to `out` than there was room for
  std::string out;
  std::string err;
};

// Why there was no room for all of a program's output, and what to do about it, as a sentence.
inline constexpr char WHY_CUT[] =
    "its output was larger than this process may write ('ulimit -f' shows the limit; it is set "
    "before pi-brain is started, or by systemd as LimitFSIZE). Raise it to 1 MB at least.";

// A program without standard input whose output is collected; beyond 1 MiB, or RLIMIT_FSIZE, its
// writes fail. It is killed if it still runs when this is destroyed.
class RunningProgram {
 public:
  // Throws a KJ exception if it cannot be started.
  explicit RunningProgram(const std::vector<std::string>& argv);
  ~RunningProgram() noexcept(false);
  KJ_DISALLOW_COPY(RunningProgram);

  // Waits for its end, and kills it after `timeout`. To be called once.
  Output wait(std::chrono::milliseconds timeout);

 private:
  kj::AutoCloseFd out_, err_;
  pid_t pid_;
};

// Runs a program to its end, or kills it after `timeout`.
Output runProgram(const std::vector<std::string>& argv, std::chrono::milliseconds timeout);

}  // namespace pibrain
