#pragma once
// Whole reads and writes on file descriptors. Errors are thrown as KJ exceptions that carry the
// system's error, "what" said first.

#include <kj/common.h>
#include <kj/io.h>
#include <stdint.h>

#include "common/wire/digest.h"

namespace pibrain {

// Reads until `buffer` is full or the file ends; returns the bytes read.
size_t readAt(int fd, kj::ArrayPtr<kj::byte> buffer, uint64_t offset);

void writeAll(int fd, kj::ArrayPtr<const kj::byte> bytes);
void writeAllAt(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset);

// The same but for blocks of nothing but zeros: what is sparse stays so. False: it ended in such a
// block, or there was nothing to write, so extendTo() has to follow.
bool writeSparsely(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset);
// Makes a file at least so long.
void extendTo(int fd, uint64_t length);
// Whether syncfs(2) brings what was written on this file's filesystem to a disk, as far as that is
// known: most of FUSE does not know it, nor do some filesystems of other machines. There each file
// and directory wants its fsync(2).
bool syncfsReaches(int fd);

// Feeds the first `size` bytes of the file to `hasher`; returns the bytes there were, which are
// fewer if the file is shorter.
uint64_t hashPrefix(int fd, uint64_t size, FileHasher& hasher);

// Gives a file another directory or name, if nothing is there yet. Returns 0, or the error: EEXIST
// if something is. A filesystem that cannot do both at once (EINVAL of renameat2(2): NFS, some of
// FUSE) is asked first, so that there somebody else's file of that very moment could be replaced.
int renameToNew(int fromDir, const char* from, int toDir, const char* to);

}  // namespace pibrain
