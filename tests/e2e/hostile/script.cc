#include "tests/e2e/hostile/script.h"

#include <memory>

namespace hostile {

std::string mirrored() {
  std::string content;
  for (int i = 0; i < 2048; ++i) content += "0123456789abcde\n";
  return content;
}

namespace {

// Fills blocks from `produce`, which returns whether there is more.
Blocks streamOf(std::function<bool(pibrain::BlockWriter&)> produce) {
  auto writer = std::make_shared<pibrain::BlockWriter>(1);
  return [=]() -> kj::Promise<Block> {
    bool more = true;
    while (more && !writer->full()) more = produce(*writer);
    return Block{kj::heapArray(writer->finish(!more)), !more};
  };
}

}  // namespace

Blocks events(Fills fills) {
  return streamOf([fills, next = size_t(0)](pibrain::BlockWriter& writer) mutable {
    if (next < fills.size()) writer.add(fills[next++]);
    return next < fills.size();
  });
}

Blocks endless(Fills first, std::function<Fill()> next) {
  return streamOf([=, done = size_t(0)](pibrain::BlockWriter& writer) mutable {
    writer.add(done < first.size() ? first[done] : next());
    ++done;
    return true;
  });
}

Blocks singly(Fills first, std::function<Fill()> next) {
  auto writer = std::make_shared<pibrain::BlockWriter>(1);
  return [=, done = size_t(0)]() mutable -> kj::Promise<Block> {
    writer->add(done < first.size() ? first[done] : next());
    ++done;
    return Block{kj::heapArray(writer->finish(false)), false};
  };
}

Blocks stalling(Fills fills) {
  auto writer = std::make_shared<pibrain::BlockWriter>(1);
  return [=, begun = false]() mutable -> kj::Promise<Block> {
    if (begun) return kj::NEVER_DONE;
    begun = true;
    for (auto& fill : fills) writer->add(fill);
    return Block{kj::heapArray(writer->finish(false)), false};
  };
}

Blocks bytes(std::string block, bool last) {
  return [=]() -> kj::Promise<Block> { return Block{kj::heapArray(dataOf(block)), last}; };
}

Blocks emptyBlocks() { return bytes("", false); }

capnp::Data::Reader dataOf(const std::string& text) {
  return kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size());
}

Fill summary(uint32_t files, proto::Summary::State state, bool complete) {
  return [=](proto::Event::Builder event) {
    auto out = event.initSummary();
    out.setState(state);
    out.setComplete(complete);
    out.setDirectories(1);
    out.setFiles(files);
  };
}

Fill directory(std::string path, std::vector<Item> items, uint32_t firstFile) {
  return [=](proto::Event::Builder event) {
    auto out = event.initDirectory();
    out.setPath(dataOf(path));
    out.setFirstFile(firstFile);
    out.initFingerprints(uint32_t(items.size()));
    auto entries = out.initEntries(uint32_t(items.size()));
    for (uint32_t i = 0; i < items.size(); ++i) {
      entries[i].setName(dataOf(items[i].name));
      entries[i].setSize(items[i].size);
      entries[i].setMtime(items[i].mtime);
    }
  };
}

Blocks listingOf(std::string path, std::vector<Item> items) {
  return events({summary(uint32_t(items.size())), directory(path, items)});
}

Fill begin(uint32_t file, proto::Begin::Content content, uint64_t size) {
  return [=](proto::Event::Builder event) {
    auto out = event.initBegin();
    out.setFile(file);
    out.setContent(content);
    out.setSize(size);
    out.setMtime(Item().mtime);
    out.setMode(07777);
  };
}

Fill fork(uint32_t file, uint64_t size, std::string parent, uint64_t parentSize,
          pibrain::Digest parentHash) {
  return [=](proto::Event::Builder event) {
    begin(file, proto::Begin::Content::FORK, size)(event);
    auto about = event.getBegin().initParent();
    about.setPath(dataOf(parent));
    about.setSize(parentSize);
    parentHash.to(about.initHash());
  };
}

Fill data(std::string piece, const std::string& soFar) { return data(piece, hashOf(soFar)); }

Fill data(std::string piece, pibrain::Digest soFar) {
  return [=](proto::Event::Builder event) {
    auto out = event.initData();
    out.setBytes(dataOf(piece));
    soFar.to(out.initHash());
  };
}

Fill end(std::string content) {
  return [hash = hashOf(content)](proto::Event::Builder event) { hash.to(event.initEnd()); };
}

Fill differs(uint32_t file) {
  return [=](proto::Event::Builder event) { event.setDiffers(file); };
}

Fill refused(uint32_t file, proto::Reason reason) {
  return [=](proto::Event::Builder event) {
    auto out = event.initRefused();
    out.setFile(file);
    out.setReason(reason);
  };
}

Fills whole(uint32_t file, std::string content) {
  return {begin(file, proto::Begin::Content::WHOLE, content.size()), data(content, content),
          end(content)};
}

pibrain::Digest hashOf(const std::string& text) { return pibrain::digestOf(dataOf(text)); }

}  // namespace hostile
