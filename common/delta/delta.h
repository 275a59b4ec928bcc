#pragma once
// librsync (https://librsync.github.io): signatures of a basis, deltas against a signature, and
// patching a basis with a delta. The signature format is RS_BLAKE2_SIG with Rabin-Karp rolling
// sums (RS_RK_BLAKE2_SIG_MAGIC). A delta carries no checksum: the caller must check the result.
//
// Everything throws KJ exceptions. A peer's bytes are checked before librsync sees them.

#include <kj/array.h>
#include <kj/common.h>
#include <kj/exception.h>
#include <kj/function.h>
#include <stdint.h>

typedef struct rs_job rs_job_t;
typedef struct rs_signature rs_signature_t;

namespace pibrain {

// Called once, before threads start. Silences librsync's messages.
void initLibrsync();

// Makes the signature of the first `size` bytes of the file, passing pieces of it to `sink`.
// A length of zero is chosen by the size.
void makeSignature(int fd, uint64_t size, uint32_t blockLength, uint32_t strongLength,
                   kj::FunctionParam<void(kj::ArrayPtr<const kj::byte>)> sink);

// Returns how many bytes that signature will have.
uint64_t signatureLength(uint64_t size, uint32_t strongLength);

// Returns the lengths in a signature's header. Throws if `signature` cannot be one.
struct SignatureLengths {
  uint32_t block;
  uint32_t strong;
};
SignatureLengths lengthsIn(kj::ArrayPtr<const kj::byte> signature);

// Returns how many blocks two files with these signatures have in common, from the first block on.
// The signatures must have the same lengths.
uint64_t commonBlocks(kj::ArrayPtr<const kj::byte> one, kj::ArrayPtr<const kj::byte> other);

// A loaded signature, ready for deltas.
class Signature {
 public:
  // Throws if `bytes` cannot be a signature: another magic, absurd lengths, cut short, more than
  // MAX_BLOCKS, or more than MAX_EQUAL blocks of one weak sum (a table of those is quadratic).
  explicit Signature(kj::ArrayPtr<const kj::byte> bytes);
  ~Signature() noexcept(false);
  KJ_DISALLOW_COPY(Signature);

  static constexpr size_t MAX_BLOCKS = 1 << 20;
  static constexpr size_t MAX_EQUAL = 512;

 private:
  friend class DeltaReader;
  rs_signature_t* sums_ = nullptr;
  uint32_t blockLength_ = 0;
};

// The delta that turns a basis, known by its signature, into the source.
class DeltaReader {
 public:
  // Fills the buffer with the next bytes of the source. Returns fewer at its end.
  using Source = kj::Function<size_t(kj::ArrayPtr<kj::byte>)>;

  // `signature` must outlive this object and serve only one DeltaReader.
  DeltaReader(Signature& signature, Source source);
  ~DeltaReader() noexcept(false);
  KJ_DISALLOW_COPY(DeltaReader);

  // Fills `buffer` with the next bytes of the delta. Returns fewer at its end.
  size_t read(kj::ArrayPtr<kj::byte> buffer);

 private:
  rs_job_t* job_;
  Source source_;
  kj::Array<kj::byte> in_;
  kj::ArrayPtr<kj::byte> pending_;
  bool eof_ = false;
  bool done_ = false;
};

// Applies a delta that arrives in pieces.
class Patcher {
 public:
  using Sink = kj::Function<void(kj::ArrayPtr<const kj::byte>)>;

  // Reads the basis from `basisFd` (not owned). Throws rather than give `sink` more than `limit`
  // bytes.
  Patcher(int basisFd, uint64_t limit, Sink sink);
  ~Patcher() noexcept(false);
  KJ_DISALLOW_COPY(Patcher);

  void write(kj::ArrayPtr<const kj::byte> delta);

  // Throws unless the delta has ended and nothing followed its end.
  void finish();

  struct CopyState {
    int fd;
    kj::Maybe<kj::Exception> error;
  };

 private:
  rs_job_t* job_;
  CopyState basis_;
  Sink sink_;
  uint64_t limit_;
  kj::Array<kj::byte> out_;
  bool done_ = false;
};

}  // namespace pibrain
