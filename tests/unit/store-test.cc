#include "hub/history/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include <algorithm>
#include <functional>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

SpokeReport report(const std::string& spoke, int64_t finished, Outcome outcome = Outcome::OK,
                   const std::string& error = "") {
  SpokeReport out;
  out.name = spoke;
  out.started = finished - SECOND;
  out.finished = finished;
  out.outcome = outcome;
  if (!error.empty()) out.failure = Failure(FailureId::FILES_FAILED, error);
  return out;
}

class StoreTest : public testing::Test {
 protected:
  void open() {
    store_ = nullptr;
    auto store = Store::open(dir_ / "data/deep",
                             [this](const std::string& message) { said_.push_back(message); });
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  std::vector<std::string> kept(const std::string& spoke) {
    auto paths = store_->keptFiles(spoke);
    EXPECT_TRUE(paths.ok()) << paths.status();
    std::sort(paths->begin(), paths->end());
    return *paths;
  }

  TempDir dir_;
  std::vector<std::string> said_;
  std::unique_ptr<Store> store_;
};

using Paths = std::vector<std::string>;

TEST_F(StoreTest, isCreatedForItsOwnerOnly) {
  open();
  EXPECT_EQ(dir_.mode("data"), 0700u);
  EXPECT_EQ(dir_.mode("data/deep"), 0700u);
  EXPECT_EQ(dir_.mode("data/deep/sync.db"), 0600u);
}

TEST_F(StoreTest, lastRuns) {
  open();
  auto none = store_->lastRuns("a");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->lastGood, std::nullopt);
  EXPECT_EQ(none->lastError(), "");

  ASSERT_TRUE(store_->recordRun(report("a", OLD)).ok());
  ASSERT_TRUE(store_->recordRun(report("a", OLD + 2, Outcome::FAILED, "it's broken; --")).ok());
  ASSERT_TRUE(store_->recordRun(report("b", OLD + 9)).ok());
  EXPECT_EQ(store_->lastRuns("a")->lastGood, OLD);
  EXPECT_EQ(store_->lastRuns("a")->lastError(), "it's broken; --.");
  EXPECT_EQ(store_->lastRuns("b")->lastGood, OLD + 9);
  EXPECT_EQ(store_->lastRuns("b")->lastError(), "");

  ASSERT_TRUE(store_->recordRun(report("a", OLD + 3)).ok());
  EXPECT_EQ(store_->lastRuns("a")->lastGood, OLD + 3);
  EXPECT_EQ(store_->lastRuns("a")->lastError(), "");
}

TEST_F(StoreTest, lastRunsAfterTheClockWasAhead) {
  open();
  ASSERT_TRUE(store_->recordRun(report("a", OLD + 1'000'000)).ok());
  ASSERT_TRUE(store_->recordRun(report("a", OLD)).ok());
  ASSERT_TRUE(store_->recordRun(report("a", OLD + 1, Outcome::FAILED, "broken")).ok());
  EXPECT_EQ(store_->lastRuns("a")->lastGood, OLD);
  EXPECT_EQ(store_->lastRuns("a")->lastError(), "broken.");
}

TEST_F(StoreTest, hoursOfLiveMode) {
  open();
  constexpr int64_t HOUR = 3600 * SECOND, NOON = 500'000 * HOUR;
  auto add = [&](const char* spoke, int64_t time, uint32_t grown, uint64_t bytes) {
    SpokeReport totals;
    totals.name = spoke;
    totals.started = totals.finished = time;
    totals.counts.grown = grown;
    totals.bytesLiteral = totals.bytesGrown = bytes;
    totals.wire = {1, 2};
    auto status = store_->addToLiveHour(totals);
    ASSERT_TRUE(status.ok()) << status;
  };
  add("a", NOON + SECOND, 3, 300);
  add("a", NOON + HOUR - SECOND, 4, 400);
  add("a", NOON + HOUR, 5, 500);
  add("b", NOON, 6, 600);
  ASSERT_TRUE(store_->recordRun(report("a", NOON + HOUR / 2)).ok());
  ASSERT_TRUE(store_->recordRun(report("a", NOON + 2 * HOUR)).ok());

  auto all = *store_->history({"a"}, 10);
  ASSERT_EQ(all.size(), 4u);
  std::vector<bool> live;
  for (auto& one : all) live.push_back(one.liveHour);
  EXPECT_EQ(live, (std::vector<bool>{false, true, true, false}));
  EXPECT_EQ(all[1].counts.grown, 5u);
  EXPECT_EQ(all[2].counts.grown, 7u);
  EXPECT_EQ(all[2].bytesLiteral, 700u);
  EXPECT_EQ(all[2].wire.down, 4u);
  EXPECT_EQ(all[2].started, NOON + SECOND);
  EXPECT_EQ(all[2].finished, NOON + HOUR - SECOND);
  EXPECT_EQ(store_->history({"a"}, 2)->size(), 2u);
  EXPECT_EQ(store_->history({}, 10)->size(), 5u);
  // They are no runs.
  EXPECT_EQ(store_->lastRuns("b")->last, std::nullopt);
  ASSERT_TRUE(store_->renameSpoke("b", "c").ok());
  EXPECT_EQ((*store_->history({"c"}, 10)).at(0).counts.grown, 6u);
}

TEST_F(StoreTest, history) {
  open();
  EXPECT_TRUE(store_->history({}, 10)->empty());
  auto full = report("a", OLD);
  full.counts = {.files = 1,
                 .created = 2,
                 .grown = 3,
                 .rewritten = 4,
                 .moved = 5,
                 .touched = 6,
                 .deleted = 7,
                 .kept = 8,
                 .deferred = 9,
                 .failed = 10};
  full.bytesGrown = 11;
  full.bytesLiteral = 12;
  full.wire = {13, 14};
  ASSERT_TRUE(store_->recordRun(full).ok());
  ASSERT_TRUE(store_->recordRun(report("b", OLD + 1, Outcome::FAILED, "why")).ok());
  ASSERT_TRUE(store_->recordRun(report("a", OLD - 5)).ok()) << "by a clock that went back";
  auto names = [&](const std::vector<std::string>& spokes, uint32_t limit) {
    std::string all;
    auto runs = store_->history(spokes, limit);
    for (auto& run : runs.value()) all += run.name;
    return all;
  };
  EXPECT_EQ(names({}, 10), "aba");
  EXPECT_EQ(names({}, 2), "ab");
  EXPECT_EQ(names({"a"}, 10), "aa");
  EXPECT_EQ(names({"b", "a"}, 10), "aba");
  EXPECT_EQ(names({"c"}, 10), "");
  auto runs = *store_->history({}, 10);
  EXPECT_EQ(runs[1].error(), "why.");
  EXPECT_EQ(runs[1].outcome, Outcome::FAILED);
  auto& read = runs[2];
  EXPECT_EQ(read.outcome, Outcome::OK);
  EXPECT_EQ(read.started, full.started);
  EXPECT_EQ(read.finished, full.finished);
  auto& counts = read.counts;
  EXPECT_EQ((std::vector<uint32_t>{counts.files, counts.created, counts.grown, counts.rewritten,
                                   counts.moved, counts.touched, counts.deleted, counts.kept,
                                   counts.deferred, counts.failed}),
            (std::vector<uint32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(read.bytesGrown, 11u);
  EXPECT_EQ(read.bytesLiteral, 12u);
  EXPECT_EQ(read.wire.up, 13u);
  EXPECT_EQ(read.wire.down, 14u);
}

TEST_F(StoreTest, oldRunsAreForgottenExceptTheLastGoodOne) {
  open();
  ASSERT_TRUE(store_->recordRun(report("a", OLD)).ok());
  ASSERT_TRUE(store_->recordRun(report("a", OLD + 1)).ok());
  ASSERT_TRUE(store_->recordRun(report("b", OLD)).ok());
  for (int i = 0; i < 11'000; ++i) {
    ASSERT_TRUE(store_->recordRun(report("a", OLD + 2 + i, Outcome::FAILED, "why")).ok());
  }
  auto runs = *store_->history({"a"}, 20'000);
  EXPECT_GT(runs.size(), 10'000u);
  EXPECT_LT(runs.size(), 10'300u);
  EXPECT_EQ(runs.back().finished, OLD + 1);
  EXPECT_EQ(store_->lastRuns("a")->lastGood, OLD + 1);
  EXPECT_EQ(store_->lastRuns("a")->failed, runs.size() - 1);
  EXPECT_EQ(store_->lastRuns("b")->lastGood, OLD);
}

TEST_F(StoreTest, keptFiles) {
  open();
  EXPECT_EQ(kept("a"), Paths{});
  Paths odd{"plain",
            "a/b c.jsonl",
            "\xff\xfe not UTF-8",
            "new\nline",
            "'; DROP TABLE kept; --",
            std::string(5000, 'x')};
  std::sort(odd.begin(), odd.end());
  ASSERT_TRUE(store_->setKeptFiles("a", odd).ok());
  ASSERT_TRUE(store_->setKeptFiles("b", {"other"}).ok());
  EXPECT_EQ(kept("a"), odd);
  EXPECT_EQ(kept("b"), Paths{"other"});
  ASSERT_TRUE(store_->setKeptFiles("a", {"one"}).ok());
  EXPECT_EQ(kept("a"), Paths{"one"});
  ASSERT_TRUE(store_->setKeptFiles("a", {}).ok());
  EXPECT_EQ(kept("a"), Paths{});
  EXPECT_EQ(kept("b"), Paths{"other"});
}

TEST_F(StoreTest, anotherName) {
  open();
  ASSERT_TRUE(store_->recordRun(report("a", OLD)).ok());
  ASSERT_TRUE(store_->recordRun(report("b", OLD + 1)).ok());
  ASSERT_TRUE(store_->setKeptFiles("a", {"one", "two"}).ok());
  ASSERT_TRUE(store_->setKeptFiles("b", {"two", "three"}).ok());
  ASSERT_TRUE(store_->setFailedFiles("a", {"four"}).ok());
  ASSERT_TRUE(store_->setLeftOut("a", {"*"}, {{"x", 1, 2}}).ok());
  ASSERT_TRUE(store_->setLastContact("a", {"old", "", 1}).ok());
  ASSERT_TRUE(store_->setLastContact("b", {"new", "", 2}).ok());
  ASSERT_TRUE(store_->setLastEndpoint("a", Endpoint{"192.0.2.1", 22, "x"}).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(store_->renameSpoke("a", "b").ok());
    EXPECT_TRUE(store_->history({"a"}, 9)->empty());
    EXPECT_EQ(store_->history({"b"}, 9)->size(), 2u);
    EXPECT_TRUE(store_->keptFiles("a")->empty());
    EXPECT_EQ(store_->keptFiles("b")->size(), 3u);
    EXPECT_EQ(store_->failedFiles("b")->size(), 1u);
    EXPECT_EQ(store_->leftOut("b", {"*"})->size(), 1u);
    EXPECT_EQ(store_->lastContact("b")->version, "new");
    EXPECT_EQ(store_->lastContact("a"), std::nullopt);
    EXPECT_EQ(store_->lastEndpoint("b")->address, "192.0.2.1");
  }
}

TEST_F(StoreTest, whatIsLeftOut) {
  open();
  const std::vector<std::string> patterns{"*.tmp", "a b/"};
  EXPECT_TRUE(store_->leftOut("a", patterns)->empty());
  ASSERT_TRUE(store_->setLeftOut("a", patterns, {{"", 0, UINT64_MAX}, {"x\xff", 5, 6}}).ok());
  ASSERT_TRUE(store_->setLeftOut("b", patterns, {{"y", 1, 2}}).ok());
  auto found = store_->leftOut("a", patterns);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].theirs, UINT64_MAX);
  EXPECT_EQ((*found)[1].path, "x\xff");
  EXPECT_EQ((*found)[1].ours, 5u);
  EXPECT_TRUE(store_->leftOut("a", {"*.tmp"})->empty()) << "of other patterns";
  ASSERT_TRUE(store_->setLeftOut("a", patterns, {}).ok());
  EXPECT_TRUE(store_->leftOut("a", patterns)->empty());
  EXPECT_EQ(store_->leftOut("b", patterns)->size(), 1u);
}

TEST_F(StoreTest, keptFilesAreReplacedAtomically) {
  open();
  ASSERT_TRUE(store_->setKeptFiles("a", {"one"}).ok());
  EXPECT_FALSE(store_->setKeptFiles("a", {"two", "two"}).ok());
  EXPECT_EQ(kept("a"), Paths{"one"});
  EXPECT_TRUE(store_->setKeptFiles("a", {"three"}).ok()) << "the transaction has ended";
}

TEST_F(StoreTest, outlivesItsProcess) {
  open();
  ASSERT_TRUE(store_->recordRun(report("a", OLD, Outcome::FAILED, "why")).ok());
  ASSERT_TRUE(store_->setKeptFiles("a", {"\xff"}).ok());
  open();
  EXPECT_EQ(store_->lastRuns("a")->lastError(), "why.");
  EXPECT_EQ(kept("a"), Paths{"\xff"});
}

TEST_F(StoreTest, countsOfAnySizeAreStored) {
  open();
  auto big = report("a", INT64_MAX);
  big.counts.files = UINT32_MAX;
  big.bytesLiteral = UINT64_MAX;
  big.wire = {UINT64_MAX, 1};
  EXPECT_TRUE(store_->recordRun(big).ok());
  EXPECT_EQ(store_->lastRuns("a")->lastGood, INT64_MAX);
}

class DamagedStoreTest : public StoreTest {
 protected:
  DamagedStoreTest() {
    open();
    for (int i = 0; i < 500; ++i) {
      EXPECT_TRUE(store_->recordRun(report("a", OLD + i, Outcome::FAILED, "some error")).ok());
    }
    EXPECT_TRUE(store_->setKeptFiles("a", {"one"}).ok());
    EXPECT_TRUE(store_->setLastEndpoint("a", Endpoint{"192.0.2.1", 22}).ok());
    store_ = nullptr;
    good_ = dir_.read("data/deep/sync.db").value();
  }

  // The damaged database is put aside, the new one works, and that was reported once.
  void expectNew(const std::string& damaged) {
    EXPECT_EQ(dir_.read("data/deep/sync.db.broken"), damaged);
    EXPECT_EQ(dir_.mode("data/deep/sync.db.broken"), 0600u);
    ASSERT_EQ(said_.size(), 1u);
    for (auto* word : {"damaged", "history", "no longer have", "sync.db.broken"}) {
      EXPECT_NE(said_[0].find(word), std::string::npos) << said_[0];
    }
    for (int round = 0; round < 2; ++round) {
      EXPECT_TRUE(store_->recordRun(report("b", OLD + 1)).ok());
      EXPECT_TRUE(store_->setKeptFiles("b", {"two"}).ok());
      EXPECT_EQ(store_->lastRuns("b")->lastGood, OLD + 1);
      EXPECT_EQ(store_->lastRuns("a")->last, std::nullopt);
      EXPECT_EQ(kept("b"), Paths{"two"});
      EXPECT_EQ(kept("a"), Paths());
      open();
    }
    EXPECT_EQ(said_.size(), 1u);
  }

  // As sqlite3 does.
  void change(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((dir_ / "data/deep/sync.db").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  std::string good_;
};

TEST_F(DamagedStoreTest, aFileThatIsNotADatabaseIsPutAside) {
  for (auto& damaged : {"this is no database, and it is longer than a header. " + good_,
                        std::string(good_.size(), '\0'), noise(20'000, 1), good_.substr(0, 50),
                        good_.substr(0, 6000), good_.substr(0, good_.size() - 4096)}) {
    said_.clear();
    dir_.write("data/deep/sync.db", damaged);
    open();
    // The first call that needs the missing part reports it.
    (void)store_->history({}, 1'000'000);
    (void)store_->keptFiles("a");
    expectNew(damaged);
  }
}

// Each call that may be the first to find damage behind the header.
TEST_F(DamagedStoreTest, anyCallMayFindTheDamage) {
  auto damaged = good_.substr(0, 4096) + noise(good_.size() - 4096, 1);
  std::function<void()> calls[] = {
      [&]() { EXPECT_TRUE(store_->recordRun(report("a", OLD)).ok()); },
      [&]() { EXPECT_TRUE(store_->lastRuns("a").ok()); },
      [&]() { EXPECT_TRUE(store_->history({}, 1000).ok()); },
      [&]() { EXPECT_TRUE(store_->keptFiles("a").ok()); },
      [&]() { EXPECT_TRUE(store_->setKeptFiles("a", {"x"}).ok()); },
      [&]() { EXPECT_EQ(store_->lastEndpoint("a"), std::nullopt); },
      [&]() {
        EXPECT_TRUE(store_->setLastEndpoint("a", Endpoint{"192.0.2.2", 22}).ok());
      },
      [&]() { EXPECT_EQ(store_->lastContact("a"), std::nullopt); },
      [&]() {
        EXPECT_TRUE(store_->setLastContact("a", {"1", "2", OLD}).ok());
      },
      [&]() { EXPECT_TRUE(store_->forgetSpoke("a").ok()); }};
  for (auto& call : calls) {
    said_.clear();
    dir_.write("data/deep/sync.db", damaged);
    open();
    EXPECT_EQ(said_.size(), 0u);
    call();
    EXPECT_EQ(said_.size(), 1u);
    EXPECT_TRUE(store_->forgetSpoke("a").ok());
    std::filesystem::remove(dir_ / "data/deep/sync.db");
  }
  dir_.write("data/deep/sync.db", damaged);
  said_.clear();
  open();
  EXPECT_TRUE(store_->keptFiles("a").ok());
  expectNew(damaged);
}

TEST_F(DamagedStoreTest, filesBesideItArePutAsideToo) {
  dir_.write("data/deep/sync.db.broken-journal", "of an older one");
  dir_.write("data/deep/sync.db", noise(20'000, 1));
  dir_.write("data/deep/sync.db-wal", "no log either");
  open();
  EXPECT_EQ(dir_.read("data/deep/sync.db.broken-wal"), "no log either");
  EXPECT_EQ(dir_.read("data/deep/sync.db.broken-journal"), std::nullopt);
  expectNew(noise(20'000, 1));
}

TEST_F(DamagedStoreTest, aDatabaseWithoutATableIsPutAside) {
  for (auto* sql : {"DROP TABLE runs", "DROP TABLE kept", "DROP TABLE failed",
                    "ALTER TABLE runs DROP COLUMN bytes_grown",
                    "ALTER TABLE reached RENAME COLUMN port TO door",
                    "DROP TABLE runs; PRAGMA user_version = 2",
                    "DROP TABLE runs; CREATE TABLE runs (of TEXT); PRAGMA user_version = 0"}) {
    dir_.write("data/deep/sync.db", good_);
    change(sql);
    auto damaged = dir_.read("data/deep/sync.db").value();
    said_.clear();
    open();
    (void)store_->lastRuns("a");
    (void)store_->keptFiles("a");
    (void)store_->failedFiles("a");
    (void)store_->lastEndpoint("a");
    (void)store_->history({}, 1000);
    SCOPED_TRACE(sql);
    expectNew(damaged);
  }
}

TEST_F(DamagedStoreTest, aNewerVersionIsLeftAlone) {
  change("ALTER TABLE kept RENAME COLUMN path TO file; PRAGMA user_version = 99");
  auto newer = dir_.read("data/deep/sync.db");
  open();
  auto kept = store_->keptFiles("a");
  ASSERT_FALSE(kept.ok());
  EXPECT_NE(kept.status().message().find("A newer version of pi-brain made it"), std::string::npos);
  EXPECT_TRUE(store_->lastRuns("a").ok());
  EXPECT_EQ(dir_.read("data/deep/sync.db"), newer);
  EXPECT_EQ(said_.size(), 0u);
}

// SQLite would delete the log of an empty database.
TEST_F(DamagedStoreTest, aLogWithoutItsDatabaseIsPutAside) {
  dir_.write("data/deep/sync.db", "");
  dir_.write("data/deep/sync.db-wal", "all that it held");
  open();
  EXPECT_EQ(dir_.read("data/deep/sync.db.broken-wal"), "all that it held");
  EXPECT_EQ(dir_.read("data/deep/sync.db-wal"), std::nullopt);
  expectNew("");
}

TEST_F(StoreTest, anotherProgramsDatabaseIsReportedAndLeftAlone) {
  auto path = dir_ / "data/sync.db";
  auto why = [&]() {
    auto store = Store::openExisting(dir_ / "data", [](auto&) {});
    return store.ok() ? std::string("(opened)") : std::string(store.status().message());
  };
  dir_.write("data/sync.db/file", "");
  EXPECT_NE(why().find("'mv " + path + " " + path + ".old'"), std::string::npos) << why();
  EXPECT_TRUE(dir_.exists("data/sync.db/file"));
  std::filesystem::remove_all(path);
  std::filesystem::create_symlink(dir_ / "not/mounted.db", path);
  EXPECT_NE(why().find("'rm " + path + "'"), std::string::npos) << why();
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  std::filesystem::create_directory(dir_ / "not");
  EXPECT_EQ(why(), "(opened)") << "SQLite makes what the symlink names";
}

// Processes that have the damaged database open find the new one, and remove nothing from it.
TEST_F(DamagedStoreTest, concurrentProcessesMakeOneNewDatabase) {
  auto damaged = good_.substr(0, 4096) + noise(good_.size() - 4096, 1);
  constexpr int PROCESSES = 6;
  for (int round = 0; round < 5; ++round) {
    dir_.write("data/deep/sync.db", damaged);
    std::vector<pid_t> children;
    for (int i = 0; i < PROCESSES; ++i) {
      children.push_back(fork());
      if (children.back() != 0) continue;
      int warned = 0;
      auto store = Store::open(dir_ / "data/deep", [&](auto&) { ++warned; });
      bool good = store.ok();
      for (int k = 0; good && k < 5; ++k) {
        good = (*store)->recordRun(report("p" + std::to_string(i), OLD + k)).ok();
      }
      _exit(good ? warned : 100);
    }
    int warned = 0;
    for (pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      ASSERT_TRUE(WIFEXITED(status));
      warned += WEXITSTATUS(status);
    }
    EXPECT_EQ(warned, 1);
    said_.clear();
    open();
    EXPECT_EQ(store_->history({}, 1000)->size(), size_t(PROCESSES * 5));
    EXPECT_EQ(said_.size(), 0u);
    store_ = nullptr;
    EXPECT_EQ(dir_.read("data/deep/sync.db.broken"), damaged);
  }
}

TEST_F(DamagedStoreTest, aFileThatCannotBePutAsideStays) {
  auto damaged = noise(20'000, 1);
  dir_.write("data/deep/sync.db", damaged);
  dir_.write("data/deep/sync.db.broken/in-the-way", "");
  std::string said;
  auto store = Store::open(dir_ / "data/deep", [&](auto& message) { said += message; });
  ASSERT_FALSE(store.ok());
  EXPECT_NE(store.status().message().find("not a database"), std::string::npos);
  EXPECT_NE(said.find("Move it away"), std::string::npos) << said;
  EXPECT_EQ(dir_.read("data/deep/sync.db"), damaged);
}

TEST_F(StoreTest, anAgentsSelfDescriptionIsTruncated) {
  open();
  std::string endless(4096, '\x1b');
  ASSERT_TRUE(store_->setLastContact("a", {endless, endless, OLD}).ok());
  EXPECT_LT(store_->lastContact("a")->version.size(), 250u);
  EXPECT_LT(store_->lastContact("a")->sandbox.size(), 250u);
}

TEST_F(StoreTest, anImpossiblePathIsAnError) {
  dir_.write("file", "x");
  auto inFile = Store::open(dir_ / "file", {});
  ASSERT_FALSE(inFile.ok());
  EXPECT_NE(inFile.status().message().find(dir_ / "file"), std::string::npos);
  EXPECT_FALSE(Store::open(dir_ / "file/below", {}).ok());
  std::filesystem::create_directories(dir_ / "taken/sync.db");
  EXPECT_FALSE(Store::open(dir_ / "taken", {}).ok());
}

TEST_F(StoreTest, programVersion) {
  open();
  EXPECT_FALSE(store_->programVersion("ssh"));
  ASSERT_TRUE(store_->setProgramVersion("ssh", {"/usr/bin/ssh 1", "OpenSSH_9.2p1"}).ok());
  ASSERT_TRUE(store_->setProgramVersion("ssh", {"/usr/bin/ssh 2", "OpenSSH_9.3p1"}).ok());
  EXPECT_EQ(store_->programVersion("ssh")->state, "/usr/bin/ssh 2");
  EXPECT_EQ(store_->programVersion("ssh")->version, "OpenSSH_9.3p1");
  EXPECT_FALSE(store_->programVersion("rsync"));
}

TEST_F(StoreTest, lastEndpoint) {
  open();
  EXPECT_EQ(store_->lastEndpoint("a"), std::nullopt);
  ASSERT_TRUE(store_->setLastEndpoint("a", Endpoint{"192.0.2.1", 22}).ok());
  ASSERT_TRUE(store_->setLastEndpoint("b", Endpoint{"2001:db8::1", 65535}).ok());
  ASSERT_TRUE(store_->setLastEndpoint("a", Endpoint{"192.0.2.2", 2222}).ok());
  open();
  EXPECT_EQ(store_->lastEndpoint("a"), (Endpoint{"192.0.2.2", 2222}));
  EXPECT_EQ(store_->lastEndpoint("b"), (Endpoint{"2001:db8::1", 65535}));
  ASSERT_TRUE(store_->setLastEndpoint("a", std::nullopt).ok());
  EXPECT_EQ(store_->lastEndpoint("a"), std::nullopt);
  EXPECT_NE(store_->lastEndpoint("b"), std::nullopt);
}

}  // namespace
}  // namespace pibrain
