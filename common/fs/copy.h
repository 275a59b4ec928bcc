#pragma once

#include <stdint.h>

namespace pibrain {

// Copies the first `length` bytes of a file to `at` in another one, holes as holes; returns the
// bytes there were, which are fewer if the file is shorter.
uint64_t copyBytes(int from, uint64_t length, int to, uint64_t at);

// Makes the empty file `to` one of the first `length` bytes of the other, which takes no room where
// the filesystem lets two files share it. Throws if there are fewer.
void copyBeginning(int from, uint64_t length, int to);
// The first of its ways alone: false, and an empty file, if there is none, or if there are fewer.
bool shareBeginning(int from, uint64_t length, int to);

}  // namespace pibrain
