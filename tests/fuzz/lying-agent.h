#pragma once
// An agent whose answers to a pull follow a script of well-formed events, honest ones and lies.

#include <map>
#include <set>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

struct SpokeFile {
  std::string path;
  std::string content;
  int64_t mtime = 0;
};

// The subject of the script and of the hub's invariants.
struct Spoke {
  std::vector<SpokeFile> files;  // by id
  bool complete = true;
  // For each file, the hashes that were sent in its end event.
  std::map<uint32_t, std::set<Digest>> ends;
};

class Answers {
 public:
  // Both must outlive this object.
  Answers(Input& script, Spoke& spoke) : script_(script), spoke_(spoke) {}

  // Returns the decompressed blocks that answer these wants.
  std::vector<std::string> pull(capnp::List<proto::Want>::Reader wants);

 private:
  enum Op { HONEST, BEGIN, PIECE, LIE, END, WRONG_END, DIFFERS, REFUSED, RAW, BLOCK, OPS };

  void step(capnp::List<proto::Want>::Reader wants);
  void honest(proto::Want::Reader want);
  // The first `prefix` bytes of the file are not sent.
  void begin(uint32_t file, proto::Begin::Content content, uint64_t size, uint64_t prefix = 0,
             std::string_view parent = "");
  // Sends a piece, with the hash of all bytes so far, or another hash.
  void piece(std::string_view bytes, bool right = true);
  void end(Digest hash);
  void raw(std::string_view message);
  bool has(uint32_t file) const { return file < spoke_.files.size(); }

  Input& script_;
  Spoke& spoke_;
  std::vector<std::string> blocks_;
  std::set<uint32_t> answered_;
  // Of the file that is being sent.
  uint32_t file_ = 0;
  std::string rest_;  // what an honest agent would send next
  FileHasher hasher_;
  Digest whole_;
};

}  // namespace pibrain::fuzz
