// An agent that lies, and a mirror: whatever the agent answers, nothing outside the mirror is
// touched (P2), only verified content is published (P3), and nothing is lost (P5).
//
// Input: a byte of options, the spoke's files, then the script of the answers (lying-agent.h).

#include <deque>

#include "common/fs/file-io.h"
#include "hub/agent/transfer.h"
#include "tests/fuzz/lying-agent.h"
#include "tests/fuzz/pipe-connection.h"
#include "tests/fuzz/scene.h"

namespace pibrain::fuzz {

namespace {

constexpr uint8_t INCOMPLETE = 1, DELETE = 2, KEEP_MODES = 4, PARTIAL = 8;

constexpr std::string_view PATHS[] = {
    "a/grows.jsonl", "a/large.jsonl",    "z/moves.jsonl", "c/shrinks.jsonl",
    "top.txt",       "stands/where",     "file/below",    "c/two-names.jsonl",
    "a/out",         "a/out/file.jsonl", "new/one.jsonl", "new/two.jsonl",
    "a/b/c/d/e",     "z/large.jsonl",    "canary/x",      ".pi-brain-staging"};

// Returns the content of a spoke's file, derived from the mirror's at that path, or from the file
// that it was moved from.
std::string contentFor(std::string_view path, const Scene& scene, Input& input) {
  std::string before;
  for (auto& [where, content] : scene.before()) {
    if (where == path || (path.starts_with("z/") && baseNameOf(where) == baseNameOf(path))) {
      before = content;
    }
  }
  uint8_t how = input.byte();
  switch (how % 8) {
    case 0:
      return before;
    case 1:
      return before + linesOf(how, how);
    case 2:
      return before.substr(0, before.size() / 2);
    case 3:
      return linesOf(before.size(), how);
    case 4:
      return linesOf(17'000, how) + before;
    case 5:
      return scene.before().at("a/large.jsonl") + linesOf(how, how);
    case 6:
      return before + std::string(input.text());
    default:
      return std::string(input.text());
  }
}

Spoke spokeFrom(const Scene& scene, Input& input) {
  Spoke spoke;
  Paths taken;
  for (int count = input.byte() % 6; count >= 0; --count) {
    uint8_t which = input.byte();
    auto path =
        which < 0xf0 ? std::string(PATHS[which % std::size(PATHS)]) : std::string(input.text());
    if (!isSafePath(path) || !taken.insert(path).second) continue;
    auto content = contentFor(path, scene, input);
    spoke.files.push_back({path, content, OLD + input.byte()});
  }
  return spoke;
}

class BlocksServer final : public proto::Blocks::Server {
 public:
  explicit BlocksServer(std::vector<std::string> blocks) : blocks_(blocks.begin(), blocks.end()) {}

  kj::Promise<void> next(NextContext context) override {
    auto results = context.getResults();
    if (!blocks_.empty()) {
      results.setBlock(bytesOf(storedFrame(blocks_.front())));
      blocks_.pop_front();
    }
    results.setLast(blocks_.empty());
    return kj::READY_NOW;
  }

 private:
  std::deque<std::string> blocks_;
};

class SessionsServer final : public proto::Sessions::Server {
 public:
  SessionsServer(Spoke& spoke, Input& script) : spoke_(spoke), answers_(script, spoke) {}

  kj::Promise<void> scan(ScanContext context) override {
    std::string events;
    appendEvent(events, [&](proto::Event::Builder event) {
      auto summary = event.initSummary();
      summary.setState(proto::Summary::State::LISTED);
      summary.setComplete(spoke_.complete);
      summary.setFiles(uint32_t(spoke_.files.size()));
    });
    // To say that it has none of the mirror's directories is true of those that differ, and does no
    // harm.
    appendEvent(events, [&](proto::Event::Builder event) {
      auto list = event.initUnseen(context.getParams().getKnown().size());
      for (uint32_t i = 0; i < list.size(); ++i) list.set(i, i);
    });
    for (uint32_t id = 0; id < spoke_.files.size(); ++id) {
      auto& file = spoke_.files[id];
      appendEvent(events, [&](proto::Event::Builder event) {
        auto directory = event.initDirectory();
        directory.setPath(bytesOf(parentOf(file.path)));
        directory.setFirstFile(id);
        directory.initFingerprints(1);
        auto entry = directory.initEntries(1)[0];
        entry.setName(bytesOf(baseNameOf(file.path)));
        entry.setSize(file.content.size());
        entry.setMtime(file.mtime);
      });
    }
    context.getResults().setListing(kj::heap<BlocksServer>(std::vector{events}));
    return kj::READY_NOW;
  }

  kj::Promise<void> pull(PullContext context) override {
    auto blocks = answers_.pull(context.getParams().getWants());
    context.getResults().setBlocks(kj::heap<BlocksServer>(kj::mv(blocks)));
    return kj::READY_NOW;
  }

 private:
  Spoke& spoke_;
  Answers answers_;
};

class SpokeServer final : public proto::Spoke::Server {
 public:
  SpokeServer(Spoke& spoke, Input& script) : spoke_(spoke), script_(script) {}

  kj::Promise<void> hello(HelloContext context) override {
    context.getResults().setSessions(kj::heap<SessionsServer>(spoke_, script_));
    return kj::READY_NOW;
  }

 private:
  Spoke& spoke_;
  Input& script_;
};

// Carries the plan out as SyncPass does.
void carryOut(Mirror& mirror, AgentSession& session, const Plan& plan, uint8_t options) {
  SpokeReport report;
  Progress unseen;
  Transfer transfer(mirror, session, (options & KEEP_MODES) != 0, report, unseen);
  transfer.run(plan.files);
  if ((options & DELETE) != 0) {
    for (auto& file : plan.gone) {
      if (transfer.movedFrom().contains(file.path)) continue;
      if (!transfer.unfinishedMoves().contains(file.path)) mirror.archiveFile(file.path);
    }
  }
  mirror.finish({{}, true});
}

void leavePartials(Mirror& mirror, const Spoke& spoke) {
  for (auto& file : spoke.files) {
    auto fd = mirror.openStaged(file.path, false);
    writeAll(fd, bytesOf(file.content.substr(0, file.content.size() * 2 / 3)));
  }
}

}  // namespace

void run(Input input) {
  Quiet quiet;
  Scene scene;
  uint8_t options = input.byte();
  auto spoke = spokeFrom(scene, input);
  spoke.complete = (options & INCOMPLETE) == 0;
  auto pipe = kj::newTwoWayPipe();
  Server server(*pipe.ends[0], kj::heap<SpokeServer>(spoke, input));
  Plan plan;
  tolerating([&]() {
    Archive archive(scene.archive(), "spoke", OLD);
    if ((options & PARTIAL) != 0) {
      // Left by an earlier run that was interrupted.
      Mirror earlier(scene.mirror(), Mirror::Access::WRITE, Archive(scene.archive(), "spoke", OLD));
      leavePartials(earlier, spoke);
    }
    Mirror mirror(scene.mirror(), Mirror::Access::WRITE, kj::mv(archive));
    auto tree = mirror.walk();
    auto known = summarizeMirror(tree, {});
    SpokeConfig config;
    AgentSession session(config, kj::heap<PipeConnection>(kj::mv(pipe.ends[1])), asyncIo(),
                         {300, 64 << 20});
    auto listing = session.scan(known, [](const AgentInfo&) {});
    plan = makePlan(tree, {}, known, listing);
    carryOut(mirror, session, plan, options);
  });
  Scene::Allowed allowed;
  for (auto& [id, hashes] : spoke.ends) {
    if (id < spoke.files.size()) allowed[spoke.files[id].path] = hashes;
  }
  // The move comes before the growth.
  for (auto& file : plan.files) {
    if (file.kind != ChangeKind::MOVE) continue;
    for (auto& from : file.candidates) {
      allowed[file.remote.path].insert(digestOfText(scene.before().at(from)));
    }
  }
  scene.check(allowed);
}

}  // namespace pibrain::fuzz
