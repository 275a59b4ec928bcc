// The agent's side of a scan: spoke-agent/answers/listing.

#include "common/tree/tree-walk.h"
#include "spoke-agent/answers/listing.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/debug.h>

#include <set>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

struct Listed {
  proto::Summary::State state = proto::Summary::State::SAME;
  bool complete = false;
  uint32_t files = 0;
  uint32_t symlinks = 0;
  size_t events = 0;
  std::vector<std::pair<uint32_t, std::string>> listed;  // id, path
  std::vector<uint32_t> fingerprints;                    // ids
  std::multiset<uint32_t> missingOnSpoke;
  std::vector<std::string> problems;
};

Listed ask(std::shared_ptr<const Tree> tree, Digest hubTree, const std::vector<uint64_t>& known,
           bool knownComplete, int64_t newest = INT64_MIN) {
  capnp::MallocMessageBuilder message;
  auto list =
      message.initRoot<capnp::AnyPointer>().initAs<capnp::List<uint64_t>>(uint32_t(known.size()));
  for (size_t i = 0; i < known.size(); ++i) list.set(uint32_t(i), known[i]);
  ListingSource listing(tree, {hubTree, list.asReader(), knownComplete, newest});

  Listed answer;
  BlockWriter writer(1);
  BlockReader reader;
  for (bool more = true; more;) {
    more = listing.produce(writer);
    reader.read(writer.finish(!more), [&](proto::Event::Reader event) {
      ++answer.events;
      EXPECT_EQ(event.isSummary(), answer.events == 1);
      switch (event.which()) {
        case proto::Event::SUMMARY:
          answer.state = event.getSummary().getState();
          answer.complete = event.getSummary().getComplete();
          answer.files = event.getSummary().getFiles();
          answer.symlinks = event.getSummary().getSymlinksSkipped();
          break;
        case proto::Event::DIRECTORY: {
          uint32_t id = event.getDirectory().getFirstFile();
          auto path = textOf(event.getDirectory().getPath());
          auto entries = event.getDirectory().getEntries();
          uint32_t next = 0;
          for (uint64_t fingerprint : event.getDirectory().getFingerprints()) {
            auto [directory, file] = KJ_ASSERT_NONNULL(tree->find(id));
            if (fingerprint != 0) {
              EXPECT_EQ(fingerprint, fingerprintOf(directory, file));
              answer.fingerprints.push_back(id++);
              continue;
            }
            EXPECT_EQ(entries[next].getSize(), file.size);
            EXPECT_EQ(entries[next].getMtime(), file.mtime);
            auto name = textOf(entries[next++].getName());
            answer.listed.emplace_back(id++, path.empty() ? name : path + "/" + name);
          }
          EXPECT_EQ(next, entries.size());
          break;
        }
        case proto::Event::UNSEEN:
          for (uint32_t index : event.getUnseen()) answer.missingOnSpoke.insert(index);
          break;
        case proto::Event::PROBLEM:
          answer.problems.push_back(textOf(event.getProblem().getPath()));
          break;
        default:
          ADD_FAILURE() << "another event";
      }
    });
  }
  return answer;
}

class AgentListing : public testing::Test {
 protected:
  AgentListing() {
    dir_.write("top", "1");
    dir_.write("a/1", "12");
    dir_.write("a/2", "123");
    dir_.write("b/c/1", "1234");
    EXPECT_EQ(symlink("top", (dir_ / "link").c_str()), 0);
    tree_ = std::make_shared<const Tree>(walkTree(dir_.open()));
    for (auto& directory : tree_->directories) {
      digests_[directory.path] = directory.digest;
    }
  }

  TempDir dir_;
  std::shared_ptr<const Tree> tree_;
  std::map<std::string, uint64_t> digests_;
};

TEST_F(AgentListing, same) {
  for (bool complete : {false, true}) {
    auto answer = ask(tree_, treeDigest(*tree_), {}, complete);
    EXPECT_EQ(answer.state, proto::Summary::State::SAME);
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(answer.files, 4u);
    EXPECT_EQ(answer.symlinks, 1u);
    EXPECT_EQ(answer.events, 1u);
  }
}

TEST_F(AgentListing, differs) {
  auto answer = ask(tree_, Digest{1, 2}, {}, false);
  EXPECT_EQ(answer.state, proto::Summary::State::DIFFERS);
  EXPECT_EQ(answer.events, 1u);
}

TEST_F(AgentListing, listsEverythingToAnEmptyMirror) {
  auto answer = ask(tree_, Digest{}, {}, true);
  EXPECT_EQ(answer.state, proto::Summary::State::LISTED);
  ASSERT_EQ(answer.listed.size(), 4u);
  for (auto& [id, path] : answer.listed) {
    auto [directory, file] = KJ_ASSERT_NONNULL(tree_->find(id));
    EXPECT_EQ(directory.pathOf(file), path);
  }
  EXPECT_TRUE(answer.fingerprints.empty());
  EXPECT_TRUE(answer.missingOnSpoke.empty());
}

TEST_F(AgentListing, listsChangedDirectoriesAndMissingOnes) {
  auto answer = ask(tree_, Digest{}, {11, digests_["a"], 22, digests_["b/c"], 33}, true);
  EXPECT_EQ(answer.state, proto::Summary::State::LISTED);
  ASSERT_EQ(answer.listed.size(), 1u);
  EXPECT_EQ(answer.listed[0].second, "top");
  EXPECT_EQ(answer.missingOnSpoke, (std::multiset<uint32_t>{0, 2, 4}));

  answer = ask(tree_, Digest{}, {digests_[""]}, true);
  EXPECT_EQ(answer.listed.size(), 3u);
  EXPECT_TRUE(answer.missingOnSpoke.empty());
}

TEST_F(AgentListing, namesOldFilesByTheirFingerprints) {
  dir_.write("a/new", "12345", OLD + 1);
  tree_ = std::make_shared<const Tree>(walkTree(dir_.open()));
  auto answer = ask(tree_, Digest{}, {digests_[""], digests_["b/c"]}, true, OLD);
  ASSERT_EQ(answer.listed.size(), 1u);
  EXPECT_EQ(answer.listed[0].second, "a/new");
  EXPECT_EQ(answer.fingerprints.size(), 2u);

  answer = ask(tree_, Digest{}, {digests_[""], digests_["b/c"]}, true, OLD - 1);
  EXPECT_EQ(answer.listed.size(), 3u);
}

TEST_F(AgentListing, givesEntriesOfSingleFiles) {
  capnp::MallocMessageBuilder message;
  auto ids = message.initRoot<capnp::AnyPointer>().initAs<capnp::List<uint32_t>>(3);
  ids.set(0, 2);
  ids.set(1, 99);
  EntrySource entries(tree_, ids.asReader());
  BlockWriter writer(1);
  std::vector<std::string> answers;
  for (bool more = true; more;) {
    more = entries.produce(writer);
    BlockReader().read(writer.finish(true), [&](proto::Event::Reader event) {
      if (event.isRefused()) {
        answers.push_back("refused " + std::to_string(event.getRefused().getFile()));
      } else {
        auto entry = event.getEntry().getEntry();
        auto [directory, file] = KJ_ASSERT_NONNULL(tree_->find(event.getEntry().getFile()));
        EXPECT_EQ(entry.getSize(), file.size);
        EXPECT_EQ(entry.getMtime(), file.mtime);
        answers.push_back(textOf(entry.getName()));
      }
    });
  }
  EXPECT_EQ(answers, (std::vector<std::string>{"2", "refused 99", "top"}));
}

TEST_F(AgentListing, problemsMakeItIncomplete) {
  Tree tree = *tree_;
  tree.problems.push_back({"locked", proto::Reason::DENIED});
  auto answer = ask(std::make_shared<const Tree>(tree), treeDigest(tree), {digests_["a"]}, true);
  // Even if everything that could be read is the same.
  EXPECT_EQ(answer.state, proto::Summary::State::LISTED);
  EXPECT_FALSE(answer.complete);
  EXPECT_EQ(answer.problems, std::vector<std::string>{"locked"});
  EXPECT_EQ(answer.listed.size(), 2u);
}

TEST_F(AgentListing, anEmptyTreeEqualsAnEmptyMirror) {
  auto empty = std::make_shared<const Tree>();
  EXPECT_EQ(ask(empty, treeDigest(Tree()), {}, true).state, proto::Summary::State::SAME);
  auto answer = ask(empty, Digest{1, 1}, {7, 8}, true);
  EXPECT_EQ(answer.state, proto::Summary::State::LISTED);
  EXPECT_EQ(answer.missingOnSpoke, (std::multiset<uint32_t>{0, 1}));
}

TEST(AgentListingLarge, manyFilesAndDirectories) {
  auto tree = std::make_shared<Tree>();
  constexpr uint32_t FILES = 2500;
  // One directory with many files, which takes several events.
  auto& directory = tree->directories.emplace_back();
  directory.names = "name";
  directory.files.resize(FILES, {5, OLD, 0, 4});
  tree->files = FILES;
  std::vector<uint64_t> known(120'000);
  for (size_t i = 0; i < known.size(); ++i) known[i] = 1000 + i;
  auto answer = ask(tree, Digest{}, known, true);
  ASSERT_EQ(answer.listed.size(), FILES);
  for (uint32_t i = 0; i < FILES; ++i) ASSERT_EQ(answer.listed[i].first, i);
  EXPECT_EQ(answer.missingOnSpoke.size(), known.size());
  EXPECT_EQ(std::set(answer.missingOnSpoke.begin(), answer.missingOnSpoke.end()).size(),
            known.size());
  EXPECT_EQ(*answer.missingOnSpoke.rbegin(), 119'999u);
}

}  // namespace
}  // namespace pibrain
