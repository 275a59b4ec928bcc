#pragma once

#include <kj/common.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/refcount.h>

#include <memory>
#include <string>

#include "common/tree/tree.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// The files that an agent serves, and the scans by whose ids they are named.
class TreeSource : public kj::Refcounted {
 public:
  // Where they are, as told to the hub.
  virtual const std::string& path() const = 0;
  virtual proto::RootState state() const = 0;

  // The tree as it is now. Ids of earlier scans stay valid for those who hold their tree.
  virtual std::shared_ptr<const Tree> scan() = 0;
  // The same, a few times if need be, until no directory changed since the scan before. That may be
  // the last scan's. Sets `atRest` to whether that came to pass.
  virtual std::shared_ptr<const Tree> scanUntilAtRest(bool& atRest) = 0;
  // The latest scan's tree; null before the first.
  virtual std::shared_ptr<const Tree> tree() const = 0;

  // A regular file, opened for reading, as it was when it was opened.
  struct File {
    kj::AutoCloseFd fd;
    std::string path;  // relative to path()
    uint64_t size = 0;
    int64_t mtime = 0;
    uint16_t mode = 0;
    uint64_t holes = 0;  // bytes of `size` that take no room, if they are many
  };
  // The file, or the reason why it cannot be read.
  virtual kj::OneOf<File, proto::Reason> open(const Tree& tree, uint32_t id) const = 0;
};

}  // namespace pibrain
