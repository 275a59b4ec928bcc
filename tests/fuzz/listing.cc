// A listing on its way into a plan: blocks, events, names (P2), the comparison with the mirror.
//
// Input: a byte that says what follows:
//   0  raw blocks, each after its length
//   1  the decompressed content of one block
//   2  event messages, each after its length, framed by this harness
//   3  a script of events (see Script)
// In 2 and 3, a length of 0, or the script's BLOCK, ends a block.

#include "common/tree/tree-walk.h"
#include "common/wire/block-stream.h"
#include "hub/agent/plan.h"
#include "hub/base/reason.h"
#include "hub/mirror/mirror.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

namespace {

constexpr size_t MAX_EVENTS = 200;

// The hub's mirror: some files, two of them kept although the spoke deleted them.
struct Having {
  Having() {
    TempDir dir(scratch());
    for (auto* path : {"top.txt", "a/one.jsonl", "a/two.jsonl", "a/b/three.jsonl", "c/one.jsonl",
                       "c/kept.jsonl", "d/kept.jsonl", "e/five.jsonl"}) {
      dir.write(path, path);
    }
    tree = walkTree(dir.open());
    known = summarizeMirror(tree, kept);
  }
  Paths kept{"c/kept.jsonl", "d/kept.jsonl"};
  Tree tree;
  MirrorSummary known;
};

// Well-formed events with values from the input.
class Script {
 public:
  Script(Input& input, const Having& having) : input_(input), having_(having) {}

  enum Op { SUMMARY, DIRECTORY, UNSEEN, PROBLEM, ENTRY, FINGERPRINTS, BLOCK, OPS };

  // Appends an event. Returns false at a block's end.
  bool step(std::string& events, const std::vector<uint32_t>& unknown) {
    switch (input_.byte() % OPS) {
      case SUMMARY:
        appendEvent(events, [&](proto::Event::Builder event) { summary(event.initSummary()); });
        break;
      case DIRECTORY:
        appendEvent(events, [&](proto::Event::Builder event) { directory(event.initDirectory()); });
        break;
      case UNSEEN:
        appendEvent(events, [&](proto::Event::Builder event) {
          auto list = event.initUnseen(input_.byte() % 10);
          for (uint32_t i = 0; i < list.size(); ++i) list.set(i, uint32_t(input_.number()));
        });
        break;
      case PROBLEM:
        appendEvent(events, [&](proto::Event::Builder event) {
          event.initProblem().setPath(bytesOf(input_.text()));
          event.getProblem().setReason(proto::Reason(input_.byte()));
        });
        break;
      case ENTRY:
        appendEvent(events, [&](proto::Event::Builder event) {
          uint8_t which = input_.byte();
          auto entry = event.initEntry();
          entry.setFile(which < unknown.size() ? unknown[which] : which);
          fill(entry.initEntry());
        });
        break;
      case FINGERPRINTS:
        appendEvent(events,
                    [&](proto::Event::Builder event) { fingerprints(event.initDirectory()); });
        break;
      case BLOCK:
        return false;
    }
    return true;
  }

 private:
  void summary(proto::Summary::Builder out) {
    out.setState(proto::Summary::State(input_.byte() % 4));
    out.setComplete(input_.byte() % 2 == 0);
    out.setFiles(uint32_t(input_.number()));
    out.setBytes(input_.number());
  }
  void fill(proto::Entry::Builder entry) {
    entry.setName(bytesOf(input_.text()));
    entry.setSize(input_.number());
    uint8_t time = input_.byte();
    entry.setMtime(time == 0 ? OLD : int64_t(input_.number()));
  }
  void directory(proto::Directory::Builder out) {
    out.setPath(bytesOf(input_.text()));
    out.setFirstFile(uint32_t(input_.number()));
    uint32_t count = input_.byte() % 8;
    out.initFingerprints(count);
    auto entries = out.initEntries(count);
    for (auto entry : entries) fill(entry);
  }
  // Files that the mirror has, and some that it does not have.
  void fingerprints(proto::Directory::Builder out) {
    out.setPath(bytesOf(input_.text()));
    out.setFirstFile(uint32_t(input_.number()));
    auto list = out.initFingerprints(input_.byte() % 8);
    for (uint32_t i = 0; i < list.size(); ++i) {
      uint32_t id = input_.byte();
      uint64_t value = id;
      KJ_IF_MAYBE(found, having_.tree.find(id)) {
        value = fingerprintOf(found->directory, found->file);
      }
      list.set(i, value);
    }
    auto entries = out.initEntries(input_.byte() % 4);
    for (auto entry : entries) fill(entry);
  }

  Input& input_;
  const Having& having_;
};

void checkListing(const Listing& listing) {
  for (auto& file : listing.listed) {
    require(isSafePath(file.path), "each path can be resolved beneath the mirror", file.path);
    require(file.path.substr(0, file.path.find('/')) != Mirror::STAGING,
            "no file of the spoke is in the staging directory", file.path);
    require(file.size <= uint64_t(INT64_MAX), "a size is valid");
  }
  require(listing.listed.size() + listing.reserved.size() <= listing.files,
          "no more files than announced");
}

void checkPlan(const Having& having, const Listing& listing, const Plan& plan) {
  Paths mirror, planned;
  for (auto& directory : having.tree.directories) {
    for (auto& file : directory.files) mirror.insert(directory.pathOf(file));
  }
  for (auto& file : plan.files) {
    require(planned.insert(file.remote.path).second, "a file is planned once", file.remote.path);
    bool arrives = file.kind == ChangeKind::NEW || file.kind == ChangeKind::MOVE;
    require(!arrives || !mirror.contains(file.remote.path), "a new file was not in the mirror",
            file.remote.path);
    if (file.kind == ChangeKind::NEW) continue;
    if (file.kind == ChangeKind::MOVE) {
      require(!file.candidates.empty(), "a moved file has candidates", file.remote.path);
      for (auto& from : file.candidates) {
        require(mirror.contains(from), "a candidate is in the mirror", from);
        require(!having.kept.contains(from), "a kept file does not move", from);
      }
    } else {
      require(mirror.contains(file.basis), "a basis is in the mirror", file.basis);
      require(file.basis == file.remote.path, "a changed file keeps its path", file.basis);
    }
  }
  require(listing.complete || plan.gone.empty(), "an incomplete listing makes nothing gone");
  for (auto& file : plan.gone) {
    require(mirror.contains(file.path), "a gone file was in the mirror", file.path);
    for (auto& listed : listing.listed) {
      require(listed.path != file.path, "a listed file is not gone", file.path);
    }
  }
}

// Returns the next block, made from the rest of the input; nothing at its end.
std::string nextBlock(Input& input, uint8_t mode, Script& script, size_t& events,
                      const std::vector<uint32_t>& unknown) {
  if (mode == 0) return std::string(input.text());
  std::string content;
  if (mode == 1) {
    content = input.rest();
  } else if (mode == 2) {
    while (!input.empty()) {
      auto body = input.text();
      if (body.empty()) break;
      appendRawMessage(content, body);
    }
  } else {
    while (!input.empty() && events++ < MAX_EVENTS && script.step(content, unknown)) {
    }
  }
  return storedFrame(content);
}

}  // namespace

void run(Input input) {
  static const Having having;
  Quiet quiet;
  uint8_t mode = input.byte() % 4;
  Script script(input, having);
  // Its buffer takes most of a run's time to allocate. Blocks that this harness makes do not change
  // it.
  static BlockReader reused;
  kj::Own<BlockReader> fresh;
  if (mode == 0) fresh = kj::heap<BlockReader>();
  auto& decoder = mode == 0 ? *fresh : reused;
  tolerating([&]() {
    ListingReader reader(having.known);
    for (size_t events = 0; !input.empty() && events < MAX_EVENTS;) {
      auto block = nextBlock(input, mode, script, events, reader.unresolved());
      decoder.read(bytesOf(block), [&](proto::Event::Reader event) { reader.event(event); });
    }
    auto listing = reader.finish();
    checkListing(listing);
    checkPlan(having, listing, makePlan(having.tree, having.kept, having.known, listing));
    for (auto& [path, reason] : listing.problems) {
      require(describe(reason)[0] != '\0', "each reason has a text");
    }
  });
}

}  // namespace pibrain::fuzz
