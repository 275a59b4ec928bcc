#pragma once
// Sessions forked from others. On disk, a fork is a header of its own, and then mostly a copy of
// its parent's lines.

#include <string>
#include <string_view>

#include "common/tree/tree.h"

namespace pibrain {

// Returns the absolute path of the session that a pi session was forked from, by its header (its
// first line, JSON); empty if there is none. `beginning` is the file's first few KB.
std::string_view parentNamedIn(std::string_view beginning);

// Returns the file of the tree that this path names. That is the longest end of the path that the
// tree has, since the root may have been moved or renamed; or else a file of that name in
// `directory`, the fork's own, since projects are renamed.
kj::Maybe<uint32_t> findParent(const Tree& tree, std::string_view path, std::string_view directory);

}  // namespace pibrain
