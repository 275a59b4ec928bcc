#include "common/wire/digest.h"

namespace pibrain {

Digest digestOf(kj::ArrayPtr<const kj::byte> bytes) {
  auto hash = XXH3_128bits(bytes.begin(), bytes.size());
  return {hash.low64, hash.high64};
}

}  // namespace pibrain
