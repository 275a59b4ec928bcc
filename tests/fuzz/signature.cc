// Signatures that a hub sends, and deltas made with them.
//
// Input: a byte of options, then
//   SHAPED      block length (a number), strong length (a byte), the file (a text; empty: one that
//               repeats itself), and the sums: a signature with a valid header and whole sums
//   ROUND_TRIP  a basis (a text), and the new file: the basis is signed, a delta made, and applied
//   otherwise   the file (a text), and the raw signature

#include <string.h>

#include <algorithm>

#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

namespace {

constexpr uint8_t SHAPED = 1, ROUND_TRIP = 2, SMALL_BUFFER = 4;
constexpr uint32_t MAGIC = 0x72730147;  // RS_RK_BLAKE2_SIG_MAGIC

void appendBigEndian(std::string& out, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += char(number >> shift);
}

std::string deltaOf(std::string_view signature, std::string_view newer, bool smallBuffer) {
  Signature loaded(bytesOf(signature));
  DeltaReader reader(loaded, [rest = newer](kj::ArrayPtr<kj::byte> buffer) mutable {
    size_t n = std::min(buffer.size(), rest.size());
    memcpy(buffer.begin(), rest.data(), n);
    rest.remove_prefix(n);
    return n;
  });
  std::string delta;
  auto buffer = kj::heapArray<kj::byte>(smallBuffer ? 7 : 8192);
  for (size_t n = buffer.size(); n == buffer.size();) {
    n = reader.read(buffer);
    delta += textOf(buffer.slice(0, n));
  }
  return delta;
}

void roundTrip(std::string_view basis, std::string_view newer, bool smallBuffer) {
  std::string signature, patched;
  auto file = fileWith(basis);
  makeSignature(file, basis.size(), 0, 0,
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature += textOf(bytes); });
  auto delta = deltaOf(signature, newer, smallBuffer);
  Patcher patcher(file, newer.size(),
                  [&](kj::ArrayPtr<const kj::byte> bytes) { patched += textOf(bytes); });
  patcher.write(bytesOf(delta));
  patcher.finish();
  require(patched == newer, "the patched file is the new file");
}

}  // namespace

void run(Input input) {
  static const std::string repeating = linesOf(100, 1) + linesOf(3000, 2) + linesOf(100, 1);
  Quiet quiet;
  uint8_t options = input.byte();
  bool small = (options & SMALL_BUFFER) != 0;
  if ((options & ROUND_TRIP) != 0) {
    auto basis = input.text();
    // Errors are findings here, since all parts are our own.
    return roundTrip(basis, input.rest(), small);
  }
  std::string signature;
  uint8_t strong = 0;
  if ((options & SHAPED) != 0) {
    appendBigEndian(signature, MAGIC);
    appendBigEndian(signature, uint32_t(input.number()));
    strong = uint8_t(input.byte() % 33);
    appendBigEndian(signature, strong);
  }
  auto file = input.text();
  auto sums = input.rest();
  if ((options & SHAPED) != 0) sums = sums.substr(0, sums.size() - sums.size() % (4 + strong));
  signature += sums;
  tolerating([&]() { deltaOf(signature, file.empty() ? repeating : file, small); });
}

}  // namespace pibrain::fuzz
