#pragma once
// The result of a scan, as plain values; every name is checked (P2).

#include <stdint.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "common/tree/tree.h"
#include "hub/agent/mirror-summary.h"
#include "proto/agent.capnp.h"

namespace pibrain {

struct RemoteFile {
  uint32_t id = 0;
  std::string path;
  uint64_t size = 0;
  int64_t mtime = 0;
  uint16_t mode = 0;  // permission bits; 0: not sent

  bool operator==(const RemoteFile&) const = default;
};

struct Listing {
  proto::Summary::State state = proto::Summary::State::SAME;
  bool complete = false;
  uint32_t files = 0;  // all files on the spoke
  uint64_t bytes = 0;
  uint32_t symlinksSkipped = 0;
  uint32_t specialsSkipped = 0;

  std::vector<std::string> directories;  // directories whose files are listed
  std::vector<RemoteFile> listed;
  std::vector<RemoteFile> leftOut;       // what MirrorSummary::leaveOut covers
  std::vector<std::string> reserved;     // files with names that are reserved in a mirror
  std::vector<uint32_t> missingOnSpoke;  // indexes into MirrorSummary::digests
  std::vector<std::pair<std::string, proto::Reason>> problems;
  std::vector<std::string>
      skipped;  // paths of symlinks and special files, as far as they were named
  // Whether the tree was at rest, if that was requested.
  proto::Summary::Rest rest = proto::Summary::Rest::UNSAID;

  // Returns whether another scan, that was told the same of the mirror, says the same of the files.
  bool sameFiles(const Listing& other) const;
  // Returns whether all skipped entries were named.
  bool namesAllSkipped() const {
    return skipped.size() >= uint64_t(symlinksSkipped) + specialsSkipped;
  }
};

// Returns whether the mirror uses this path itself.
bool isReserved(const std::string& path);

// Collects the events of a scan. Throws a KJ exception if the agent breaks the protocol (an invalid
// name, a duplicate file, no summary first), and Failure if it lists more than the memory limit.
class ListingReader {
 public:
  // `known`: what was sent; must outlive this object. `maxHeld`: the memory limit in bytes for the
  // listing and the plan made from it.
  explicit ListingReader(const MirrorSummary& known, uint64_t maxHeld = UINT64_MAX)
      : known_(known), maxHeld_(maxHeld), missingOnSpoke_(known.digests.size()) {}

  void event(proto::Event::Reader event);

  // Returns the ids of files whose fingerprint matches nothing in the mirror. Request their entries
  // before calling finish().
  std::vector<uint32_t> unresolved() const;

  Listing finish();

 private:
  void chargeMemory(size_t bytes);
  void problem(proto::Problem::Reader problem);
  void missingOnSpoke(capnp::List<uint32_t>::Reader indexes);
  void directory(proto::Directory::Reader directory);
  void entry(proto::FileEntry::Reader entry);
  void fingerprint(uint32_t id, uint64_t fingerprint);
  void skipped(capnp::Data::Reader path);
  void file(uint32_t id, size_t directory, std::string_view name, uint64_t size, int64_t mtime,
            uint16_t mode);
  void indexMirror();

  const MirrorSummary& known_;
  const uint64_t maxHeld_;
  std::unordered_map<uint64_t, Tree::Found> mirror_;  // by fingerprint
  std::unordered_map<uint32_t, size_t> unknown_;      // index of each file's directory in listing_
  std::vector<bool> missingOnSpoke_;                  // by index
  bool summarized_ = false;
  uint64_t held_ = 0;  // estimated bytes of the listing
  Listing listing_;
};

}  // namespace pibrain
