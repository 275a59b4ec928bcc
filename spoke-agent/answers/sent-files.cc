#include "spoke-agent/answers/sent-files.h"

namespace pibrain {

void SentFiles::keep(const std::string& path, const Sent& sent) {
  forget(path);
  order_.emplace_front(path, sent);
  byPath_[path] = order_.begin();
  if (order_.size() > MAX_FILES) forget(std::string(order_.back().first));
}

SentFiles::Sent* SentFiles::find(const std::string& path) {
  auto found = byPath_.find(path);
  if (found == byPath_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return &found->second->second;
}

void SentFiles::forget(const std::string& path) {
  auto found = byPath_.find(path);
  if (found == byPath_.end()) return;
  order_.erase(found->second);
  byPath_.erase(found);
}

SharedSecret SentFiles::share(kj::ArrayPtr<const kj::byte> secret) {
  if (secret_ == nullptr || *secret_ != secret) {
    order_.clear();
    byPath_.clear();
    secret_ = std::make_shared<const kj::Array<kj::byte>>(kj::heapArray(secret));
  }
  return secret_;
}

}  // namespace pibrain
