// Deltas that an agent sends, applied to a file of the mirror.
//
// Input: the announced size (a number), the size of the pieces (a byte), then the delta.

#include "tests/fuzz/fuzz.h"

#include <algorithm>

namespace pibrain::fuzz {

void run(Input input) {
  static const auto basis = fileWith(linesOf(5000, 1));
  Quiet quiet;
  uint64_t limit = input.number();
  size_t piece = input.byte() + 1u;
  auto delta = input.rest();
  uint64_t made = 0;
  tolerating([&]() {
    Patcher patcher(basis, limit, [&](kj::ArrayPtr<const kj::byte> bytes) {
      made += bytes.size();
      require(made <= limit, "a delta makes no more than announced");
      digestOf(bytes);
    });
    for (; !delta.empty(); delta.remove_prefix(std::min(piece, delta.size()))) {
      patcher.write(bytesOf(delta.substr(0, piece)));
    }
    patcher.finish();
  });
}

}  // namespace pibrain::fuzz
