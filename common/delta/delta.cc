#include "common/delta/delta.h"

#include <errno.h>
#include <kj/debug.h>
#include <kj/exception.h>
#include <kj/vector.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "common/fs/file-io.h"
#include "common/wire/digest.h"

// After stdio.h: librsync.h names FILE.
#include <librsync.h>

namespace pibrain {

namespace {

// librsync 2.3 copies all input that it is given, so it is given pieces.
constexpr size_t IN_PIECE = 64 * 1024;
constexpr size_t OUT_PIECE = 64 * 1024;

constexpr size_t SIGNATURE_HEADER = 12;
constexpr uint32_t MAX_STRONG = 32;
// librsync chooses about the square root of the size, which reaches this at 4 GiB; a larger file
// has more blocks, enough for 64 GiB. From 2.3.3 on, librsync looks at 64 Ki positions at a time,
// and a hostile signature makes it hash a block at each: with blocks of this length, for 7 s.
constexpr uint32_t MAX_BLOCK_LENGTH = 64 * 1024;

// For small files librsync chooses 256 bytes. The sums of such a block are a twentieth of it, which
// is more than smaller blocks save: the unchanged rest of a changed block compresses well.
constexpr uint64_t SMALL_FILE = 1024 * 1024;
constexpr uint32_t SMALL_BLOCK = 1024;

void check(rs_result result) {
  KJ_REQUIRE(result == RS_DONE || result == RS_BLOCKED, "librsync", rs_strerror(result));
}

uint32_t bigEndian(const kj::byte* p) {
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | p[3];
}

// Runs the job until it needs more input, has filled `out`, or is done.
rs_result iterate(rs_job_t* job, kj::ArrayPtr<const kj::byte>& in, bool eof,
                  kj::ArrayPtr<kj::byte>& out) {
  rs_buffers_t buffers;
  memset(&buffers, 0, sizeof(buffers));
  buffers.next_in = const_cast<char*>(reinterpret_cast<const char*>(in.begin()));
  buffers.avail_in = in.size();
  buffers.eof_in = eof;
  buffers.next_out = reinterpret_cast<char*>(out.begin());
  buffers.avail_out = out.size();
  rs_result result = rs_job_iter(job, &buffers);
  in = in.slice(in.size() - buffers.avail_in, in.size());
  out = out.slice(out.size() - buffers.avail_out, out.size());
  return result;
}

// librsync aborts when memory runs out, so this throws first.
void requireMemory(size_t bytes) {
  void* volatile memory = malloc(bytes);  // volatile, or a compiler removes it
  KJ_REQUIRE(memory != nullptr, "out of memory");
  free(memory);
}

// Returns the block length. Throws if `bytes` cannot be a signature.
uint32_t checkSignature(kj::ArrayPtr<const kj::byte> bytes) {
  auto [blockLength, strongLength] = lengthsIn(bytes);
  size_t entry = 4 + strongLength;
  size_t count = (bytes.size() - SIGNATURE_HEADER) / entry;
  KJ_REQUIRE(count <= Signature::MAX_BLOCKS, "a signature has too many blocks", count);

  std::vector<uint32_t> weak(count);
  for (size_t i = 0; i < count; ++i) {
    weak[i] = bigEndian(bytes.begin() + SIGNATURE_HEADER + i * entry);
  }
  std::sort(weak.begin(), weak.end());
  for (size_t i = Signature::MAX_EQUAL; i < count; ++i) {
    KJ_REQUIRE(weak[i] != weak[i - Signature::MAX_EQUAL],
               "a signature has too many blocks of one weak sum");
  }
  // librsync's list of sums grows by doubling, and its table has up to four places per block.
  requireMemory(std::bit_ceil(count) * (3 * (4 + MAX_STRONG) / 2 + 4 * sizeof(void*)) +
                4 * blockLength);
  return blockLength;
}

// Returns the signature with the first of equal blocks alone: nearly all blocks of a sparse file
// are equal, and librsync's table is quadratic in them. The other blocks get sums that no block
// has, except by chance, which costs one comparison.
std::vector<kj::byte> withoutRepeats(kj::ArrayPtr<const kj::byte> bytes) {
  std::vector<kj::byte> out(bytes.begin(), bytes.end());
  size_t entry = 4 + lengthsIn(bytes).strong;
  std::unordered_set<std::string_view> seen;
  for (size_t at = SIGNATURE_HEADER; at + entry <= out.size(); at += entry) {
    std::string_view sums(reinterpret_cast<const char*>(bytes.begin() + at), entry);
    if (seen.insert(sums).second) continue;
    uint64_t instead = XXH3_64bits(&at, sizeof(at));
    for (size_t i = 0; i < entry; ++i) out[at + i] = kj::byte(instead >> (8 * (i % 8)));
  }
  return out;
}

// Returns how many bytes of the source to read at once: librsync may hash a block at each of them,
// and the source must be asked every now and then.
size_t pieceFor(uint32_t blockLength) {
  constexpr size_t MAX_HASHED = 128 * 1024 * 1024;
  return std::clamp<size_t>(MAX_HASHED / blockLength, 256, IN_PIECE);
}

rs_result copyFromBasis(void* opaque, rs_long_t position, size_t* length, void** buffer) {
  auto& basis = *static_cast<Patcher::CopyState*>(opaque);
  rs_result result = RS_IO_ERROR;
  // No exception may cross librsync's frames.
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
                size_t n = 0;
                if (position >= 0) {
                  n = readAt(basis.fd, kj::arrayPtr(static_cast<kj::byte*>(*buffer), *length),
                             uint64_t(position));
                }
                *length = n;
                result = n == 0 ? RS_INPUT_ENDED : RS_DONE;
              })) {
    basis.error = kj::mv(*e);
  }
  return result;
}

// Zero: chosen for a file of that size.
SignatureLengths chooseLengths(uint64_t size, uint32_t blockLength, uint32_t strongLength) {
  if (blockLength == 0 && size < SMALL_FILE && size > SMALL_BLOCK) blockLength = SMALL_BLOCK;
  rs_magic_number magic = RS_RK_BLAKE2_SIG_MAGIC;
  size_t block = blockLength;
  size_t strong = strongLength;
  check(rs_sig_args(rs_long_t(size), &magic, &block, &strong));
  return {uint32_t(std::min<size_t>(block, MAX_BLOCK_LENGTH)), uint32_t(strong)};
}

}  // namespace

void initLibrsync() {
  rs_trace_to([](rs_loglevel, const char*) {});
}

void makeSignature(int fd, uint64_t size, uint32_t blockLength, uint32_t strongLength,
                   kj::FunctionParam<void(kj::ArrayPtr<const kj::byte>)> sink) {
  KJ_REQUIRE(blockLength <= MAX_BLOCK_LENGTH, "block length", blockLength);
  auto [block, strong] = chooseLengths(size, blockLength, strongLength);
  rs_job_t* job = rs_sig_begin(block, strong, RS_RK_BLAKE2_SIG_MAGIC);
  KJ_REQUIRE(job != nullptr, "librsync cannot make this signature", block, strong);
  KJ_DEFER(rs_job_free(job));

  auto in = kj::heapArray<kj::byte>(IN_PIECE);
  auto out = kj::heapArray<kj::byte>(IN_PIECE);
  kj::ArrayPtr<const kj::byte> pending;
  uint64_t offset = 0;
  for (bool eof = false;;) {
    if (pending.size() == 0 && !eof) {
      auto want = in.slice(0, kj::min(uint64_t(in.size()), size - offset));
      size_t n = readAt(fd, want, offset);
      offset += n;
      pending = in.slice(0, n);
      eof = n < want.size() || offset == size;
    }
    kj::ArrayPtr<kj::byte> room = out;
    auto result = iterate(job, pending, eof, room);
    check(result);
    size_t made = out.size() - room.size();
    if (made > 0) sink(out.slice(0, made));
    if (result == RS_DONE) return;
  }
}

uint64_t signatureLength(uint64_t size, uint32_t strongLength) {
  auto [block, strong] = chooseLengths(size, 0, strongLength);
  return SIGNATURE_HEADER + (size + block - 1) / block * (4 + strong);
}

SignatureLengths lengthsIn(kj::ArrayPtr<const kj::byte> signature) {
  KJ_REQUIRE(signature.size() >= SIGNATURE_HEADER, "a signature is cut short");
  uint32_t magic = bigEndian(signature.begin());
  uint32_t block = bigEndian(signature.begin() + 4);
  uint32_t strong = bigEndian(signature.begin() + 8);
  KJ_REQUIRE(magic == uint32_t(RS_RK_BLAKE2_SIG_MAGIC), "not a BLAKE2 signature", magic);
  KJ_REQUIRE(block > 0 && block <= MAX_BLOCK_LENGTH, "block length", block);
  KJ_REQUIRE(strong > 0 && strong <= MAX_STRONG, "strong sum length", strong);
  KJ_REQUIRE((signature.size() - SIGNATURE_HEADER) % (4 + strong) == 0, "a signature is cut short");
  return {block, strong};
}

uint64_t commonBlocks(kj::ArrayPtr<const kj::byte> one, kj::ArrayPtr<const kj::byte> other) {
  auto lengths = lengthsIn(one);
  auto others = lengthsIn(other);
  KJ_REQUIRE(lengths.block == others.block && lengths.strong == others.strong,
             "signatures of different lengths");
  size_t entry = 4 + lengths.strong;
  auto end = one.begin() + kj::min(one.size(), other.size());
  auto differs =
      std::mismatch(one.begin() + SIGNATURE_HEADER, end, other.begin() + SIGNATURE_HEADER);
  return size_t(differs.first - one.begin() - SIGNATURE_HEADER) / entry;
}

Signature::Signature(kj::ArrayPtr<const kj::byte> whole) {
  auto once = withoutRepeats(whole);
  kj::ArrayPtr<const kj::byte> bytes(once.data(), once.size());
  blockLength_ = checkSignature(bytes);
  rs_job_t* job = rs_loadsig_begin(&sums_);
  KJ_REQUIRE(job != nullptr, "out of memory");
  KJ_DEFER(rs_job_free(job));
  KJ_ON_SCOPE_FAILURE(rs_free_sumset(sums_));
  for (;;) {
    kj::ArrayPtr<const kj::byte> in = bytes.slice(0, kj::min(bytes.size(), IN_PIECE));
    size_t offered = in.size();
    kj::ArrayPtr<kj::byte> none;
    auto result = iterate(job, in, offered == bytes.size(), none);
    check(result);
    bytes = bytes.slice(offered - in.size(), bytes.size());
    if (result == RS_DONE) break;
  }
  KJ_REQUIRE(bytes.size() == 0, "a signature has trailing bytes");
  check(rs_build_hash_table(sums_));
}

Signature::~Signature() noexcept(false) { rs_free_sumset(sums_); }

DeltaReader::DeltaReader(Signature& signature, Source source)
    : job_(rs_delta_begin(signature.sums_)),
      source_(kj::mv(source)),
      in_(kj::heapArray<kj::byte>(pieceFor(signature.blockLength_))) {
  KJ_REQUIRE(job_ != nullptr, "out of memory");
}

DeltaReader::~DeltaReader() noexcept(false) { rs_job_free(job_); }

size_t DeltaReader::read(kj::ArrayPtr<kj::byte> buffer) {
  kj::ArrayPtr<kj::byte> room = buffer;
  while (!done_ && room.size() > 0) {
    if (pending_.size() == 0 && !eof_) {
      size_t n = source_(in_);
      pending_ = in_.slice(0, n);
      eof_ = n < in_.size();
    }
    kj::ArrayPtr<const kj::byte> in = pending_;
    auto result = iterate(job_, in, eof_, room);
    check(result);
    pending_ = pending_.slice(pending_.size() - in.size(), pending_.size());
    done_ = result == RS_DONE;
  }
  return buffer.size() - room.size();
}

Patcher::Patcher(int basisFd, uint64_t limit, Sink sink)
    : basis_{basisFd, nullptr},
      sink_(kj::mv(sink)),
      limit_(limit),
      out_(kj::heapArray<kj::byte>(OUT_PIECE)) {
  job_ = rs_patch_begin(copyFromBasis, &basis_);
  KJ_REQUIRE(job_ != nullptr, "out of memory");
}

Patcher::~Patcher() noexcept(false) { rs_job_free(job_); }

void Patcher::write(kj::ArrayPtr<const kj::byte> delta) {
  while (delta.size() > 0) {
    KJ_REQUIRE(!done_, "a delta goes on after its end");
    auto in = delta.slice(0, kj::min(delta.size(), IN_PIECE));
    size_t offered = in.size();
    kj::ArrayPtr<const kj::byte> rest = in;
    for (;;) {
      kj::ArrayPtr<kj::byte> room = out_;
      auto result = iterate(job_, rest, false, room);
      KJ_IF_MAYBE(e, basis_.error) kj::throwFatalException(kj::mv(*e));
      check(result);
      size_t made = out_.size() - room.size();
      KJ_REQUIRE(made <= limit_, "a delta makes more than the file's announced size");
      limit_ -= made;
      if (made > 0) sink_(out_.slice(0, made));
      done_ = result == RS_DONE;
      if (done_ || (rest.size() == 0 && room.size() > 0)) break;
    }
    delta = delta.slice(offered - rest.size(), delta.size());
  }
}

void Patcher::finish() { KJ_REQUIRE(done_, "a delta is cut short"); }

}  // namespace pibrain
