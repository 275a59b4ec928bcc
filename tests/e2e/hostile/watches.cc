// Lies in what a watch tells. The spoke has p/a.jsonl, like the mirror.

#include "tests/e2e/hostile/script.h"

namespace hostile {

namespace {

const std::string MORE = "0123456789abcde\n";

// Each of these blocks as a stream of its own, then what `after` returns.
Blocks told(std::vector<Fills> blocks, Blocks after) {
  return [=, done = size_t(0)]() mutable -> kj::Promise<Block> {
    if (done == blocks.size()) return after();
    pibrain::BlockWriter writer(1);
    for (auto& fill : blocks[done]) writer.add(fill);
    ++done;
    return Block{kj::heapArray(writer.finish(true)), false};
  };
}

Blocks idle() {
  return []() -> kj::Promise<Block> { return kj::NEVER_DONE; };
}

Script watched(std::function<Blocks()> watch) {
  Script script;
  script.listing = []() { return listingOf("p", {{"a.jsonl", mirrored().size()}}); };
  script.pull = [](const std::vector<Asked>& wants) {
    Fills all;
    for (auto& want : wants) all.push_back(refused(want.file));
    return events(all);
  };
  script.watch = std::move(watch);
  return script;
}

Script tells(Fills fills) {
  return watched([=]() { return told({fills}, idle()); });
}

// Announcements of other files, endlessly.
Fill announcement(uint32_t number) {
  return directory("p", {{std::to_string(number) + ".jsonl"}}, number);
}

Fill announced() { return directory("p", {{"a.jsonl", mirrored().size() + MORE.size()}}, 0); }

Fill tailFrom(uint32_t file, uint64_t from, uint64_t size) {
  return [=](proto::Event::Builder event) {
    auto begin = event.initBegin();
    begin.setFile(file);
    begin.setContent(proto::Begin::Content::TAIL);
    begin.setFrom(from);
    begin.setSize(size);
  };
}

Fill scanNeeded() {
  return [](proto::Event::Builder event) { event.setScanNeeded(); };
}

}  // namespace

Scripts watchScripts() {
  Scripts all;
  auto size = mirrored().size();
  auto longer = size + MORE.size();
  auto content = mirrored() + MORE;
  all["watch-above-the-root"] = []() { return tells({directory("..", {{"a.jsonl"}})}); };
  all["watch-path-in-a-name"] = []() { return tells({directory("p", {{"../a.jsonl"}})}); };
  all["watch-two-files-in-one"] = []() {
    return tells({directory("p", {{"a.jsonl"}, {"b.jsonl"}})});
  };
  all["watch-staging"] = []() { return tells({directory(".pi-brain-staging", {{"a"}})}); };
  all["watch-content-outside"] = [=]() { return tells({announced(), data(MORE, content)}); };
  all["watch-end-outside"] = [=]() { return tells({announced(), end(content)}); };
  all["watch-no-end"] = [=]() {
    return tells({announced(), tailFrom(0, size, longer), data(MORE, content)});
  };
  all["watch-file-in-a-file"] = [=]() {
    return tells({announced(), tailFrom(0, size, longer), tailFrom(0, size, longer)});
  };
  all["watch-whole"] = [=]() {
    return tells({announced(), begin(0, proto::Begin::Content::WHOLE, longer)});
  };
  all["watch-backwards"] = [=]() { return tells({announced(), tailFrom(0, longer, size)}); };
  all["watch-refusal"] = []() { return tells({refused(0)}); };
  all["watch-garbage"] = []() { return watched([]() { return bytes("garbage", false); }); };
  all["watch-of-nobody"] = [=]() {
    return tells({tailFrom(7, size, longer), data(MORE, content), end(content)});
  };
  all["watch-elsewhere"] = [=]() {
    return tells({announced(), tailFrom(0, 5, 21), data(MORE, content), end(content)});
  };
  all["watch-bad-hash"] = [=]() {
    return tells({announced(), tailFrom(0, size, longer), data(MORE, mirrored()), end(mirrored())});
  };
  all["watch-bad-end"] = [=]() {
    return tells({announced(), tailFrom(0, size, longer), data(MORE, content), end(mirrored())});
  };
  all["watch-too-much"] = [=]() {
    return tells({announced(), tailFrom(0, size, longer), data(MORE + MORE, content + MORE),
                  end(content + MORE)});
  };
  all["watch-too-little"] = [=]() {
    return tells({announced(), tailFrom(0, size, longer + 100), data(MORE, content), end(content)});
  };
  all["watch-signs-without-end"] = []() {
    return watched([]() -> Blocks {
      return []() -> kj::Promise<Block> { return Block{nullptr, false}; };
    });
  };
  all["watch-ends-at-once"] = []() {
    return watched([]() -> Blocks {
      return []() -> kj::Promise<Block> { return Block{nullptr, true}; };
    });
  };
  all["watch-scans-without-end"] = []() {
    return watched([]() { return told(std::vector<Fills>(100'000, {scanNeeded()}), idle()); });
  };
  all["watch-files-without-end"] = []() {
    return watched([]() -> Blocks {
      return [number = uint32_t(1)]() mutable -> kj::Promise<Block> {
        pibrain::BlockWriter writer(1);
        for (int i = 0; i < 1000; ++i) writer.add(announcement(number++));
        return Block{kj::heapArray(writer.finish(true)), false};
      };
    });
  };
  return all;
}

}  // namespace hostile
