// What an agent tells while a hub watches.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "common/fs/file-times.h"
#include "spoke-agent/answers/sent-files.h"
#include "spoke-agent/watch/change-collector.h"
#include "tests/unit/agent-fixture.h"

namespace pibrain {
namespace {

using Events = std::vector<std::string>;

class WatchTest : public AgentFixture {
 protected:
  ~WatchTest() noexcept override { changes_ = nullptr; }

  void watch() { changes_ = sessions_.watchRequest().send().getChanges(); }

  // From now on, next() tells of changes of the one file that there is, which the hub has.
  void watchWhatWasSent() {
    start(dir_.path(), true);
    scan();
    pullWhole(0);
    watch();
    next();
  }

  // Returns what the next block says. `end` is set when there are no more.
  Answer next() {
    Answer result;
    auto response = changes_.nextRequest().send().wait(io_.waitScope);
    BlockReader reader;
    if (response.getBlock().size() > 0) {
      reader.read(response.getBlock(), [&](proto::Event::Reader event) { note(event, result); });
    }
    end_ = response.getLast();
    return result;
  }

  // A file that changed a moment ago, as those that grow.
  void writeNow(const std::string& name, std::string_view content) {
    dir_.write(name, content, wallClockNanos());
  }

  void append(const std::string& name, std::string_view text) {
    std::ofstream(dir_ / name, std::ios::app) << text;
  }

  void overwrite(const std::string& name, char byte) {
    std::fstream(dir_ / name, std::ios::in | std::ios::out).seekp(1).put(byte);
  }

  proto::Blocks::Client changes_ = nullptr;
  bool end_ = false;
};

TEST_F(WatchTest, anAppendToWhatWasSentComesAtOnce) {
  writeNow("p/a.jsonl", "{}\n");
  start(dir_.path(), true);
  scan();
  EXPECT_EQ(pullWhole(0).content, "{}\n");
  watch();
  EXPECT_EQ(next().events, Events{"watches 2, polls 0"});
  for (auto line : {"{\"n\":1}\n", "{\"n\":2}\n"}) {
    append("p/a.jsonl", line);
    auto told = next();
    EXPECT_EQ(told.content, line);
    ASSERT_EQ(told.events.size(), 2u);
    EXPECT_EQ(told.events[1], "end");
  }
  EXPECT_EQ(digestOf(bytesOf("{}\n{\"n\":1}\n{\"n\":2}\n")), [&] {
    append("p/a.jsonl", "");
    return pullWhole(0).hash;
  }());
}

// A write sets the time of a file before its size.
TEST_F(WatchTest, aWriteThatHasNotSetTheSizeYetIsNotARewrite) {
  writeNow("a.jsonl", "{}\n");
  watchWhatWasSent();
  overwrite("a.jsonl", '}');
  std::thread rest([&]() {
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    append("a.jsonl", "{\"n\":1}\n");
  });
  auto told = next();
  rest.join();
  EXPECT_EQ(told.content, "{\"n\":1}\n");
  overwrite("a.jsonl", ' ');
  EXPECT_EQ(next().paths, Events{"a.jsonl"}) << "it did not grow";
}

TEST_F(WatchTest, aLongTailIsLeftToAPullThatReadsNothingElse) {
  std::string sent = "{}\n", tail = std::string(200'000, 'x') + "\n";
  writeNow("a.jsonl", sent);
  watchWhatWasSent();
  append("a.jsonl", tail);
  EXPECT_EQ(next().paths, Events{"a.jsonl"});
  // What it does not read, it does not notice.
  overwrite("a.jsonl", ' ');
  auto got = pullTail(0, sent, true);
  EXPECT_EQ(got.content, tail);
  EXPECT_EQ(got.hash, digestOf(bytesOf(sent + tail)));
  EXPECT_TRUE(got.unsettled) << "it is still to be proved";
  EXPECT_EQ(pullTail(0, sent).events, Events{"differs 0"});
  // Of anything else, it reads all.
  EXPECT_EQ(pullTail(0, sent, true).events, Events{"differs 0"});
}

TEST_F(WatchTest, whatWasNotSentIsAnnounced) {
  dir_.write("p/a.jsonl", "{}\n");
  dir_.write("b.jsonl", "{}\n");
  start(dir_.path(), true);
  scan();
  watch();
  next();
  append("p/a.jsonl", "{}\n");
  EXPECT_EQ(next().paths, Events{"p/a.jsonl"});
  append("b.jsonl", "{}\n");
  EXPECT_EQ(next().paths, Events{"b.jsonl"});
}

TEST_F(WatchTest, whatChangedBeforeTheWatchIsTold) {
  dir_.write("p/a.jsonl", "{}\n");
  start(dir_.path(), true);
  scan();
  append("p/a.jsonl", "{}\n");
  watch();
  auto told = next();
  EXPECT_EQ(told.events, Events{"watches 2, polls 0"});
  EXPECT_EQ(told.paths, Events{"p/a.jsonl"});
}

TEST_F(WatchTest, whatGoesAndIsNoSessionNeedsAScan) {
  dir_.write("p/a.jsonl", "{}\n");
  dir_.write("p/b.jsonl", "{}\n");
  mkdir((dir_ / "empty").c_str(), 0700);
  start(dir_.path(), true);
  auto needsScan = [&](std::function<void()> change) {
    scan();
    watch();
    EXPECT_EQ(next().events[0].substr(0, 8), "watches ");
    change();
    EXPECT_EQ(next().events, Events{"scan needed"});
  };
  needsScan([&]() { dir_.write("p/notes", "x"); });
  needsScan([&]() { dir_.write("empty/notes", "x"); });
  needsScan([&]() { EXPECT_EQ(symlink("/etc", (dir_ / "p/link.jsonl").c_str()), 0); });
  needsScan([&]() { unlink((dir_ / "p/a.jsonl").c_str()); });
  needsScan([&]() { rename((dir_ / "p/b.jsonl").c_str(), (dir_ / "empty/c.jsonl").c_str()); });
  needsScan([&]() { rename((dir_ / "empty").c_str(), (dir_ / "r").c_str()); });
}

// Whoever waits for the first line of a session need not wait for a scan.
TEST_F(WatchTest, aNewSessionIsAnnounced) {
  dir_.write("p/a.jsonl", "{}\n");
  start(dir_.path(), true);
  scan();
  watch();
  next();
  auto arrives = [&](const std::string& path, uint32_t id) {
    auto told = next();
    EXPECT_EQ(told.paths, Events{path});
    EXPECT_EQ(pullWhole(id).content, "{}\n");
    append(path, "{\"n\":1}\n");
    EXPECT_EQ(next().content, "{\"n\":1}\n");
  };
  writeNow("p/b.jsonl", "{}\n");
  arrives("p/b.jsonl", 1);
  // With new directories, which are watched then.
  writeNow("q/r/c.jsonl", "{}\n");
  arrives("q/r/c.jsonl", 2);
  writeNow("q/r/d.jsonl", "{}\n");
  arrives("q/r/d.jsonl", 3);
  // Their ids end with the next scan.
  scan();
  EXPECT_EQ(pullWhole(3).content, "{}\n{\"n\":1}\n");
  EXPECT_EQ(pullWhole(4).content, "");
}

TEST_F(WatchTest, theNextScanAndTheNextWatchEndIt) {
  dir_.write("a.jsonl", "{}\n");
  start(dir_.path(), true);
  scan();
  watch();
  next();
  auto before = changes_;
  watch();
  next();
  EXPECT_TRUE(before.nextRequest().send().wait(io_.waitScope).getLast());
  auto waiting = changes_.nextRequest().send();
  scan();
  EXPECT_TRUE(waiting.wait(io_.waitScope).getLast());
  next();
  EXPECT_TRUE(end_);
}

TEST_F(WatchTest, aLineThatIsNotDoneWaits) {
  writeNow("a.jsonl", "{}\n");
  watchWhatWasSent();
  append("a.jsonl", "{\"half\"");
  append("a.jsonl", ":1}\n{\"an");
  EXPECT_EQ(next().content, "{\"half\":1}\n");
  append("a.jsonl", "d\":2}\n");
  EXPECT_EQ(next().content, "{\"and\":2}\n");
}

TEST_F(WatchTest, whatIsNotAnAppendIsAnnounced) {
  writeNow("a.jsonl", "{\"first\":1}\n");
  watchWhatWasSent();
  for (auto text : {"{}\n", "{\"another\":1}\n"}) {
    dir_.write("a.jsonl", text);
    Answer told;
    while (told.paths.empty()) told = next();
    EXPECT_EQ(told.content, "");
    EXPECT_EQ(pullWhole(0).content, text);
  }
  dir_.write("beside", "{\"renamed\":1}\n");
  rename((dir_ / "beside").c_str(), (dir_ / "a.jsonl").c_str());
  Answer told;
  while (told.paths.empty()) told = next();
  EXPECT_EQ(told.paths, Events{"a.jsonl"});
  EXPECT_EQ(told.content, "");
}

TEST_F(WatchTest, withoutEventsTheAgentLooks) {
  writeNow("p/a.jsonl", "{}\n");
  start(dir_.path(), false);
  scan();
  pullWhole(0);
  watch();
  EXPECT_EQ(next().events, Events{"watches 0, polls 2"});
  append("p/a.jsonl", "{\"n\":1}\n");
  EXPECT_EQ(next().content, "{\"n\":1}\n");
}

// So that a hub that asks for too much gets no more than one that reads.
TEST_F(WatchTest, manyRequestsAtOnceAreAnsweredInTheirOrder) {
  writeNow("a.jsonl", "{}\n");
  watchWhatWasSent();
  std::vector<kj::Promise<std::string>> asked;
  for (int i = 0; i < 20; ++i) {
    asked.push_back(changes_.nextRequest().send().then([](auto response) {
      Answer answer;
      BlockReader().read(response.getBlock(),
                         [&](proto::Event::Reader event) { note(event, answer); });
      return answer.content;
    }));
  }
  std::string all;
  for (int i = 0; i < 20; ++i) {
    auto line = "{\"n\":" + std::to_string(i) + "}\n";
    append("a.jsonl", line);
    EXPECT_EQ(asked[size_t(i)].wait(io_.waitScope), line);
  }
}

TEST(SentFilesTest, remembersTheLatest) {
  auto files = kj::refcounted<SentFiles>();
  for (int i = 0; i < 300; ++i)
    files->keep(std::to_string(i), {0, 0, uint64_t(i), 0, FileHasher()});
  EXPECT_EQ(files->find("0"), nullptr);
  EXPECT_EQ(files->find("43"), nullptr);
  ASSERT_NE(files->find("44"), nullptr);
  EXPECT_EQ(files->find("299")->size, 299u);
  files->keep("new", {0, 0, 1, 0, FileHasher()});
  EXPECT_NE(files->find("44"), nullptr) << "it was used a moment ago";
  EXPECT_EQ(files->find("45"), nullptr);
  files->forget("44");
  EXPECT_EQ(files->find("44"), nullptr);
}

TEST(SentFilesTest, anotherSecretForgetsAll) {
  auto files = kj::refcounted<SentFiles>();
  auto one = kj::heapArray<kj::byte>(FileHasher::SECRET_SIZE);
  memset(one.begin(), 1, one.size());
  auto shared = files->share(one);
  files->keep("a", {0, 0, 1, 0, FileHasher(*shared)});
  EXPECT_EQ(files->share(one), shared);
  EXPECT_NE(files->find("a"), nullptr);
  memset(one.begin(), 2, one.size());
  EXPECT_NE(files->share(one), shared);
  EXPECT_EQ(files->find("a"), nullptr);
}

// More directories than marks: those with the newest files get them.
TEST(ChangeCollectorTest, theNewestDirectoriesAreMarked) {
  TempDir dir;
  constexpr size_t ALL = Marks::MAX_MARKS + 300;
  for (size_t i = 0; i < ALL; ++i) {
    auto name = "d" + std::to_string(i);
    mkdir((dir / name).c_str(), 0700);
    kj::AutoCloseFd file(open((dir / (name + "/f")).c_str(), O_WRONLY | O_CREAT, 0600));
    struct timespec times[] = {{time_t(1'000'000 + i), 0}, {time_t(1'000'000 + i), 0}};
    futimens(file, times);
  }
  auto root = kj::refcounted<DirectoryTree>(dir.path());
  Marks marks(Marks::openGroup());
  ASSERT_GE(marks.fd(), 0);
  ChangeCollector changes(*root, marks);
  changes.begin(root->scan());
  EXPECT_EQ(changes.mode().watched, Marks::MAX_MARKS);
  EXPECT_EQ(changes.mode().polled, ALL + 1 - Marks::MAX_MARKS);
  EXPECT_EQ(changes.mode().why, Marks::Refusal::BUDGET);
  EXPECT_TRUE(marks.isMarked("d" + std::to_string(ALL - 1)));
  EXPECT_FALSE(marks.isMarked("d0"));
  changes.drain();
  changes.takeFiles();
  std::ofstream(dir / "d0/f") << "x";
  std::ofstream(dir / ("d" + std::to_string(ALL - 1) + "/f")) << "x";
  changes.drain();
  EXPECT_EQ(changes.takeFiles().size(), 1u);
  changes.lookAtAll();
  EXPECT_EQ(changes.takeFiles().size(), 2u) << "a look knows nothing of events";
  std::ofstream(dir / "d0/new.jsonl") << "x";
  changes.lookAtAll();
  EXPECT_EQ(changes.takeFiles(), std::vector<uint32_t>{ALL});
  changes.lookAtAll();
  EXPECT_FALSE(changes.hasFiles()) << "it is as it was";
  EXPECT_FALSE(changes.needsScan());
}

class Collected : public ::testing::Test {
 protected:
  ~Collected() noexcept override {}

  void begin(kj::AutoCloseFd group, Exclusions exclusions = {}) {
    root_ = kj::refcounted<DirectoryTree>(dir_.path(), std::move(exclusions));
    marks_ = kj::heap<Marks>(kj::mv(group));
    changes_ = kj::heap<ChangeCollector>(*root_, *marks_);
    changes_->begin(root_->scan());
  }

  TempDir dir_;
  kj::Own<DirectoryTree> root_;
  kj::Own<Marks> marks_;
  kj::Own<ChangeCollector> changes_;
};

// What is not served is not even looked at.
TEST_F(Collected, excludedDirectoriesAreNotMarked) {
  begin(Marks::openGroup(), Exclusions({"private/", "*.secret"}));
  dir_.write("private/below/a.jsonl", "{}\n");
  dir_.write("a.secret", "{}\n");
  mkdir((dir_ / "beside").c_str(), 0700);
  rename((dir_ / "private/below").c_str(), (dir_ / "below").c_str());
  rename((dir_ / "below").c_str(), (dir_ / "private/below").c_str());
  changes_->drain();
  EXPECT_TRUE(marks_->isMarked("beside"));
  EXPECT_FALSE(marks_->isMarked("private"));
  EXPECT_FALSE(marks_->isMarked("private/below"));
  changes_->scanRequested();
  unlink((dir_ / "private/below/a.jsonl").c_str());
  rmdir((dir_ / "private/below").c_str());
  rmdir((dir_ / "private").c_str());
  changes_->drain();
  EXPECT_FALSE(changes_->needsScan());
  EXPECT_FALSE(changes_->hasFiles());
}

// The hub has its sessions under the old name: to announce them would bring them again.
TEST_F(Collected, aRenamedDirectoryIsLeftToAScan) {
  dir_.write("p/a.jsonl", "{}\n");
  for (bool events : {true, false}) {
    begin(events ? Marks::openGroup() : kj::AutoCloseFd());
    rename((dir_ / "p").c_str(), (dir_ / "q").c_str());
    changes_->drain();
    if (!events) changes_->lookAtAll();
    EXPECT_TRUE(changes_->needsScan());
    EXPECT_FALSE(changes_->hasFiles());
    EXPECT_EQ(marks_->isMarked("q"), events);
    rename((dir_ / "q").c_str(), (dir_ / "p").c_str());
  }
}

TEST_F(Collected, newSessionsAreLookedAtWithoutEvents) {
  dir_.write("p/a.jsonl", "{}\n");
  begin(kj::AutoCloseFd());
  dir_.write("p/b.jsonl", "{}\n", wallClockNanos());
  changes_->lookAtAll();
  EXPECT_EQ(changes_->takeFiles(), std::vector<uint32_t>{1});
  std::ofstream(dir_ / "p/b.jsonl", std::ios::app) << "{}\n";
  changes_->lookAtHot();
  EXPECT_EQ(changes_->takeFiles(), std::vector<uint32_t>{1});
  EXPECT_FALSE(changes_->needsScan());
  for (bool all : {false, true}) {
    begin(kj::AutoCloseFd());
    dir_.write("p/c.jsonl", "{}\n", wallClockNanos());
    changes_->lookAtAll();
    EXPECT_FALSE(changes_->needsScan());
    unlink((dir_ / "p/c.jsonl").c_str());
    all ? changes_->lookAtAll() : changes_->lookAtHot();
    EXPECT_TRUE(changes_->needsScan()) << all;
  }
}

}  // namespace
}  // namespace pibrain
