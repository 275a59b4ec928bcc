#pragma once

#include <stdint.h>

namespace pibrain {

// Copies the first `length` bytes of a file to offset `at` of another, holes as holes. Returns how
// many it copied: fewer if the file is shorter.
uint64_t copyBytes(int from, uint64_t length, int to, uint64_t at);

// Fills the empty file `to` with the first `length` bytes of the other, which takes no space where
// the filesystem lets two files share it. Throws if the other is shorter.
void copyBeginning(int from, uint64_t length, int to);
// The same by sharing alone. Returns false, and leaves `to` empty, if that fails.
bool shareBeginning(int from, uint64_t length, int to);

}  // namespace pibrain
