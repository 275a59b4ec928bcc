#include "common/fs/file-io.h"
#include "common/fs/copy.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/exception.h>
#include <sys/mman.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(FileIo, readAtStopsAtTheEnd) {
  auto fd = fileWith("0123456789");
  auto buffer = kj::heapArray<kj::byte>(6);
  EXPECT_EQ(readAt(fd, buffer, 2), 6u);
  EXPECT_EQ(textOf(buffer), "234567");
  EXPECT_EQ(readAt(fd, buffer, 7), 3u);
  EXPECT_EQ(readAt(fd, buffer, 10), 0u);
  EXPECT_EQ(readAt(fd, buffer, 1000), 0u);
}

TEST(FileIo, writeAllAtWritesAtTheOffset) {
  auto fd = fileWith("0123456789");
  writeAllAt(fd, bytesOf("ab"), 3);
  writeAllAt(fd, bytesOf("cd"), 11);
  auto buffer = kj::heapArray<kj::byte>(20);
  size_t n = readAt(fd, buffer, 0);
  EXPECT_EQ(textOf(buffer.slice(0, n)), std::string_view("012ab56789\0cd", 13));
}

TEST(FileIo, hashPrefixStopsAtTheEnd) {
  auto content = noise(600'000, 2);
  auto fd = fileWith(content);
  struct Case {
    uint64_t asked, hashed;
  };
  for (auto [asked, hashed] : {Case{0, 0},
                               {1, 1},
                               {262'144, 262'144},
                               {262'145, 262'145},
                               {600'000, 600'000},
                               {600'001, 600'000},
                               {UINT64_MAX, 600'000}}) {
    FileHasher hasher;
    EXPECT_EQ(hashPrefix(fd, asked, hasher), hashed) << asked;
    EXPECT_EQ(hasher.digest(), digestOf(bytesOf(content).slice(0, hashed))) << asked;
  }
}

TEST(FileIo, failedCallsNameWhatWasAttempted) {
  kj::AutoCloseFd readOnly(open("/dev/null", O_RDONLY | O_CLOEXEC));
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { writeAll(readOnly, bytesOf("x")); })) {
    EXPECT_EQ(e->getType(), kj::Exception::Type::FAILED);
    EXPECT_STREQ(e->getDescription().cStr(), "cannot write: Bad file descriptor");
  } else {
    FAIL() << "a write to a descriptor for reading passed";
  }
  EXPECT_THROW(writeAllAt(readOnly, bytesOf("x"), 0), kj::Exception);
  auto buffer = kj::heapArray<kj::byte>(1);
  EXPECT_THROW(readAt(-1, buffer, 0), kj::Exception);
}

TEST(FileIo, exhaustionIsDistinguishedFromFailure) {
  for (int error : {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM}) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { throwErrno(error, "what"); })) {
      EXPECT_EQ(e->getType(), kj::Exception::Type::OVERLOADED) << error;
    } else {
      FAIL();
    }
  }
}

TEST(FileIo, reasons) {
  EXPECT_EQ(reasonOf(EACCES), proto::Reason::DENIED);
  EXPECT_EQ(reasonOf(EPERM), proto::Reason::DENIED);
  EXPECT_EQ(reasonOf(ENOENT), proto::Reason::VANISHED);
  EXPECT_EQ(reasonOf(ENOTDIR), proto::Reason::VANISHED);
  EXPECT_EQ(reasonOf(ELOOP), proto::Reason::VANISHED);
  EXPECT_EQ(reasonOf(EIO), proto::Reason::IO_ERROR);
}

TEST(FileIo, renameToNewReplacesNothing) {
  TempDir dir;
  dir.write("one", "1");
  dir.write("two", "2");
  kj::AutoCloseFd at(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(renameToNew(at, "one", at, "two"), EEXIST);
  EXPECT_EQ(dir.read("one"), "1");
  EXPECT_EQ(dir.read("two"), "2");
  EXPECT_EQ(renameToNew(at, "none", at, "three"), ENOENT);
  EXPECT_EQ(renameToNew(at, "one", at, "three"), 0);
  EXPECT_EQ(dir.read("three"), "1");
}

TEST(FileIo, mtimeIsInNanoseconds) {
  TempDir dir;
  for (int64_t time : {OLD, int64_t(0), int64_t(-1), -5 * SECOND}) {
    dir.write("file", "", time);
    EXPECT_EQ(dir.mtime("file"), time);
  }
  EXPECT_GT(wallClockNanos(), OLD);
}

TEST(FileIo, mtimesBeyondTheRangeOfNanoseconds) {
  struct Case {
    int64_t seconds, nanos, mtime;
  };
  // 64 bits hold times from -9,223,372,036.854775808 s to 9,223,372,036.854775807 s.
  for (auto [seconds, nanos, mtime] : {Case{9'223'372'036, 854'775'806, INT64_MAX - 1},
                                       {9'223'372'036, 854'775'807, INT64_MAX},
                                       {9'223'372'036, 854'775'808, INT64_MAX},
                                       {9'223'372'037, 0, INT64_MAX},
                                       {253'402'300'799, 999'999'999, INT64_MAX},
                                       {INT64_MAX, 999'999'999, INT64_MAX},
                                       {-9'223'372'037, 145'224'193, INT64_MIN + 1},
                                       {-9'223'372'037, 145'224'192, INT64_MIN},
                                       {-9'223'372'037, 145'224'191, INT64_MIN},
                                       {-9'223'372'038, 999'999'999, INT64_MIN},
                                       {INT64_MIN, 0, INT64_MIN},
                                       {-1, 999'999'999, -1},
                                       {-1, 0, -SECOND}}) {
    struct stat st = {};
    st.st_mtim.tv_sec = seconds;
    st.st_mtim.tv_nsec = nanos;
    EXPECT_EQ(mtimeOf(st), mtime) << seconds << " s, " << nanos << " ns";
  }
}

TEST(FileIo, theFirstAndTheLastMtimeCanBeSet) {
  // In memory: a filesystem on a disk may store a shorter range.
  kj::AutoCloseFd fd(memfd_create("file", MFD_CLOEXEC));
  for (int64_t time : {INT64_MIN, INT64_MIN + 1, int64_t(-1), INT64_MAX - 1, INT64_MAX}) {
    setMtime(fd, time);
    struct stat st;
    ASSERT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(mtimeOf(st), time);
  }
}

TEST(CopyBeginning, copiesExactlyTheLength) {
  auto from = fileWith("0123456789"), to = fileWith("");
  copyBeginning(from, 4, to);
  struct stat st;
  ASSERT_EQ(fstat(to, &st), 0);
  EXPECT_EQ(st.st_size, 4);
  auto longer = fileWith("");
  EXPECT_THROW(copyBeginning(from, 11, longer), kj::Exception);
}

}  // namespace
}  // namespace pibrain
