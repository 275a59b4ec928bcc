#include "common/block-stream.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/protocol.h"

namespace pibrain {

namespace {

// Both ends keep to this window: it bounds their memory. Sessions of one project repeat each other
// (prompts, the same files read again), so with 4 MiB and a hash table to match, level 1 compresses
// as well as level 3 does with its own 2 MiB, in less time.
constexpr int WINDOW_LOG = 22;
constexpr int HASH_LOG = 17;

// A stream that ends within so many bytes is compressed as one piece: zstd then makes do with tables
// and a window of its size. Those for a long stream take 5 ms to set up, on both sides together.
constexpr size_t SMALL_STREAM = 16 * 1024;

constexpr size_t SCRATCH_WORDS = MAX_PIECE / sizeof(capnp::word) + 64;

size_t checked(size_t result) {
  KJ_REQUIRE(!ZSTD_isError(result), "zstd", ZSTD_getErrorName(result));
  return result;
}

}  // namespace

BlockWriter::BlockWriter(int compressionLevel)
    : context_(ZSTD_createCCtx()),
      scratch_(static_cast<capnp::word*>(calloc(SCRATCH_WORDS, sizeof(capnp::word)))),
      out_(kj::heapArray<kj::byte>(ZSTD_compressBound(MAX_BLOCK_RAW))) {
  KJ_REQUIRE(context_ != nullptr && scratch_ != nullptr, "out of memory");
  checked(ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, compressionLevel));
  checked(ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, WINDOW_LOG));
  checked(ZSTD_CCtx_setParameter(context_, ZSTD_c_hashLog, HASH_LOG));
}

BlockWriter::~BlockWriter() noexcept(false) { ZSTD_freeCCtx(context_); }

void BlockWriter::add(kj::FunctionParam<void(proto::Event::Builder)> build) {
  tryAdd([&](proto::Event::Builder event) {
    build(event);
    return true;
  });
}

bool BlockWriter::tryAdd(kj::FunctionParam<bool(proto::Event::Builder)> build) {
  if (finished_) {
    outSize_ = raw_ = 0;
    finished_ = false;
  }
  capnp::MallocMessageBuilder message(kj::arrayPtr(scratch_.get(), SCRATCH_WORDS));
  if (!build(message.initRoot<proto::Event>())) return false;
  capnp::writeMessage(*this, message);
  return true;
}

bool BlockWriter::full() const {
  return !finished_ && (raw_ >= BLOCK_RAW || outSize_ >= BLOCK_COMPRESSED);
}

kj::ArrayPtr<const kj::byte> BlockWriter::finish(bool last) {
  if (finished_) outSize_ = raw_ = 0;
  compress(start_, last ? ZSTD_e_end : ZSTD_e_flush);
  start_.clear();
  streaming_ = true;
  finished_ = true;
  return out_.slice(0, outSize_);
}

void BlockWriter::write(const void* buffer, size_t size) {
  raw_ += size;
  auto bytes = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
  if (!streaming_ && start_.size() + size <= SMALL_STREAM) {
    start_.addAll(bytes);
    return;
  }
  compress(start_, ZSTD_e_continue);
  start_.clear();
  streaming_ = true;
  compress(bytes, ZSTD_e_continue);
}

void BlockWriter::compress(kj::ArrayPtr<const kj::byte> bytes, int operation) {
  ZSTD_inBuffer in{bytes.begin(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{out_.begin(), out_.size(), outSize_};
    size_t left = checked(
        ZSTD_compressStream2(context_, &out, &in, static_cast<ZSTD_EndDirective>(operation)));
    outSize_ = out.pos;
    if (operation == ZSTD_e_continue ? in.pos == in.size : left == 0) return;
    KJ_REQUIRE(outSize_ < out_.size(), "a block became too large");
  }
}

BlockReader::BlockReader()
    : context_(ZSTD_createDCtx()),
      buffer_(kj::heapArray<capnp::word>(MAX_BLOCK_RAW / sizeof(capnp::word))) {
  KJ_REQUIRE(context_ != nullptr, "out of memory");
  checked(ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, WINDOW_LOG));
}

BlockReader::~BlockReader() noexcept(false) { ZSTD_freeDCtx(context_); }

void BlockReader::read(kj::ArrayPtr<const kj::byte> block,
                       kj::FunctionParam<void(proto::Event::Reader)> event) {
  auto bytes = buffer_.asBytes();
  ZSTD_inBuffer in{block.begin(), block.size(), 0};
  ZSTD_outBuffer out{bytes.begin(), bytes.size(), 0};
  while (in.pos < in.size) {
    KJ_REQUIRE(out.pos < out.size, "a block decompresses to more than it may");
    checked(ZSTD_decompressStream(context_, &out, &in));
  }
  KJ_REQUIRE(out.pos < out.size, "a block decompresses to more than it may");
  KJ_REQUIRE(out.pos % sizeof(capnp::word) == 0, "a block ends inside a message");

  kj::ArrayPtr<const capnp::word> words = buffer_.slice(0, out.pos / sizeof(capnp::word));
  capnp::ReaderOptions options;
  options.nestingLimit = 8;
  while (words.size() > 0) {
    // Room for each word to be looked at a few times.
    options.traversalLimitInWords = 4 * words.size() + 64;
    capnp::FlatArrayMessageReader message(words, options);
    auto end = message.getEnd();
    KJ_REQUIRE(end > words.begin() && end <= words.end(), "a block ends inside a message");
    event(message.getRoot<proto::Event>());
    words = kj::arrayPtr(end, words.end());
  }
}

}  // namespace pibrain
