#pragma once
// The stream of events that the agent sends (agent.capnp, interface Blocks): Cap'n Proto messages
// in one zstd stream (RFC 8878) across blocks, each block flushed.

#include <capnp/common.h>
#include <kj/array.h>
#include <kj/function.h>
#include <kj/io.h>
#include <stdlib.h>

#include <memory>
#include <vector>

#include "common/wire/worker.h"
#include "proto/agent.capnp.h"

typedef struct ZSTD_CCtx_s ZSTD_CCtx;
typedef struct ZSTD_DCtx_s ZSTD_DCtx;

namespace pibrain {

class BlockWriter : private kj::OutputStream {
 public:
  explicit BlockWriter(int compressionLevel);
  KJ_DISALLOW_COPY(BlockWriter);

  // Begins another stream. Called once the last block of this one has been taken.
  void restart(int compressionLevel);

  // Adds the event that `build` fills. If `build` throws, nothing is added.
  void add(kj::FunctionParam<void(proto::Event::Builder)> build);

  // The same, but nothing is added if `build` returns false. Returns what `build` did.
  bool tryAdd(kj::FunctionParam<bool(proto::Event::Builder)> build);

  // Returns whether the block has no event yet.
  bool empty() const { return raw_.empty(); }

  // Returns whether the block is large enough to be sent.
  bool full() const;

  // Ends the block, and the whole stream if it is the last. Returns its bytes, which are valid
  // until the next block ends.
  kj::ArrayPtr<const kj::byte> finish(bool last);

  // The same in two steps: another thread compresses while the next block is filled.
  void begin(bool last);
  kj::ArrayPtr<const kj::byte> take();

 private:
  void write(const void* buffer, size_t size) override;
  void endBlock();
  void compress(bool last);

  struct Free {
    void operator()(capnp::word* words) const { free(words); }
    void operator()(ZSTD_CCtx* context) const;
  };

  std::unique_ptr<ZSTD_CCtx, Free> context_;
  // All zero between messages. From calloc(), so that a short stream touches few of its pages.
  std::unique_ptr<capnp::word[], Free> scratch_;
  std::vector<kj::byte> raw_;          // the block that is being filled
  std::vector<kj::byte> compressing_;  // the one before
  kj::Array<kj::byte> out_;
  size_t outSize_ = 0;
  Worker worker_;  // last, so that it is destroyed first: it uses the others
};

class BlockReader {
 public:
  BlockReader();
  ~BlockReader() noexcept(false);
  KJ_DISALLOW_COPY(BlockReader);

  // Decodes a block and calls `event` for each event in it. An event is valid during that call
  // alone. Throws a KJ exception if the block is damaged or too large.
  void read(kj::ArrayPtr<const kj::byte> block,
            kj::FunctionParam<void(proto::Event::Reader)> event);

 private:
  ZSTD_DCtx* context_;
  kj::Array<capnp::word> buffer_;
};

}  // namespace pibrain
