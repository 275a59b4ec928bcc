#pragma once
// What a scan told the hub, as plain values, every name checked (P2).

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
  uint16_t mode = 0;  // permission bits; 0: the agent does not say
};

struct Listing {
  proto::Summary::State state = proto::Summary::State::SAME;
  bool complete = false;
  uint32_t files = 0;  // on the spoke in all
  uint64_t bytes = 0;
  uint32_t symlinksSkipped = 0;
  uint32_t specialsSkipped = 0;

  std::vector<std::string> directories;  // those whose files are listed
  std::vector<RemoteFile> listed;
  std::vector<RemoteFile> leftOut;       // what MirrorSummary::leaveOut covers
  std::vector<std::string> reserved;     // files whose names only this program may use in a mirror
  std::vector<uint32_t> missingOnSpoke;  // indexes into what was known
  std::vector<std::pair<std::string, proto::Reason>> problems;
  std::vector<std::string>
      skipped;  // the paths of symlinks and the like, as far as they were named
  // If the listing was to be of a tree at rest: whether it is.
  proto::Summary::Rest rest = proto::Summary::Rest::UNSAID;

  // Whether each entry that was skipped was named.
  bool namesAllSkipped() const {
    return skipped.size() >= uint64_t(symlinksSkipped) + specialsSkipped;
  }
};

// Collects the events of a scan. Throws a KJ exception if the agent breaks the rules: a name that
// is not one, a file twice, no summary in front; Failure if it lists more than fits in memory.
class ListingReader {
 public:
  // `known` is what was sent, and has to outlive this object; `maxHeld` is the memory in bytes that
  // the listing, and the plan made of it, may take.
  explicit ListingReader(const MirrorSummary& known, uint64_t maxHeld = UINT64_MAX)
      : known_(known), maxHeld_(maxHeld), missingOnSpoke_(known.digests.size()) {}

  void event(proto::Event::Reader event);

  // Ids of files whose fingerprint matches nothing in the mirror. Ask for their entries before
  // calling finish().
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
  std::unordered_map<uint32_t, size_t> unknown_;      // of each, its directory in listing_
  std::vector<bool> missingOnSpoke_;                  // by index
  bool summarized_ = false;
  uint64_t held_ = 0;  // bytes that the listing takes, about
  Listing listing_;
};

}  // namespace pibrain
