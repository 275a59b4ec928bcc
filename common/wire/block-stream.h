#pragma once
// The stream of events that the agent answers with (agent.capnp, interface Blocks): Cap'n Proto
// messages, one zstd stream (RFC 8878) across blocks, each block flushed.

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

  // Begins another stream, once the last block of this one has been taken.
  void restart(int compressionLevel);

  // Adds the event that `build` fills. Should `build` throw, nothing is added.
  void add(kj::FunctionParam<void(proto::Event::Builder)> build);

  // The same, but `build` may change its mind by returning false; returns what it did.
  bool tryAdd(kj::FunctionParam<bool(proto::Event::Builder)> build);

  // Whether nothing was added to the block yet.
  bool empty() const { return raw_.empty(); }

  // Whether the block is big enough to be sent.
  bool full() const;

  // Ends the block, and the whole stream if it is the last; returns its bytes, valid until another
  // block is ended.
  kj::ArrayPtr<const kj::byte> finish(bool last);

  // The same in two steps: another thread compresses, while the next block can be filled.
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
  // Zero between messages. From calloc(), so that a short stream touches few of its pages.
  std::unique_ptr<capnp::word[], Free> scratch_;
  std::vector<kj::byte> raw_;          // the block that is being filled
  std::vector<kj::byte> compressing_;  // the one before
  kj::Array<kj::byte> out_;
  size_t outSize_ = 0;
  Worker worker_;  // last, so that it ends first: it uses the others
};

class BlockReader {
 public:
  BlockReader();
  ~BlockReader() noexcept(false);
  KJ_DISALLOW_COPY(BlockReader);

  // Decodes a block and calls `event` for each event in it, whose contents are valid during the
  // call only. Throws a KJ exception if the block is damaged or too large.
  void read(kj::ArrayPtr<const kj::byte> block,
            kj::FunctionParam<void(proto::Event::Reader)> event);

 private:
  ZSTD_DCtx* context_;
  kj::Array<capnp::word> buffer_;
};

}  // namespace pibrain
