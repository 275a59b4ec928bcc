#pragma once
// Signatures and digests of the spoke's files, without their content, for `verify`.

#include <deque>
#include <memory>
#include <vector>

#include "spoke-agent/answers/event-source.h"
#include "spoke-agent/tree/tree-source.h"

namespace pibrain {

// Sends librsync's signature of one file.
class SignatureSource : public EventSource {
 public:
  SignatureSource(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree, uint32_t file,
                  uint32_t blockLength, uint32_t strongLength);

  bool produce(BlockWriter& writer) override;

 private:
  void make();

  kj::Own<TreeSource> root_;
  std::shared_ptr<const Tree> tree_;
  uint32_t file_;
  uint32_t blockLength_;
  uint32_t strongLength_;
  bool made_ = false;
  kj::Maybe<proto::Reason> refused_;
  std::vector<kj::byte> signature_;
  size_t sent_ = 0;
};

// Sends the digests of files, or of their beginnings.
class DigestSource : public EventSource {
 public:
  struct Ask {
    uint32_t file;
    uint64_t length;
  };
  DigestSource(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree, std::deque<Ask> files,
               kj::Array<kj::byte> secret)
      : root_(kj::mv(root)), tree_(kj::mv(tree)), files_(kj::mv(files)), secret_(kj::mv(secret)) {}

  bool produce(BlockWriter& writer) override;

 private:
  kj::Own<TreeSource> root_;
  std::shared_ptr<const Tree> tree_;
  std::deque<Ask> files_;
  const kj::Array<kj::byte> secret_;
};

}  // namespace pibrain
