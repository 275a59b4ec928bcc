#pragma once

#include <kj/io.h>
#include <stdint.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace pibrain {

// Returns the path of an executable program, searched on PATH unless the name has a '/'.
std::optional<std::string> findProgram(const std::string& name);

struct Spawned {
  pid_t pid;
  kj::AutoCloseFd stdio;   // a stream socket: the child's standard input and output
  kj::AutoCloseFd errors;  // an unlinked file: the child's standard error, up to 1 MiB
};

// Whether a program can ask a person. With NONE it gets its own session, without a terminal.
enum class Terminal { NONE, OURS };

// Starts a program without a shell; the caller must wait for it. Throws a KJ exception if it cannot
// be started.
Spawned spawnWithSocket(const std::vector<std::string>& argv, Terminal terminal = Terminal::NONE);

struct Piped {
  pid_t pid;
  kj::AutoCloseFd out, err;  // the reading ends of the child's standard output and error
};

// The same without a terminal and with /dev/null as standard input. The child inherits a duplicate
// of `held`, so that a lock on it lasts as long as the child. A write beyond RLIMIT_FSIZE is an
// error for the child too, not a fatal signal.
Piped spawnWithPipes(const std::vector<std::string>& argv, int held);

// Waits for the child and sets its wait status; after `patience`, kills it and what it started.
// Returns whether it ended by itself.
bool waitOrKill(pid_t pid, std::chrono::milliseconds patience, int& status);

// Returns the exit status of a child that has ended, or 128 + the signal that killed it, and does
// not reap it. nullopt if it runs for longer than `patience`.
std::optional<int> exitStatusOf(pid_t pid, std::chrono::milliseconds patience);

// Returns what a program has written to such a file, at most `limit` bytes.
std::string readBack(int fd, size_t limit = SIZE_MAX);

struct Output {
  int exitStatus = -1;  // 128 + signal if it was killed
  bool timedOut = false;
  bool cut = false;  // `out` may be incomplete, because its file was full
  std::string out;
  std::string err;
};

// Why a program's output was cut, and the fix, as the end of a sentence.
inline constexpr char WHY_CUT[] =
    "its output exceeded the file size limit of this process ('ulimit -f' shows it; a shell or "
    "systemd's LimitFSIZE sets it before pi-brain starts). Raise the limit to at least 1 MB.";

// A program without standard input, whose output is collected; its writes fail beyond 1 MiB or
// RLIMIT_FSIZE. The destructor kills it if it still runs.
class RunningProgram {
 public:
  // Throws a KJ exception if it cannot be started.
  explicit RunningProgram(const std::vector<std::string>& argv);
  ~RunningProgram() noexcept(false);
  KJ_DISALLOW_COPY(RunningProgram);

  // Waits until it ends, and kills it after `timeout`. Must be called once at most.
  Output wait(std::chrono::milliseconds timeout);

 private:
  kj::AutoCloseFd out_, err_;
  pid_t pid_;
};

// Runs a program until it ends, and kills it after `timeout`.
Output runProgram(const std::vector<std::string>& argv, std::chrono::milliseconds timeout);

}  // namespace pibrain
