#include "spoke-agent/answers/sent-files.h"

namespace pibrain {

SharedSecret SentFiles::share(kj::ArrayPtr<const kj::byte> secret) {
  if (secret_ == nullptr || *secret_ != secret) {
    clear();
    secret_ = std::make_shared<const kj::Array<kj::byte>>(kj::heapArray(secret));
  }
  return secret_;
}

}  // namespace pibrain
