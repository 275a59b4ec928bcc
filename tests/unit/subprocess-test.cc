#include "hub/base/subprocess.h"
#include "common/fs/file-io.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "hub/base/process-settings.h"
#include "tests/unit/own-process.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

class FindProgram : public testing::Test {
 protected:
  FindProgram() {
    dir_.write("first/script", "#!/bin/sh\n");
    dir_.write("second/script", "#!/bin/sh\n");
    dir_.write("second/other", "#!/bin/sh\n");
    dir_.write("first/plain", "no program");
    for (auto name : {"first/script", "second/script", "second/other"}) {
      chmod((dir_ / name).c_str(), 0700);
    }
    setenv("PATH", (dir_ / "missing" + "::" + dir_ / "first" + ":" + dir_ / "second").c_str(), 1);
  }
  ~FindProgram() override { setenv("PATH", before_.c_str(), 1); }

  std::string before_ = getenv("PATH");
  TempDir dir_;
};

TEST_F(FindProgram, findsTheFirstOnPath) {
  EXPECT_EQ(findProgram("script"), dir_ / "first/script");
  EXPECT_EQ(findProgram("other"), dir_ / "second/other");
  EXPECT_EQ(findProgram("nothing"), std::nullopt);
  EXPECT_EQ(findProgram("plain"), std::nullopt);
}

TEST_F(FindProgram, aPathIsUsedLiterally) {
  EXPECT_EQ(findProgram(dir_ / "second/script"), dir_ / "second/script");
  EXPECT_EQ(findProgram(dir_ / "first/plain"), std::nullopt);
  EXPECT_EQ(findProgram(dir_ / "first/nothing"), std::nullopt);
}

TEST_F(FindProgram, aDirectoryIsNotAProgram) {
  std::filesystem::create_directories(dir_ / "first/other");
  EXPECT_EQ(findProgram("other"), dir_ / "second/other");
  EXPECT_EQ(findProgram(dir_ / "first"), std::nullopt);
}

TEST(Subprocess, runProgramCollectsEverything) {
  auto output = runProgram({"/bin/sh", "-c", "cat; echo out; echo err >&2; exit 3"}, seconds(10));
  EXPECT_EQ(output.exitStatus, 3);
  EXPECT_FALSE(output.timedOut);
  EXPECT_EQ(output.out, "out\n");
  EXPECT_EQ(output.err, "err\n");
}

TEST(Subprocess, argumentsReachTheProgramUntouched) {
  auto output = runProgram({"/usr/bin/printf", "%s|", "a b", "$HOME", "*", "'", ""}, seconds(10));
  EXPECT_EQ(output.out, "a b|$HOME|*|'||");
}

TEST(Subprocess, runProgramKillsHangingPrograms) {
  auto start = Clock::now();
  auto output = runProgram({"/bin/sh", "-c", "echo before; exec sleep 60"}, seconds(1));
  EXPECT_TRUE(output.timedOut);
  EXPECT_NE(output.exitStatus, 0);
  EXPECT_EQ(output.out, "before\n");
  EXPECT_LT(Clock::now() - start, seconds(20));
}

TEST(Subprocess, runProgramDoesNotWaitForGrandchildren) {
  auto start = Clock::now();
  auto output = runProgram({"/bin/sh", "-c", "sleep 30 & echo done"}, seconds(20));
  EXPECT_FALSE(output.timedOut);
  EXPECT_EQ(output.out, "done\n");
  EXPECT_LT(Clock::now() - start, seconds(20));
}

TEST(Subprocess, killedIsNotTimedOut) {
  for (int signal : {SIGTERM, SIGKILL}) {
    auto output =
        runProgram({"/bin/sh", "-c", "kill -" + std::to_string(signal) + " $$"}, seconds(10));
    EXPECT_EQ(output.exitStatus, 128 + signal);
    EXPECT_FALSE(output.timedOut) << signal;
  }
}

TEST(Subprocess, outputHasALimit) {
  // In the program, a write beyond the limit fails.
  auto output = runProgram({"sh", "-c", "head -c 3000000 /dev/zero || exit 7"}, seconds(20));
  EXPECT_EQ(output.exitStatus, 7);
  EXPECT_EQ(output.out.size(), size_t(1) << 20);
  EXPECT_TRUE(output.cut);
  EXPECT_FALSE(runProgram({"sh", "-c", "head -c 1000000 /dev/zero"}, seconds(20)).cut);
}

TEST(Subprocess, aLimitOfFileSizesLimitsOutputToo) {
  auto isSaid = []() {
    struct rlimit limit = {5000, 5000};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto few = runProgram({"sh", "-c", "echo few"}, seconds(20));
    auto many =
        runProgram({"sh", "-c", "head -c 9000 /dev/zero 2>/dev/null; echo $? >&2"}, seconds(20));
    // An error, and not a signal.
    return few.out == "few\n" && !few.cut && many.cut && many.out.size() < 5000 &&
           many.err == "1\n";
  };
  EXPECT_EXIT(_exit(isSaid() ? 0 : 1), testing::ExitedWithCode(0), "");
}

TEST(Subprocess, anAbandonedProgramIsKilled) {
  auto begun = Clock::now();
  RunningProgram({"sleep", "60"});
  EXPECT_LT(Clock::now() - begun, seconds(20));
}

TEST(Subprocess, missingProgramThrows) {
  EXPECT_THROW(runProgram({"/nowhere/program"}, seconds(1)), kj::Exception);
  EXPECT_THROW(spawnWithSocket({"/nowhere/program"}), kj::Exception);
}

TEST(Subprocess, ignoredSignalsAreNotInherited) {
  for (auto [number, name] : {std::pair(SIGPIPE, "PIPE"), std::pair(SIGXFSZ, "XFSZ")}) {
    auto before = signal(number, SIG_IGN);
    auto killed = std::string("kill -") + name + " $$; echo alive";
    auto output = runProgram({"/bin/sh", "-c", killed}, seconds(10));
    signal(number, before);
    EXPECT_EQ(output.exitStatus, 128 + number) << name;
  }
}

TEST(SettleProcess, closedDescriptorsAreOpened) {
  for (int closed = 0; closed < 8; ++closed) {
    auto wrong = inAProcessOfItsOwn([&]() {
      struct stat before[3], null;
      stat("/dev/null", &null);
      for (int fd = 0; fd < 3; ++fd) {
        fstat(fd, &before[fd]);
        if (closed & 1 << fd) close(fd);
      }
      settleProcess();
      int different = 0;
      for (int fd = 0; fd < 3; ++fd) {
        auto& expected = closed & 1 << fd ? null : before[fd];
        struct stat now;
        if (fstat(fd, &now) != 0 || now.st_ino != expected.st_ino) different |= 1 << fd;
      }
      kj::AutoCloseFd next(open("/", O_RDONLY | O_CLOEXEC));
      return next.get() < 3 ? 8 : different;
    });
    EXPECT_EQ(wrong, 0) << closed;
  }
}

TEST(SettleProcess, childrenAreReapedDespiteInheritedSignals) {
  auto status = inAProcessOfItsOwn([]() {
    signal(SIGCHLD, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    settleProcess();
    sigprocmask(SIG_SETMASK, nullptr, &all);
    if (sigismember(&all, SIGTERM)) return 100;
    return runProgram({"/bin/sh", "-c", "exit 7"}, seconds(10)).exitStatus;
  });
  EXPECT_EQ(status, 7);
}

TEST(SettleProcess, aFailedWriteIsAnError) {
  auto error = inAProcessOfItsOwn([]() {
    settleProcess();
    struct rlimit limit = {1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto fd = fileWith(std::string(1000, 'x'));
    return write(fd, "x", 1) < 0 ? errno : 0;
  });
  EXPECT_EQ(error, EFBIG);
}

TEST(Subprocess, socketIsInputAndOutput) {
  auto child = spawnWithSocket({"/bin/sh", "-c", "echo oops >&2; cat"});
  writeAll(child.stdio, bytesOf("there and back"));
  shutdown(child.stdio, SHUT_WR);
  std::string got;
  char buffer[100];
  for (ssize_t n; (n = read(child.stdio, buffer, sizeof(buffer))) > 0;)
    got.append(buffer, size_t(n));
  EXPECT_EQ(got, "there and back");
  int status = 0;
  EXPECT_TRUE(waitOrKill(child.pid, seconds(10), status));
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(readBack(child.errors, 1000), "oops\n");
  EXPECT_EQ(readBack(child.errors, 3), "oop");
}

}  // namespace
}  // namespace pibrain
