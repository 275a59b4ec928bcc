#include "common/wire/block-stream.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/wire/protocol.h"

namespace pibrain {

namespace {

// Both ends use this window, which bounds their memory. Sessions of one project repeat each other
// (the same prompts, the same files read again), so level 1 with 8 MiB and a larger hash table
// compresses as well as level 3 with its own 2 MiB, in less time.
constexpr int WINDOW_LOG = 23;
constexpr int HASH_LOG = 17;

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
  restart(compressionLevel);
  checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, WINDOW_LOG));
  checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_hashLog, HASH_LOG));
}

void BlockWriter::Free::operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }

void BlockWriter::restart(int compressionLevel) {
  checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, compressionLevel));
}

void BlockWriter::add(kj::FunctionParam<void(proto::Event::Builder)> build) {
  tryAdd([&](proto::Event::Builder event) {
    build(event);
    return true;
  });
}

bool BlockWriter::tryAdd(kj::FunctionParam<bool(proto::Event::Builder)> build) {
  capnp::MallocMessageBuilder message(kj::arrayPtr(scratch_.get(), SCRATCH_WORDS));
  if (!build(message.initRoot<proto::Event>())) return false;
  capnp::writeMessage(*this, message);
  return true;
}

void BlockWriter::write(const void* buffer, size_t size) {
  auto* bytes = static_cast<const kj::byte*>(buffer);
  raw_.insert(raw_.end(), bytes, bytes + size);
}

bool BlockWriter::full() const { return raw_.size() >= BLOCK_RAW; }

void BlockWriter::endBlock() {
  compressing_.swap(raw_);
  raw_.clear();
}

void BlockWriter::begin(bool last) {
  endBlock();
  worker_.begin([this, last]() { compress(last); });
}

kj::ArrayPtr<const kj::byte> BlockWriter::take() {
  worker_.wait();
  return out_.slice(0, outSize_);
}

kj::ArrayPtr<const kj::byte> BlockWriter::finish(bool last) {
  endBlock();
  compress(last);
  return out_.slice(0, outSize_);
}

void BlockWriter::compress(bool last) {
  // If the last block is also the first, zstd knows the whole size and uses tables and a window of
  // that size: those for a long stream take milliseconds to set up.
  ZSTD_inBuffer in{compressing_.data(), compressing_.size(), 0};
  ZSTD_outBuffer out{out_.begin(), out_.size(), 0};
  size_t left =
      checked(ZSTD_compressStream2(context_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_flush));
  KJ_REQUIRE(left == 0, "a block is too large");
  outSize_ = out.pos;
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
    // Lets each word be read a few times.
    options.traversalLimitInWords = 4 * words.size() + 64;
    capnp::FlatArrayMessageReader message(words, options);
    auto end = message.getEnd();
    KJ_REQUIRE(end > words.begin() && end <= words.end(), "a block ends inside a message");
    event(message.getRoot<proto::Event>());
    words = kj::arrayPtr(end, words.end());
  }
}

}  // namespace pibrain
