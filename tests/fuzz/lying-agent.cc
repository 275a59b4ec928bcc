#include "tests/fuzz/lying-agent.h"

#include <algorithm>

namespace pibrain::fuzz {

namespace {

constexpr size_t PIECE_SIZE = 4096;
constexpr int MAX_STEPS = 100;

std::string deltaFrom(kj::ArrayPtr<const kj::byte> signature, std::string_view newer) {
  Signature loaded(signature);
  DeltaReader reader(loaded, [rest = newer](kj::ArrayPtr<kj::byte> buffer) mutable {
    size_t n = std::min(buffer.size(), rest.size());
    memcpy(buffer.begin(), rest.data(), n);
    rest.remove_prefix(n);
    return n;
  });
  std::string delta;
  kj::byte buffer[PIECE_SIZE];
  for (size_t n = PIECE_SIZE; n == PIECE_SIZE;) {
    n = reader.read(kj::arrayPtr(buffer, PIECE_SIZE));
    delta += textOf(kj::arrayPtr(buffer, n));
  }
  return delta;
}

std::string deltaFrom(const std::string& basis, std::string_view newer) {
  std::string signature;
  makeSignature(fileWith(basis), basis.size(), 0, 0,
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature += textOf(bytes); });
  return deltaFrom(bytesOf(signature), newer);
}

}  // namespace

std::vector<std::string> Answers::pull(capnp::List<proto::Want>::Reader wants) {
  blocks_ = {""};
  answered_.clear();
  for (int i = 0; i < MAX_STEPS && !script_.empty(); ++i) step(wants);
  // So that the rest of a run is tested too.
  for (auto want : wants) {
    if (!answered_.contains(want.getFile())) honest(want);
  }
  return std::move(blocks_);
}

void Answers::step(capnp::List<proto::Want>::Reader wants) {
  uint8_t op = script_.byte() % OPS;
  uint8_t which = script_.byte();
  // Mostly the file of a want.
  auto want = wants[which % wants.size()];
  uint32_t file = which < 0xe0 ? want.getFile() : which - 0xe0u;
  switch (op) {
    case HONEST:
      honest(want);
      break;
    case BEGIN: {
      uint8_t how = script_.byte();
      uint64_t size = has(file) ? spoke_.files[file].content.size() : 0;
      if ((how & 0x80) != 0) size = script_.number();
      begin(file, proto::Begin::Content(how & 7), size,
            want.isPrefix() && (how & 7) == 1 ? want.getPrefix().getSize() : 0,
            (how & 7) == 3 ? script_.text() : "");
      answered_.insert(file);
      break;
    }
    case PIECE: {
      auto bytes = rest_.substr(0, which);
      rest_.erase(0, bytes.size());
      piece(bytes);
      break;
    }
    case LIE: {
      auto bytes = script_.text();
      piece(bytes, which % 2 == 0);
      break;
    }
    case END:
      end(which % 2 == 0 ? hasher_.digest() : whole_);
      break;
    case WRONG_END:
      end({which, 0});
      break;
    case DIFFERS:
      appendEvent(blocks_.back(), [&](proto::Event::Builder event) { event.setDiffers(file); });
      answered_.insert(file);
      break;
    case REFUSED:
      appendEvent(blocks_.back(), [&](proto::Event::Builder event) {
        event.initRefused().setFile(file);
        event.getRefused().setReason(proto::Reason(script_.byte()));
      });
      answered_.insert(file);
      break;
    case RAW:
      raw(script_.text());
      break;
    case BLOCK:
      if (!blocks_.back().empty()) blocks_.emplace_back();
      break;
  }
}

void Answers::honest(proto::Want::Reader want) {
  uint32_t id = want.getFile();
  answered_.insert(id);
  if (!has(id)) return;
  auto content = spoke_.files[id].content;
  switch (want.which()) {
    case proto::Want::PREFIX: {
      auto prefix = want.getPrefix();
      if (prefix.getSize() > content.size() ||
          digestOfText(content.substr(0, prefix.getSize())) != Digest::from(prefix.getHash())) {
        appendEvent(blocks_.back(), [&](proto::Event::Builder event) { event.setDiffers(id); });
        return;
      }
      begin(id, proto::Begin::Content::TAIL, content.size(), prefix.getSize());
      content.erase(0, prefix.getSize());
      break;
    }
    case proto::Want::SIGNATURE:
      begin(id, proto::Begin::Content::DELTA, content.size());
      content = deltaFrom(want.getSignature(), content);
      break;
    default:
      begin(id, proto::Begin::Content::WHOLE, content.size());
  }
  for (; !content.empty(); content.erase(0, PIECE_SIZE)) {
    piece(std::string_view(content).substr(0, PIECE_SIZE));
  }
  end(whole_);
}

void Answers::begin(uint32_t file, proto::Begin::Content content, uint64_t size, uint64_t prefix,
                    std::string_view parent) {
  hasher_ = FileHasher();
  file_ = file;
  whole_ = {};
  rest_.clear();
  if (has(file)) {
    rest_ = spoke_.files[file].content;
    whole_ = digestOfText(rest_);
    prefix = std::min<uint64_t>(prefix, rest_.size());
    hasher_.update(bytesOf(rest_.substr(0, prefix)));
    rest_.erase(0, prefix);
  }
  appendEvent(blocks_.back(), [&](proto::Event::Builder event) {
    auto out = event.initBegin();
    out.setFile(file);
    out.setContent(content);
    out.setSize(size);
    out.setMtime(has(file) ? spoke_.files[file].mtime : 0);
    out.setMode(07777);
    out.setUnsettled(size % 2 == 1);
    if (content != proto::Begin::Content::FORK) return;
    // One of the spoke's own files, or a path that does not exist.
    auto about = out.initParent();
    about.setPath(bytesOf(parent));
    for (auto& one : spoke_.files) {
      if (one.path != parent) continue;
      about.setSize(one.content.size());
      digestOfText(one.content).to(about.initHash());
      rest_ = deltaFrom(one.content, rest_);
    }
  });
}

void Answers::piece(std::string_view bytes, bool right) {
  hasher_.update(bytesOf(bytes));
  auto hash = hasher_.digest();
  if (!right) ++hash.low;
  appendEvent(blocks_.back(), [&](proto::Event::Builder event) {
    event.initData().setBytes(bytesOf(bytes));
    hash.to(event.getData().initHash());
  });
}

void Answers::raw(std::string_view message) {
  std::string framed;
  appendRawMessage(framed, message);
  blocks_.back() += framed;
  // The event may begin or end a file.
  auto words = kj::heapArray<capnp::word>(framed.size() / sizeof(capnp::word));
  memcpy(words.begin(), framed.data(), framed.size());
  tolerating([&]() {
    capnp::FlatArrayMessageReader reader(words);
    auto event = reader.getRoot<proto::Event>();
    if (event.isBegin()) file_ = event.getBegin().getFile();
    if (event.isEnd()) spoke_.ends[file_].insert(Digest::from(event.getEnd()));
  });
}

void Answers::end(Digest hash) {
  spoke_.ends[file_].insert(hash);
  appendEvent(blocks_.back(), [&](proto::Event::Builder event) { hash.to(event.initEnd()); });
}

}  // namespace pibrain::fuzz
