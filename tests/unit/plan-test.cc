#include "hub/agent/plan.h"
#include "common/tree/tree-walk.h"

#include "hub/agent/gone-twice.h"
#include "hub/agent/session-start.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/fs/rooted-dir.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

// A mirror, and a spoke's answer that lists the differences from it.
class PlanTest : public testing::Test {
 protected:
  // Sets the listing of a spoke with these files.
  void spokeHas(std::map<std::string, std::pair<uint64_t, int64_t>> files, bool complete = true) {
    listing_ = Listing();
    listing_.state = proto::Summary::State::LISTED;
    listing_.complete = complete;
    uint32_t id = 0;
    Paths directories;
    for (auto& [path, what] : files) {
      auto directory = std::string(parentOf(path));
      if (directories.insert(directory).second) listing_.directories.push_back(directory);
      listing_.listed.push_back({id++, path, what.first, what.second});
    }
    listing_.files = id;
    tree_ = walkTree(mirror_.open());
    known_ = summarizeMirror(tree_, kept_);
    for (uint32_t i = 0; i < known_.directories.size(); ++i) {
      if (!directories.contains(known_.directories[i]->path)) listing_.missingOnSpoke.push_back(i);
    }
  }

  // "kind path" or "move path < old" for each file, in order.
  std::vector<std::string> planned() {
    plan_ = makePlan(tree_, kept_, known_, listing_);
    std::vector<std::string> out;
    for (auto& file : plan_.files) {
      out.push_back(std::string(toString(file.kind)) + " " + file.remote.path +
                    (file.kind == ChangeKind::MOVE ? " < " + file.candidates[0] : ""));
    }
    return out;
  }

  using Texts = std::vector<std::string>;

  TempDir mirror_;
  Paths kept_;
  Tree tree_;
  MirrorSummary known_;
  Listing listing_;
  Texts gonePaths() const {
    Texts paths;
    for (auto& file : plan_.gone) paths.push_back(file.path);
    return paths;
  }

  Plan plan_;
};

TEST_F(PlanTest, kinds) {
  mirror_.write("d/same", "12345");
  mirror_.write("d/grown", "12345");
  mirror_.write("d/shrunk", "12345");
  mirror_.write("d/touched", "12345");
  mirror_.write("d/gone", "12345");
  spokeHas({{"d/same", {5, OLD}},
            {"d/grown", {9, OLD + 1}},
            {"d/shrunk", {3, OLD + 2}},
            {"d/touched", {5, OLD + 3}},
            {"d/new", {1, OLD + 4}}});
  auto files = planned();
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (Texts{"grow d/grown", "new d/new", "rewrite d/shrunk", "touch d/touched"}));
  EXPECT_EQ(gonePaths(), Texts{"d/gone"});
  EXPECT_EQ(plan_.mirrorFiles, 5u);
  for (auto& file : plan_.files) {
    bool isNew = file.kind == ChangeKind::NEW;
    EXPECT_EQ(file.basis, isNew ? "" : file.remote.path);
    EXPECT_EQ(file.basisSize, isNew ? 0u : 5u);
    EXPECT_EQ(listing_.listed[file.remote.id].path, file.remote.path);
  }
}

TEST_F(PlanTest, unreadablePartsOfTheMirrorAreLeftAlone) {
  mirror_.write("d/changed", "12345");
  mirror_.write("d/deep/gone", "1234567");
  mirror_.write("dd/gone", "12");
  spokeHas({{"d/changed", {6, OLD + 1}},
            {"d/deep/new", {1, OLD + 2}},
            {"dd/new", {1, OLD + 3}},
            {"e/new", {1, OLD + 4}}});
  planned();
  leaveAlone(plan_, {"d"});
  Texts files;
  for (auto& file : plan_.files) files.push_back(file.remote.path);
  EXPECT_EQ(files, (Texts{"dd/new", "e/new"}));
  EXPECT_EQ(gonePaths(), Texts{"dd/gone"});
}

TEST_F(PlanTest, nothingMovesOutOfAnUnreadableDirectory) {
  mirror_.write("d/old", "12345");
  spokeHas({{"e/old", {5, OLD}}});
  ASSERT_EQ(planned(), Texts{"move e/old < d/old"});
  leaveAlone(plan_, {"d"});
  ASSERT_EQ(plan_.files.size(), 1u);
  EXPECT_EQ(plan_.files[0].kind, ChangeKind::NEW);
  EXPECT_EQ(plan_.files[0].basisSize, 0u);
}

TEST_F(PlanTest, sameTimeAndOtherSizeIsAChange) {
  mirror_.write("a", "12345");
  spokeHas({{"a", {6, OLD}}});
  EXPECT_EQ(planned(), Texts{"grow a"});
}

TEST_F(PlanTest, equalDirectoriesAreLeftAlone) {
  mirror_.write("same/file", "x");
  mirror_.write("other/file", "x");
  spokeHas({{"other/file", {2, OLD}}});
  // The spoke has "same" unchanged and does not list it.
  listing_.missingOnSpoke.clear();
  EXPECT_EQ(planned(), Texts{"grow other/file"});
  EXPECT_TRUE(plan_.gone.empty());
}

TEST_F(PlanTest, oldestFirstByTheTimeInTheName) {
  spokeHas({{"d/2026-01-31T12-00-00-000Z_child.jsonl", {1, OLD}},
            {"e/2026-01-30T12-00-00-000Z_parent.jsonl", {1, OLD + 99 * SECOND}},
            {"notes-new", {1, OLD + 2 * SECOND}},
            {"notes-old", {1, OLD}}});
  EXPECT_EQ(planned(),
            (Texts{"new notes-old", "new notes-new", "new e/2026-01-30T12-00-00-000Z_parent.jsonl",
                   "new d/2026-01-31T12-00-00-000Z_child.jsonl"}));
}

TEST_F(PlanTest, moves) {
  mirror_.write("old/a.jsonl", "12345");
  mirror_.write("old/b.jsonl", "12345");
  mirror_.write("old/c.jsonl", "12345");
  mirror_.write("old/empty.jsonl", "");
  mirror_.write("old/stays.jsonl", "12345");
  spokeHas({{"new/a.jsonl", {5, OLD}},      // moved
            {"new/b.jsonl", {9, OLD + 5}},  // moved and grown
            {"new/c.jsonl", {4, OLD + 5}},  // too small to be the same file
            {"new/empty.jsonl", {0, OLD}},  // nothing to gain
            {"new/other.jsonl", {5, OLD}},  // no file of this name existed
            {"new/stays.jsonl", {5, OLD}},  // the old file still exists: a copy
            {"old/stays.jsonl", {5, OLD}}});
  auto files = planned();
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (Texts{"move new/a.jsonl < old/a.jsonl", "move new/b.jsonl < old/b.jsonl",
                          "new new/c.jsonl", "new new/empty.jsonl", "new new/other.jsonl",
                          "new new/stays.jsonl"}));
  for (auto& file : plan_.files) {
    EXPECT_EQ(file.basisSize, file.kind == ChangeKind::MOVE ? 5u : 0u);
  }
  // Whether a move succeeds shows only later.
  EXPECT_EQ(gonePaths(), (Texts{"old/a.jsonl", "old/b.jsonl", "old/c.jsonl", "old/empty.jsonl"}));
}

TEST_F(PlanTest, anExactCandidateIsPreferredAndUsedOnce) {
  mirror_.write("one/a", "123", OLD + 1);
  mirror_.write("two/a", "12345", OLD + 2);
  mirror_.write("three/a", "12", OLD + 3);
  spokeHas({{"x/a", {5, OLD + 2}}});
  EXPECT_EQ(planned(), Texts{"move x/a < two/a"});
  spokeHas({{"x/a", {5, OLD + 2}},
            {"y/a", {3, OLD + 1}},
            {"z/a", {2, OLD + 3}},
            {"zz/a", {9, OLD + 9}}});
  auto files = planned();
  EXPECT_EQ(std::count_if(files.begin(), files.end(),
                          [](auto& text) { return text.starts_with("move"); }),
            3);
  EXPECT_EQ(std::set<std::string>(files.begin(), files.end()).size(), 4u);
  std::set<std::string> bases;
  for (auto& file : plan_.files) {
    bases.insert(file.candidates.empty() ? "" : file.candidates[0]);
  }
  EXPECT_EQ(bases, (std::set<std::string>{"one/a", "two/a", "three/a", ""}));
}

TEST_F(PlanTest, anIncompleteListingDeletesNothing) {
  mirror_.write("old/a", "12345");
  mirror_.write("locked/b", "12345");
  spokeHas({{"new/a", {5, OLD}}}, false);
  EXPECT_EQ(planned(), Texts{"new new/a"});
  EXPECT_TRUE(plan_.gone.empty());
}

TEST_F(PlanTest, keptFilesAddNothing) {
  mirror_.write("d/kept", "12345");
  mirror_.write("d/there", "1");
  mirror_.write("only/kept", "1");
  kept_ = {"d/kept", "only/kept"};
  TempDir spoke;
  spoke.write("d/there", "1");
  spokeHas({});
  // The digests are those of a tree without kept files.
  EXPECT_EQ(known_.tree, treeDigest(walkTree(spoke.open())));
  ASSERT_EQ(known_.directories.size(), 1u);
  EXPECT_EQ(known_.directories[0]->path, "d");
  EXPECT_EQ(known_.digests.size(), 1u);
  EXPECT_NE(known_.tree, summarizeMirror(tree_, {}).tree);

  // The spoke has "d" unchanged and lists nothing, so these files are still gone there.
  listing_.missingOnSpoke.clear();
  EXPECT_EQ(planned(), Texts{});
  EXPECT_EQ(gonePaths(), (Texts{"d/kept", "only/kept"}));
}

TEST_F(PlanTest, aKeptFileThatReturns) {
  mirror_.write("d/kept", "12345");
  kept_ = {"d/kept"};
  spokeHas({{"d/kept", {5, OLD}}});
  EXPECT_EQ(planned(), Texts{});
  EXPECT_TRUE(plan_.gone.empty());
  spokeHas({{"d/kept", {9, OLD + 1}}});
  EXPECT_EQ(planned(), Texts{"grow d/kept"});
  // A file that appears elsewhere did not move just now: the kept file stays.
  spokeHas({{"e/kept", {5, OLD}}});
  EXPECT_EQ(planned(), Texts{"new e/kept"});
}

TEST_F(PlanTest, nothingMovesIfKeptFilesAreNotRemembered) {
  mirror_.write("old/a", "12345");
  spokeHas({{"new/a", {5, OLD}}});
  EXPECT_EQ(planned(), Texts{"move new/a < old/a"});
  known_.remembersKept = false;
  EXPECT_EQ(planned(), Texts{"new new/a"});
}

TEST_F(PlanTest, equalCandidatesAreEachTriedFirstOnce) {
  for (auto dir : {"one", "two", "three"}) mirror_.write(std::string(dir) + "/session", "12345");
  spokeHas({{"x/session", {5, OLD}}, {"y/session", {5, OLD}}, {"z/session", {5, OLD}}});
  planned();
  std::set<std::string> first;
  for (auto& file : plan_.files) {
    EXPECT_EQ(std::set<std::string>(file.candidates.begin(), file.candidates.end()),
              (std::set<std::string>{"one/session", "two/session", "three/session"}));
    first.insert(file.candidates[0]);
  }
  EXPECT_EQ(first.size(), 3u);
}

TEST_F(PlanTest, aRenamedDirectoryIncludesGrownFiles) {
  for (auto run :
       {"run-1", "run-2", "run-3", "run-4", "run-5", "run-6", "run-7", "run-8", "run-9"}) {
    mirror_.write("old/" + std::string(run) + "/session", "12345");
  }
  mirror_.write("old/2026_a", "12345");
  spokeHas({{"new/2026_a", {5, OLD}}, {"new/run-7/session", {9, OLD + 5}}});
  auto files = planned();
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files,
            (Texts{"move new/2026_a < old/2026_a", "move new/run-7/session < old/run-7/session"}));
}

TEST_F(PlanTest, manyFilesOfOneNameTakeNoLonger) {
  // Twice 80,000 files of one name, none exact. A quadratic algorithm would take minutes.
  std::vector<GoneFile> gone;
  constexpr uint32_t FILES = 80'000;
  for (uint32_t i = 0; i < FILES; ++i) {
    auto& directory = tree_.directories.emplace_back();
    char path[32];
    snprintf(path, sizeof(path), "old/%06u", i);
    directory.path = path;
    directory.names = "session.jsonl";
    directory.files.push_back({1 + i % 7, OLD, 0, 13});
    snprintf(path, sizeof(path), "new/%06u", i);
    listing_.directories.push_back(path);
    listing_.listed.push_back({i, std::string(path) + "/session.jsonl", 100 + i % 5, OLD + 1});
  }
  tree_.files = FILES;
  listing_.state = proto::Summary::State::LISTED;
  listing_.complete = true;
  listing_.files = FILES;
  known_ = summarizeMirror(tree_, {});
  for (uint32_t i = 0; i < FILES; ++i) listing_.missingOnSpoke.push_back(i);
  // Of the processor, which other tests may share.
  auto begun = clock();
  plan_ = makePlan(tree_, kept_, known_, listing_);
  EXPECT_LT((clock() - begun) / CLOCKS_PER_SEC, 10);
  EXPECT_EQ(plan_.files.size(), FILES);
}

TEST_F(PlanTest, goneFilesAreMissingFromTwoScans) {
  mirror_.write("a/first", "1");
  mirror_.write("a/second", "1");
  mirror_.write("a/both", "1");
  mirror_.write("link/below/file", "1");
  mirror_.write("links/file", "1");
  mirror_.write("socket", "1");
  spokeHas({{"a/first", {1, OLD}}});
  planned();
  auto first = plan_;
  spokeHas({{"a/second", {1, OLD}}});
  listing_.skipped = {"link", "socket"};
  Texts gone;
  for (auto& file : goneTwice(first, tree_, kept_, known_, listing_)) gone.push_back(file.path);
  EXPECT_EQ(gone, (Texts{"a/both", "links/file"}));
  listing_.complete = false;
  EXPECT_TRUE(goneTwice(first, tree_, kept_, known_, listing_).empty());
}

TEST_F(PlanTest, aFileThatMayHaveMovedIsNotGone) {
  mirror_.write("hot/a", "1");
  mirror_.write("hot/below/b", "1");
  mirror_.write("cold/c", "123");
  mirror_.write("cold/d", "1234567");
  mirror_.write("stays", "1");
  spokeHas({{"stays", {1, OLD}}});
  planned();
  auto first = plan_;
  auto gone = [&](const Paths& fetched = {}) {
    Texts paths;
    for (auto& file : goneTwice(first, tree_, kept_, known_, listing_, fetched)) {
      paths.push_back(file.path);
    }
    return paths;
  };
  EXPECT_EQ(gone(), (Texts{"cold/c", "cold/d", "hot/a", "hot/below/b"}));
  listing_.rest = proto::Summary::Rest::CHANGING;
  EXPECT_EQ(gone(), Texts{});

  // A file that appeared in the meantime may be the missing one: under its name, or another, and
  // grown.
  spokeHas({{"stays", {1, OLD}}, {"x/d", {1, OLD - 1}}});
  EXPECT_EQ(gone(), (Texts{"cold/c", "hot/a", "hot/below/b"}));
  EXPECT_EQ(gone({"x/d"}), (Texts{"cold/c", "cold/d", "hot/a", "hot/below/b"}));
  spokeHas({{"stays", {1, OLD}}, {"new", {5, OLD}}, {"large", {9, OLD - 1}}});
  EXPECT_EQ(gone(), Texts{"cold/d"});
  // A file that could not be fetched may be it by its name alone, unless it is in its way.
  auto plan = [&](const char* path) { first.files.emplace_back().remote.path = path; };
  plan("new");
  EXPECT_EQ(gone(), (Texts{"cold/c", "cold/d", "hot/a", "hot/below/b"}));
  spokeHas({{"stays", {1, OLD}}, {"x/c", {500, OLD + 1}}, {"hot", {500, OLD + 1}}});
  for (auto path : {"x/c", "hot"}) plan(path);
  EXPECT_EQ(gone(), (Texts{"cold/d", "hot/a", "hot/below/b"}));
  spokeHas({{"stays", {100, OLD + 5}}, {"new", {100, OLD - 1}}});
  EXPECT_EQ(gone(), (Texts{"cold/c", "cold/d", "hot/a", "hot/below/b"})) << "sessions grow";
}

TEST_F(PlanTest, timesAreComparedAsTheMirrorStoresThem) {
  constexpr int64_t ROUND = OLD - OLD % 1000;
  for (auto name : {"a", "b", "c"}) mirror_.write(name, "1", ROUND);
  spokeHas({{"a", {1, ROUND + 999}}, {"b", {1, ROUND + 1000}}, {"c", {1, ROUND - 1}}});
  auto files = planned();
  EXPECT_EQ(files.size(), 3u);
  known_.options.times.grain = 1000;
  files = planned();
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (Texts{"touch b", "touch c"}));
  known_.options.times = {1, ROUND, ROUND};
  EXPECT_EQ(planned(), Texts{});
}

TEST_F(PlanTest, modesAreComparedIfKept) {
  mirror_.write("a", "1");  // 0644
  chmod((mirror_ / "a").c_str(), 0640);
  spokeHas({{"a", {1, OLD}}});
  listing_.listed[0].mode = 0644;
  EXPECT_EQ(planned(), Texts{});
  known_.options.modes = true;
  EXPECT_EQ(planned(), Texts{"touch a"});
  listing_.listed[0].mode = 0040;  // 0600 is added in any case
  EXPECT_EQ(planned(), Texts{});
  listing_.listed[0].mode = 0;  // an agent that does not send modes
  EXPECT_EQ(planned(), Texts{});
}

TEST(StoredTimes, areClampedAndRoundedDown) {
  StoredTimes exact;
  for (int64_t time : {INT64_MIN, int64_t(-1), int64_t(0), OLD, INT64_MAX}) {
    EXPECT_EQ(exact.stored(time), time);
  }
  StoredTimes coarse{2'000'000'000, 0, 100'000'000'000};
  EXPECT_EQ(coarse.stored(3'999'999'999), 2'000'000'000);
  EXPECT_EQ(coarse.stored(-5), 0);
  EXPECT_EQ(coarse.stored(INT64_MAX), 100'000'000'000);
  StoredTimes seconds{1'000'000'000};
  EXPECT_EQ(seconds.stored(-1), -1'000'000'000);
  EXPECT_EQ(seconds.stored(INT64_MIN), INT64_MIN);
  // A hostile hub's values must not cause undefined behavior.
  EXPECT_EQ((StoredTimes{-7, 5, 3}).stored(42), 42);
}

TEST(SessionStart, isInTheName) {
  EXPECT_EQ(sessionStart("1970-01-02T00-00-01-999Z_x.jsonl", -1), 86'401);
  EXPECT_EQ(sessionStart("2026-01-31T12-00-00-000Z_f00.jsonl", -1), 1769860800);
  for (auto name :
       {"", "notes.jsonl", "2026-01-31", "2026-01-31T12:00:00Z", "x2026-01-31T12-00-00-000Z"}) {
    EXPECT_EQ(sessionStart(name, 7), 7) << name;
  }
}

}  // namespace
}  // namespace pibrain
