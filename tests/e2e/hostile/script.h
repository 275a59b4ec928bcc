#pragma once
// The script of a hostile agent: honest answers, any of which a case may replace.

#include <kj/async-io.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/wire/block-stream.h"
#include "common/wire/digest.h"
#include "proto/agent.capnp.h"

namespace hostile {

namespace proto = pibrain::proto;

struct Block {
  kj::Array<kj::byte> bytes;
  bool last;
};

// Answers one next() after the other.
using Blocks = std::function<kj::Promise<Block>()>;

using Fill = std::function<void(proto::Event::Builder)>;
using Fills = std::vector<Fill>;

// A want, as it arrived.
struct Asked {
  uint32_t file;
  proto::Want::Which which;
};

struct Script {
  std::function<void(proto::Peer::Builder)> hello = [](proto::Peer::Builder) {};
  std::function<Blocks()> listing;
  std::function<Blocks(const std::vector<Asked>&)> pull;
  std::function<Blocks()> describe, digest, signature, watch;
  // The call that an exception of this text and type answers.
  std::string throwing, text;
  kj::Exception::Type type = kj::Exception::Type::FAILED;
  std::string mute;        // the call that is not answered
  bool dribbling = false;  // whether everything after the first block is sent byte by byte
};

using Scripts = std::map<std::string, std::function<Script()>>;
// The cases, by name.
Scripts listingScripts();
Scripts transferScripts();
Scripts verifyScripts();
Scripts watchScripts();

// Cases that do not speak valid Cap'n Proto: they write raw bytes.
using Raw = std::function<void(kj::AsyncIoStream&, kj::AsyncIoContext&)>;
std::map<std::string, Raw> rawScripts();

// The mirror has a file with this content at "p/a.jsonl".
std::string mirrored();

// ---- streams of blocks

// All of these events, in one block.
Blocks events(Fills fills);
// The same, then events of `next`, endlessly.
Blocks endless(Fills first, std::function<Fill()> next);
// The same, but a block for each event.
Blocks singly(Fills first, std::function<Fill()> next);
// These events, then silence.
Blocks stalling(Fills fills);
// Raw bytes, in one block.
Blocks bytes(std::string block, bool last = true);
// Empty blocks, endlessly.
Blocks emptyBlocks();

// ---- events

capnp::Data::Reader dataOf(const std::string& text);

Fill summary(uint32_t files, proto::Summary::State state = proto::Summary::State::LISTED,
             bool complete = true);
struct Item {
  std::string name;
  uint64_t size = 16;
  int64_t mtime = 1'700'000'000'000'000'000;
};
Fill directory(std::string path, std::vector<Item> items, uint32_t firstFile = 0);
// A listing of one directory.
Blocks listingOf(std::string path, std::vector<Item> items);

Fill begin(uint32_t file, proto::Begin::Content content, uint64_t size);
Fill fork(uint32_t file, uint64_t size, std::string parent, uint64_t parentSize,
          pibrain::Digest parentHash);
// A piece, with the hash of `soFar`, the file up to the end of the piece.
Fill data(std::string piece, pibrain::Digest soFar);
Fill data(std::string piece, const std::string& soFar);
Fill end(std::string content);
Fill differs(uint32_t file);
Fill refused(uint32_t file, proto::Reason reason = proto::Reason::IO_ERROR);
Fills whole(uint32_t file, std::string content);

pibrain::Digest hashOf(const std::string& text);

}  // namespace hostile
