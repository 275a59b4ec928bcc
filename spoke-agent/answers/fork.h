#pragma once
// Sessions forked from others: on disk a fork is its own header and then, mostly, a copy of its
// parent's lines.

#include <string>
#include <string_view>

#include "common/tree/tree.h"

namespace pibrain {

// What the header of a pi session (its first line, JSON) calls the session that it was forked
// from, an absolute path; empty if nothing. `beginning` is the file's first few KB.
std::string_view parentNamedIn(std::string_view beginning);

// The file of the tree which that is: the path's longest end that is one of the tree's, since the
// root may have been somewhere else, or have another name; or else a file of that name in
// `directory`, the fork's own, since projects are renamed.
kj::Maybe<uint32_t> findParent(const Tree& tree, std::string_view path, std::string_view directory);

}  // namespace pibrain
