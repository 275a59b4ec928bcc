#pragma once
// Whole reads and writes on file descriptors. Errors are thrown by throwErrno() (io-error.h).

#include <kj/common.h>
#include <kj/io.h>
#include <stdint.h>

#include "common/wire/digest.h"

namespace pibrain {

// Reads until `buffer` is full or the file ends. Returns how many bytes it read.
size_t readAt(int fd, kj::ArrayPtr<kj::byte> buffer, uint64_t offset);

void writeAll(int fd, kj::ArrayPtr<const kj::byte> bytes);
void writeAllAt(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset);

// The same, but skips blocks of zeros, so that a sparse file stays sparse. Returns false if the
// last block was skipped, or `bytes` is empty: extendTo() must follow.
bool writeSparsely(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset);
// Makes a file at least `length` bytes long.
void extendTo(int fd, uint64_t length);
// Returns whether syncfs(2) flushes this file's filesystem to the disk, as far as that is known.
// Most FUSE filesystems and some network filesystems do not implement it; there, each file and
// directory needs its own fsync(2).
bool syncfsReaches(int fd);

// Feeds the first `size` bytes of the file to `hasher`. Returns how many there were: fewer if the
// file is shorter.
uint64_t hashPrefix(int fd, uint64_t size, FileHasher& hasher);

// Renames a file unless the new name exists. Returns 0, or the error: EEXIST if the name exists.
// Where the filesystem cannot do both at once (EINVAL of renameat2(2): NFS, some of FUSE), the name
// is checked first, and a file that another program creates in between would be replaced.
int renameToNew(int fromDir, const char* from, int toDir, const char* to);

}  // namespace pibrain
