// Micro-benchmarks of the parts that take a run's time, without SSH: bin/micro-benchmarks runs
// them. They make trees and files in /dev/shm, and remove them.

#include <benchmark/benchmark.h>
#include <capnp/message.h>

#include <algorithm>
#include <functional>

#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/tree/tree-walk.h"
#include "common/wire/block-stream.h"
#include "common/wire/protocol.h"
#include "hub/agent/file-receiver.h"
#include "hub/agent/plan.h"
#include "hub/mirror/mirror.h"
#include "tests/unit/rsync-text.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

constexpr size_t MIB = 1024 * 1024;

// Text that compresses about 7:1, as sessions do.
std::string sessionText(size_t size, uint64_t seed = 1) {
  auto old = noise(64 * 1024, seed), fresh = noise(size / 6, seed + 1);
  for (auto* letters : {&old, &fresh}) {
    for (auto& c : *letters) c = char('a' + uint8_t(c) % 20);
  }
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) {
    text += "{\"type\":\"message\",\"id\":\"" + std::to_string(i * 7919 + seed) + "\",\"text\":\"" +
            old.substr(i * 613 % (old.size() - 400), 400) +
            fresh.substr(i * 80 % (fresh.size() - 80), 80) + "\"}\n";
  }
  text.resize(size);
  return text;
}

// Makes `files` small files, 25 per directory.
void makeTree(const TempDir& dir, int64_t files) {
  for (int64_t i = 0; i < files; ++i) {
    dir.write("--home-dev-project-" + std::to_string(i / 25) +
                  "--/2026-01-01T00-00-00-000Z_00000000-0000-4000-8000-" +
                  std::to_string(100'000'000'000 + i) + ".jsonl",
              "{}\n");
  }
}

void walkAndDigest(benchmark::State& state) {
  TempDir dir("/dev/shm");
  makeTree(dir, state.range(0));
  auto root = dir.open();
  for (auto _ : state) {
    auto tree = walkTree(root);
    benchmark::DoNotOptimize(treeDigest(tree));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(walkAndDigest)
    ->Arg(500)
    ->Arg(5000)
    ->Arg(50'000)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void prefixHash(benchmark::State& state) {
  auto size = uint64_t(state.range(0));
  auto file = fileWith(sessionText(size));
  for (auto _ : state) {
    FileHasher hasher;
    hashPrefix(file, size, hasher);
    benchmark::DoNotOptimize(hasher.digest());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(prefixHash)->Arg(64 * 1024)->Arg(64 * MIB);

void fillBlocks(BlockWriter& writer, std::string_view content,
                const std::function<void(kj::ArrayPtr<const kj::byte>)>& sink) {
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), MAX_PIECE))) {
    writer.add([&](proto::Event::Builder event) {
      event.initData().setBytes(bytesOf(content.substr(0, MAX_PIECE)));
    });
    if (writer.full()) sink(writer.finish(false));
  }
  sink(writer.finish(true));
}

void writeBlocks(benchmark::State& state) {
  auto content = sessionText(16 * MIB);
  size_t packed = 0;
  for (auto _ : state) {
    BlockWriter writer(1);
    packed = 0;
    fillBlocks(writer, content, [&](auto block) { packed += block.size(); });
  }
  state.SetBytesProcessed(state.iterations() * int64_t(content.size()));
  state.counters["ratio"] = double(content.size()) / double(packed);
}
BENCHMARK(writeBlocks)->Unit(benchmark::kMillisecond);

void readBlocks(benchmark::State& state) {
  auto content = sessionText(16 * MIB);
  std::vector<std::string> blocks;
  BlockWriter writer(1);
  fillBlocks(writer, content, [&](auto block) { blocks.push_back(textOf(block)); });
  for (auto _ : state) {
    BlockReader reader;
    size_t size = 0;
    for (auto& block : blocks) {
      reader.read(bytesOf(block),
                  [&](proto::Event::Reader event) { size += event.getData().getBytes().size(); });
    }
    benchmark::DoNotOptimize(size);
  }
  state.SetBytesProcessed(state.iterations() * int64_t(content.size()));
}
BENCHMARK(readBlocks)->Unit(benchmark::kMillisecond);

// A listing in which every directory differs and a file in each grew.
void plan(benchmark::State& state) {
  TempDir dir("/dev/shm");
  makeTree(dir, state.range(0));
  auto tree = walkTree(dir.open());
  auto known = summarizeMirror(tree, {});
  Listing listing;
  listing.complete = true;
  listing.state = proto::Summary::State::LISTED;
  listing.files = tree.files;
  for (auto& directory : tree.directories) {
    listing.directories.push_back(directory.path);
    uint32_t id = directory.firstFile;
    for (auto& file : directory.files) {
      bool grew = id == directory.firstFile;
      listing.listed.push_back(
          {id++, directory.pathOf(file), file.size + (grew ? 100 : 0), file.mtime + grew});
    }
  }
  for (auto _ : state) {
    auto made = makePlan(tree, {}, known, listing);
    benchmark::DoNotOptimize(made.files.size());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(plan)->Arg(5000)->Arg(50'000)->Unit(benchmark::kMillisecond);

// The agent's events for one file: its metadata, and one piece of content.
struct Arriving {
  capnp::MallocMessageBuilder beginMessage, pieceMessage;
  proto::Begin::Builder begin = beginMessage.initRoot<proto::Begin>();
  proto::Piece::Builder piece = pieceMessage.initRoot<proto::Piece>();

  Arriving(proto::Begin::Content content, uint64_t size, int64_t mtime, std::string_view bytes) {
    begin.setContent(content);
    begin.setSize(size);
    begin.setMtime(mtime);
    piece.setBytes(bytesOf(bytes));
  }
};

// A new file of the usual size: staged, checked, given its time, and published.
void applyWhole(benchmark::State& state) {
  TempDir dir("/dev/shm");
  Mirror mirror(dir / "mirror", Mirror::Access::WRITE, Archive(dir / "archive", "spoke", OLD));
  auto content = sessionText(size_t(state.range(0)));
  auto hash = digestOf(bytesOf(content));
  Arriving arriving(proto::Begin::Content::WHOLE, content.size(), OLD, content);
  hash.to(arriving.piece.initHash());
  Basis none;
  int64_t number = 0;
  for (auto _ : state) {
    FileReceiver receiver(mirror, "project/" + std::to_string(number++), none,
                          arriving.begin.asReader(), Want::Kind::NEW, false);
    receiver.open(arriving.begin.asReader());
    receiver.data(arriving.piece.asReader());
    receiver.end(hash);
    mirror.proceed();
  }
  mirror.commit();
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(applyWhole)->Arg(6 * 1024)->Arg(64 * 1024)->Iterations(500);

Basis mirrored(const TempDir& dir, const std::string& path, const std::string& content) {
  dir.write("mirror/" + path, content, OLD);
  Basis basis;
  basis.kind = Basis::Kind::MIRROR;
  basis.path = path;
  basis.size = content.size();
  basis.mtime = OLD;
  basis.hasher.update(bytesOf(content));
  return basis;
}

// A session that grew by three lines: appended to in place.
void applyTail(benchmark::State& state) {
  TempDir dir("/dev/shm");
  Mirror mirror(dir / "mirror", Mirror::Access::WRITE, Archive(dir / "archive", "spoke", OLD));
  auto basis = mirrored(dir, "project/one.jsonl", sessionText(64 * 1024));
  auto tail = sessionText(3000, 7);
  for (auto _ : state) {
    auto size = basis.size + tail.size();
    Arriving arriving(proto::Begin::Content::TAIL, size, basis.mtime + 1, tail);
    auto hasher = basis.hasher;
    hasher.update(bytesOf(tail));
    auto hash = hasher.digest();
    hash.to(arriving.piece.initHash());
    FileReceiver receiver(mirror, basis.path, basis, arriving.begin.asReader(), Want::Kind::PREFIX,
                          false);
    receiver.open(arriving.begin.asReader());
    receiver.data(arriving.piece.asReader());
    receiver.end(hash);
    mirror.commit();
    basis.size = size;
    ++basis.mtime;
    basis.hasher = hasher;
  }
  state.SetBytesProcessed(state.iterations() * int64_t(tail.size()));
}
BENCHMARK(applyTail)->Iterations(500);

// A session rewritten in the middle: patched beside the old version, which goes to the archive.
void applyDelta(benchmark::State& state) {
  constexpr int64_t FILES = 40;
  TempDir dir("/dev/shm");
  Mirror mirror(dir / "mirror", Mirror::Access::WRITE, Archive(dir / "archive", "spoke", OLD));
  auto old = sessionText(size_t(state.range(0)));
  auto newer = old;
  newer.insert(newer.size() / 2, "a line that was changed\n");
  auto delta = deltaOf(signatureOf(old), newer);
  auto hash = digestOf(bytesOf(newer));
  std::vector<Basis> bases;
  for (int64_t i = 0; i < FILES; ++i) {
    bases.push_back(mirrored(dir, "project/" + std::to_string(i), old));
  }
  size_t number = 0;
  for (auto _ : state) {
    auto& basis = bases[number++];
    Arriving arriving(proto::Begin::Content::DELTA, newer.size(), OLD + 1, delta);
    FileReceiver receiver(mirror, basis.path, basis, arriving.begin.asReader(),
                          Want::Kind::SIGNATURE, false);
    receiver.open(arriving.begin.asReader());
    receiver.data(arriving.piece.asReader());
    receiver.end(hash);
    mirror.commit();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(applyDelta)->Arg(64 * 1024)->Arg(4 * MIB)->Iterations(40);

}  // namespace
}  // namespace pibrain

int main(int argc, char** argv) {
  pibrain::initLibrsync();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
