#pragma once

#include <kj/common.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/refcount.h>

#include <functional>
#include <memory>
#include <string>

#include "common/tree/tree.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// The files that an agent serves, and the scans whose ids name them.
class TreeSource : public kj::Refcounted {
 public:
  // Returns the path that the hub is told.
  virtual const std::string& path() const = 0;
  virtual proto::RootState state() const = 0;

  // Returns the tree as it is now. Ids of an earlier scan stay valid for whoever holds its tree.
  virtual std::shared_ptr<const Tree> scan() = 0;
  // The same, repeated a few times until no directory has changed since the scan before, which may
  // be the last one of scan(). Sets `atRest` to whether that was reached.
  virtual std::shared_ptr<const Tree> scanUntilAtRest(bool& atRest) = 0;
  // Returns the tree as it is now, without making it the one of the latest scan. `entered` as in
  // WalkOptions.
  using Entered = std::function<void(int directory, const std::string& path)>;
  virtual Tree look(const Entered& entered) const = 0;
  // Returns whether what has this path would not be served, whatever it is.
  virtual bool leavesOut(const std::string& path, bool isDirectory) const = 0;
  // The same for a directory beneath the root; paths are relative to it.
  virtual Tree lookInto(const std::string& directory, const Entered& entered) const = 0;
  // Returns an id for a file that came after the latest scan, or the one that it has. It is valid
  // until the next scan, with that scan's tree. Null: it is not a regular file, it cannot be read,
  // or there are too many.
  virtual kj::Maybe<uint32_t> include(const std::string& path) = 0;
  // Returns the latest scan's tree; null before the first.
  virtual std::shared_ptr<const Tree> tree() const = 0;

  // A regular file opened for reading, with its metadata at that time.
  struct File {
    kj::AutoCloseFd fd;
    std::string path;  // relative to path()
    uint64_t size = 0;
    int64_t mtime = 0;
    uint16_t mode = 0;
    uint64_t holes = 0;  // bytes of `size` that take no space, if they are many
  };
  // Returns the file, or the reason why it cannot be read.
  virtual kj::OneOf<File, proto::Reason> open(const Tree& tree, uint32_t id) const = 0;
};

}  // namespace pibrain
