#include "spoke-agent/answers/inspect.h"

#include "common/delta/delta.h"
#include "common/fs/file-io.h"
#include "common/wire/digest.h"
#include "common/wire/protocol.h"
#include "spoke-agent/answers/pull.h"

namespace pibrain {

SignatureSource::SignatureSource(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree,
                                 uint32_t file, uint32_t blockLength, uint32_t strongLength)
    : root_(kj::mv(root)),
      tree_(kj::mv(tree)),
      file_(file),
      blockLength_(blockLength),
      strongLength_(strongLength) {}

void SignatureSource::make() {
  auto opened = root_->open(*tree_, file_);
  if (opened.is<proto::Reason>()) {
    refused_ = opened.get<proto::Reason>();
    return;
  }
  auto& file = opened.get<TreeSource::File>();
  // Keeps the signature small, whatever block length was requested.
  if (blockLength_ > 0 && file.size / blockLength_ > Signature::MAX_BLOCKS / 8) {
    refused_ = proto::Reason::BAD_REQUEST;
    return;
  }
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
                makeSignature(file.fd, file.size, blockLength_, strongLength_,
                              [&](kj::ArrayPtr<const kj::byte> bytes) {
                                signature_.insert(signature_.end(), bytes.begin(), bytes.end());
                              });
              })) {
    refused_ = proto::Reason::BAD_REQUEST;
  }
}

bool SignatureSource::produce(BlockWriter& writer) {
  if (!made_) make();
  made_ = true;
  KJ_IF_MAYBE(reason, refused_) {
    refuse(writer, file_, *reason);
    return false;
  }
  size_t size = kj::min(signature_.size() - sent_, MAX_PIECE);
  writer.add([&](proto::Event::Builder event) {
    event.setSignature(kj::arrayPtr(signature_.data() + sent_, size));
  });
  sent_ += size;
  return sent_ < signature_.size();
}

bool DigestSource::produce(BlockWriter& writer) {
  if (files_.empty()) return false;
  // Not a structured binding, which clang 14 cannot capture.
  auto id = files_.front().file;
  auto length = files_.front().length;
  files_.pop_front();
  auto opened = root_->open(*tree_, id);
  if (opened.is<proto::Reason>()) {
    refuse(writer, id, opened.get<proto::Reason>());
    return !files_.empty();
  }
  auto& file = opened.get<TreeSource::File>();
  FileHasher hasher(secret_);
  uint64_t size = 0, wanted = kj::min(file.size, length);
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { size = hashPrefix(file.fd, wanted, hasher); })) {
    refuse(writer, id, proto::Reason::IO_ERROR);
    return !files_.empty();
  }
  writer.add([&](proto::Event::Builder event) {
    auto digest = event.initDigest();
    digest.setFile(id);
    digest.setSize(size);
    hasher.digest().to(digest.initHash());
  });
  return !files_.empty();
}

}  // namespace pibrain
