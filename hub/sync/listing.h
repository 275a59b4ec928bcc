#pragma once
// What a scan told the hub, as plain values, every name checked (P2).

#include <stdint.h>

#include <string>
#include <vector>

#include "proto/agent.capnp.h"

namespace pibrain {

struct RemoteFile {
  uint32_t id = 0;
  std::string path;
  uint64_t size = 0;
  int64_t mtime = 0;
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
  std::vector<std::string> reserved;  // files whose names only this program may use in a mirror
  std::vector<uint32_t> unseen;       // indexes into what was known
  std::vector<std::pair<std::string, proto::Reason>> problems;
};

// Collects the events of a scan. Throws a KJ exception if the agent breaks the rules: a name that
// is not one, a file twice, no summary in front.
class ListingReader {
 public:
  // `known` is the number of digests that were sent.
  explicit ListingReader(size_t known) : known_(known) {}

  void event(proto::Event::Reader event);
  Listing take();

 private:
  void unseen(capnp::List<uint32_t>::Reader indexes);
  void directory(proto::Directory::Reader directory);

  size_t known_;
  bool summarized_ = false;
  Listing listing_;
};

// "permission denied", …: the reason in words.
const char* describe(proto::Reason reason);

}  // namespace pibrain
