#pragma once
// An agent whose answers to a pull follow a script: well-formed events that are honest, or not.

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

// What the script and the hub's invariants are about.
struct Spoke {
  std::vector<SpokeFile> files;  // by id
  bool complete = true;
  // For each file, the hashes that were given as its end.
  std::map<uint32_t, std::set<Digest>> ends;
};

class Answers {
 public:
  // Both outlive this object.
  Answers(Input& script, Spoke& spoke) : script_(script), spoke_(spoke) {}

  // The decompressed blocks that answer these wants.
  std::vector<std::string> pull(capnp::List<proto::Want>::Reader wants);

 private:
  enum Op { HONEST, BEGIN, PIECE, LIE, END, WRONG_END, DIFFERS, REFUSED, RAW, BLOCK, OPS };

  void step(capnp::List<proto::Want>::Reader wants);
  void honest(proto::Want::Reader want);
  // Its first `prefix` bytes are not sent.
  void begin(uint32_t file, proto::Begin::Content content, uint64_t size, uint64_t prefix = 0,
             std::string_view parent = "");
  // A piece, with the hash of all so far or another.
  void piece(std::string_view bytes, bool right = true);
  void end(Digest hash);
  void raw(std::string_view message);
  bool has(uint32_t file) const { return file < spoke_.files.size(); }

  Input& script_;
  Spoke& spoke_;
  std::vector<std::string> blocks_;
  std::set<uint32_t> answered_;
  // Of the file that has begun.
  uint32_t file_ = 0;
  std::string rest_;  // what honesty would send next
  FileHasher hasher_;
  Digest whole_;
};

}  // namespace pibrain::fuzz
