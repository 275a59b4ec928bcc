#include "hub/mirror/rename.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/archive.h"

namespace pibrain {

namespace {

bool exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

std::string parentDirectory(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

// Returns whether announceMirror() made `link` for the mirror called `name` beside it.
bool leadsTo(const std::string& link, const std::string& name) {
  std::error_code none;
  return std::filesystem::read_symlink(link, none) == name;
}

[[noreturn]] void failToMove(const std::string& from, const std::string& to, int error) {
  throw Failure(
      FailureId::HUB_FILE_ERROR,
      absl::StrCat("cannot move ", inQuotes(from), " to ", inQuotes(to), ": ", strerror(error)), "",
      {{"Check both, and who owns the directory above",
        absl::StrCat("ls -ld ", escapeForTerminal(shellQuote(parentDirectory(to))), " ",
                     escapeForTerminal(shellQuote(from)))}});
}

// Flushes a directory, so that its names survive a power cut.
void settleDirectory(const std::string& path) {
  kj::AutoCloseFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) fsync(fd);
}

// Moves a directory to this name, or, if that is taken, to the next one as Archive numbers them.
void moveRun(const std::string& from, const std::string& to) {
  auto name = to;
  for (unsigned number = 2; exists(name); ++number) name = absl::StrCat(to, "~", number);
  if (rename(from.c_str(), name.c_str()) != 0) failToMove(from, name, errno);
}

}  // namespace

void announceMirror(const std::string& from, const std::string& to) {
  auto name = std::string(baseNameOf(from));
  if (leadsTo(to, name)) return;
  rmdir(to.c_str());  // an empty directory can be replaced
  if (symlink(name.c_str(), to.c_str()) != 0) {
    if (errno != EEXIST) failToMove(from, to, errno);
    throw Failure(
        FailureId::MIRROR_UNUSABLE,
        absl::StrCat("cannot move the mirror to ", inQuotes(to), ": something else is there"), "",
        {{"Check what it is, and move it away", "ls -la " + escapeForTerminal(shellQuote(to))}});
  }
  settleDirectory(parentDirectory(to));
}

void withdrawMirror(const std::string& from, const std::string& to) {
  if (leadsTo(to, std::string(baseNameOf(from)))) unlink(to.c_str());
}

void moveMirror(const std::string& from, const std::string& to) {
  auto name = std::string(baseNameOf(from));
  if (leadsTo(to, name)) {
    if (!exists(from)) return (void)unlink(to.c_str());
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
      // This filesystem cannot exchange names: for a moment there is no mirror at `to`.
      unlink(to.c_str());
      if (rename(from.c_str(), to.c_str()) != 0) failToMove(from, to, errno);
    }
  } else if (exists(from) && !exists(to) && rename(from.c_str(), to.c_str()) != 0) {
    failToMove(from, to, errno);
  }
  // After the exchange, the link leads to itself.
  if (leadsTo(from, name)) unlink(from.c_str());
  settleDirectory(parentDirectory(to));
}

void renameArchive(const std::string& archiveDir, const std::string& databaseDir,
                   const std::string& from, const std::string& to) {
  auto before = absl::StrCat(archiveDir, "/", from), after = absl::StrCat(archiveDir, "/", to);
  auto ages = archiveAgesFile(databaseDir, from), agesAfter = archiveAgesFile(databaseDir, to);
  // One of two files of counts is enough: what has no count is kept for longer.
  if (!exists(agesAfter)) {
    rename(ages.c_str(), agesAfter.c_str());
  } else {
    unlink(ages.c_str());
  }
  if (!exists(before)) return;
  Archive(archiveDir, from, 0).clearStaging();
  if (!exists(after)) {
    if (rename(before.c_str(), after.c_str()) != 0) failToMove(before, after, errno);
  } else {
    std::error_code error;
    for (auto& run : listDirectory(before, error)) {
      moveRun(absl::StrCat(before, "/", run), absl::StrCat(after, "/", run));
    }
    settleDirectory(after);
    if (rmdir(before.c_str()) != 0) failToMove(before, after, error ? error.value() : errno);
  }
  settleDirectory(archiveDir);
}

}  // namespace pibrain
