#pragma once
// Whole reads and writes on file descriptors. Errors are thrown as KJ exceptions that carry the
// system's error, "what" said first.

#include <kj/common.h>
#include <kj/io.h>
#include <stdint.h>
#include <sys/stat.h>

#include <string>

#include "common/wire/digest.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// Reads until `buffer` is full or the file ends; returns the bytes read.
size_t readAt(int fd, kj::ArrayPtr<kj::byte> buffer, uint64_t offset);

void writeAll(int fd, kj::ArrayPtr<const kj::byte> bytes);
void writeAllAt(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset);

// The same but for blocks of nothing but zeros: what is sparse stays so. extendTo() is to follow,
// since zeros at the end are not written.
void writeSparsely(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset);
// Makes a file at least so long.
void extendTo(int fd, uint64_t length);
// Copies the first `length` bytes of a file to `at` in another one, holes as holes; returns the
// bytes there were, which are fewer if the file is shorter.
uint64_t copyBytes(int from, uint64_t length, int to, uint64_t at);

// Makes the empty file `to` one of the first `length` bytes of the other, which takes no room where
// the filesystem lets two files share it. Throws if there are fewer.
void copyBeginning(int from, uint64_t length, int to);
// The first of its ways alone: false, and an empty file, if there is none, or if there are fewer.
bool shareBeginning(int from, uint64_t length, int to);

// Whether syncfs(2) brings what was written on this file's filesystem to a disk, as far as that is
// known: most of FUSE does not know it, nor do some filesystems of other machines. There each file
// and directory wants its fsync(2).
bool syncfsReaches(int fd);

// Feeds the first `size` bytes of the file to `hasher`; returns the bytes there were, which are
// fewer if the file is shorter.
uint64_t hashPrefix(int fd, uint64_t size, FileHasher& hasher);

// Modification time in nanoseconds since the epoch. What these cannot say (before 1677, after 2262)
// is INT64_MIN or INT64_MAX.
int64_t mtimeOf(const struct stat& st);

// Gives a file another directory or name, if nothing is there yet. Returns 0, or the error: EEXIST
// if something is. A filesystem that cannot do both at once (EINVAL of renameat2(2): NFS, some of
// FUSE) is asked first, so that there somebody else's file of that very moment could be replaced.
int renameToNew(int fromDir, const char* from, int toDir, const char* to);

// Sets the modification and access times. Throws.
void setMtime(int fd, int64_t nanos);
// The same for an entry of a directory; a symlink's own.
void setMtimeOf(int dir, const std::string& name, int64_t nanos);

int64_t wallClockNanos();

// The reason to give the other side for a failed system call.
proto::Reason reasonOf(int error);

// A system call failed: throws a KJ exception that says `what` and the error's text. Out of
// memory, descriptors or space is OVERLOADED, everything else FAILED.
[[noreturn]] void throwErrno(int error, const std::string& what);

}  // namespace pibrain
