#include "hub/agent/file-receiver.h"
#include "common/fs/file-io.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/debug.h>

#include "tests/unit/rsync-text.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

constexpr int64_t RECEIVED_AT = 1769860800 * SECOND;
constexpr auto WHOLE = proto::Begin::Content::WHOLE;
constexpr auto TAIL = proto::Begin::Content::TAIL;
constexpr auto AS_DELTA = proto::Begin::Content::DELTA;
constexpr auto FORK = proto::Begin::Content::FORK;
constexpr int64_t NEW_TIME = OLD + 1000;

Want::Kind askFor(proto::Begin::Content content) {
  switch (content) {
    case TAIL:
      return Want::Kind::PREFIX;
    case AS_DELTA:
      return Want::Kind::SIGNATURE;
    case FORK:
      return Want::Kind::NEW;
    default:
      return Want::Kind::WHOLE;
  }
}

class FileReceiverTest : public testing::Test {
 protected:
  ~FileReceiverTest() noexcept override {}

  void begin(const std::string& path, proto::Begin::Content content, uint64_t size,
             bool keepModes = false) {
    capnp::MallocMessageBuilder message;
    auto event = message.initRoot<proto::Begin>();
    event.setContent(content);
    event.setSize(size);
    event.setMtime(mtime_);
    event.setUnsettled(unsettled_);
    event.setMode(mode_);
    if (content == FORK) {
      auto parent = event.initParent();
      parent.setPath(bytesOf(parentPath_));
      parent.setSize(parentContent_.size());
      digestOf(bytesOf(parentContent_)).to(parent.initHash());
    }
    receiver_ = std::make_unique<FileReceiver>(mirror_, path, basis_, event.asReader(),
                                               asked_.value_or(askFor(content)), keepModes);
    fits_ = receiver_->open(event.asReader()) == FileReceiver::Fit::FITS;
    hasher_ = content == TAIL ? basis_.hasher : FileHasher();
  }
  // Sends a piece with the hash of all bytes so far, or a wrong one.
  void data(std::string_view bytes, bool good = true) {
    hasher_.update(bytesOf(bytes));
    capnp::MallocMessageBuilder message;
    auto piece = message.initRoot<proto::Piece>();
    piece.setBytes(bytesOf(bytes));
    auto digest = hasher_.digest();
    if (!good) digest.low ^= 1;
    digest.to(piece.initHash());
    receiver_->data(piece.asReader());
  }
  void end(std::string_view content) {
    fits_ = receiver_->end(digestOf(bytesOf(content))) == FileReceiver::Fit::FITS;
    auto uncommitted = mirror_.commit();
    if (!uncommitted.empty()) Mirror::fail(uncommitted[0]);
  }

  void basisFrom(Basis::Kind kind, const std::string& path, std::string_view content) {
    basis_ = Basis();
    basis_.kind = kind;
    basis_.path = path;
    basis_.size = content.size();
    basis_.mtime = OLD;
    basis_.hasher.update(bytesOf(content));
  }
  void mirrorHas(const std::string& path, std::string_view content) {
    dir_.write("mirror/" + path, content);
    basisFrom(Basis::Kind::MIRROR, path, content);
  }
  std::optional<std::string> mirrored(const std::string& path) {
    return dir_.read("mirror/" + path);
  }
  bool staged(const std::string& path) { return mirror_.openPartial(path) != nullptr; }

  TempDir dir_;
  Mirror mirror_{dir_ / "mirror", Mirror::Access::WRITE,
                 Archive(dir_ / "archive", "spoke", RECEIVED_AT)};
  Basis basis_;
  int64_t mtime_ = NEW_TIME;
  std::string parentPath_, parentContent_;
  std::optional<Want::Kind> asked_;  // if not the kind that the content answers
  bool unsettled_ = false;
  uint16_t mode_ = 0644;
  FileHasher hasher_;
  bool fits_ = false;  // the result of the latest step
  std::unique_ptr<FileReceiver> receiver_;
};

TEST_F(FileReceiverTest, wholeFile) {
  begin("a/file", WHOLE, 10);
  data("01234");
  data("56789");
  EXPECT_FALSE(dir_.exists("mirror/a/file"));
  end("0123456789");
  EXPECT_EQ(mirrored("a/file"), "0123456789");
  EXPECT_EQ(dir_.mtime("mirror/a/file"), NEW_TIME);
  EXPECT_EQ(dir_.mode("mirror/a/file"), 0600u);
  EXPECT_EQ(receiver_->bytesReceived(), 10u);
  EXPECT_FALSE(staged("a/file"));
}

TEST_F(FileReceiverTest, emptyFile) {
  begin("file", WHOLE, 0);
  end("");
  EXPECT_EQ(mirrored("file"), "");
  EXPECT_EQ(dir_.mtime("mirror/file"), NEW_TIME);
}

TEST_F(FileReceiverTest, timesAndModes) {
  struct Case {
    int64_t mtime;
    bool unsettled;
    uint16_t mode;
    int64_t setTime;
    mode_t setMode;
  };
  for (auto [mtime, unsettled, mode, setTime, setMode] : {
           Case{NEW_TIME, true, 0644, NEW_TIME - 1, 0644},
           {0, true, 0400, -1, 0600},
           {-SECOND - 5, false, 07777, -SECOND - 5, 0777},
       }) {
    mtime_ = mtime;
    unsettled_ = unsettled;
    mode_ = mode;
    begin("file", WHOLE, 1, true);
    data("x");
    end("x");
    EXPECT_EQ(dir_.mtime("mirror/file"), setTime);
    EXPECT_EQ(dir_.mode("mirror/file"), setMode);
  }
}

TEST_F(FileReceiverTest, impossibleTimesAreSurvived) {
  // In a process of its own, which the sanitizers may end.
  EXPECT_EXIT(
      {
        mtime_ = INT64_MIN;
        unsettled_ = true;
        begin("file", WHOLE, 1);
        _exit(0);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(FileReceiverTest, tailIsAppendedInPlace) {
  mirrorHas("file", "one ");
  auto inode = dir_.stat("mirror/file").st_ino;
  begin("file", TAIL, 13);
  data("two ");
  EXPECT_EQ(mirrored("file"), "one ") << "it is held until it is proved";
  data("three");
  end("one two three");
  EXPECT_EQ(mirrored("file"), "one two three");
  EXPECT_EQ(dir_.mtime("mirror/file"), NEW_TIME);
  EXPECT_EQ(dir_.stat("mirror/file").st_ino, inode);
  EXPECT_FALSE(dir_.exists("archive"));
  EXPECT_EQ(receiver_->bytesReceived(), 9u);
}

TEST_F(FileReceiverTest, emptyTailSetsTheTime) {
  mirrorHas("file", "same");
  begin("file", TAIL, 4);
  end("same");
  EXPECT_EQ(mirrored("file"), "same");
  EXPECT_EQ(dir_.mtime("mirror/file"), NEW_TIME);
}

TEST_F(FileReceiverTest, tailOfAMovedFile) {
  mirrorHas("old/file", "one");
  begin("new/file", TAIL, 7);
  data(" two");
  EXPECT_EQ(mirrored("old/file"), "one");
  end("one two");
  EXPECT_EQ(mirrored("new/file"), "one two");
  EXPECT_FALSE(dir_.exists("mirror/old"));
}

TEST_F(FileReceiverTest, aLongTailIsInvisibleUntilItIsProved) {
  mirrorHas("file", "one");
  auto large = noise(5 << 20, 1);
  begin("file", TAIL, 3 + large.size() + 5);
  data(large);
  EXPECT_EQ(mirrored("file"), "one");
  EXPECT_THROW(data("wrong", false), kj::Exception);
  receiver_ = nullptr;
  EXPECT_EQ(mirrored("file"), "one");
  EXPECT_TRUE(mirror_.openPartial("file", Mirror::Staged::TAIL) != nullptr) << "to go on from";

  mirrorHas("file", "one");
  begin("file", TAIL, 3 + large.size());
  data(large);
  EXPECT_EQ(mirrored("file"), "one");
  end("one" + large);
  receiver_ = nullptr;
  EXPECT_TRUE(mirrored("file") == "one" + large);
  EXPECT_EQ(dir_.mtime("mirror/file"), NEW_TIME);
  EXPECT_TRUE(mirror_.openPartial("file", Mirror::Staged::TAIL) == nullptr);
}

TEST_F(FileReceiverTest, aLongTailContinuesFromTheStagedFile) {
  mirrorHas("file", "one");
  auto large = noise(5 << 20, 1);
  begin("file", TAIL, 3 + large.size() + 4);
  data(large);
  receiver_ = nullptr;

  mirrorHas("file", "one" + large);  // that is, the basis
  basis_.stagedTail = large.size();
  dir_.write("mirror/file", "one");
  for (auto rest : {" two", ""}) {
    begin("file", TAIL, 3 + large.size() + strlen(rest));
    if (*rest != '\0') data(rest);
    if (*rest == '\0') {
      receiver_ = nullptr;
      continue;
    }
    end("one" + large + rest);
    EXPECT_TRUE(mirrored("file") == "one" + large + rest);
    // The same again, with nothing missing.
    writeAll(mirror_.openStaged("file", false, Mirror::Staged::TAIL), bytesOf(large));
    dir_.write("mirror/file", "one");
  }
  begin("file", TAIL, 3 + large.size());
  end("one" + large);
  EXPECT_TRUE(mirrored("file") == "one" + large);
}

TEST_F(FileReceiverTest, anEditDuringALongTailIsNoticed) {
  mirrorHas("file", "one");
  auto large = noise(5 << 20, 1);
  begin("file", TAIL, 3 + large.size());
  data(large);
  dir_.write("mirror/file", "edited", OLD + 5);
  EXPECT_THROW(end("one" + large), kj::Exception);
  receiver_ = nullptr;
  EXPECT_EQ(mirrored("file"), "edited");
}

TEST_F(FileReceiverTest, anAppendedFileGetsItsTimeWithTheCommit) {
  mirrorHas("file", "one");
  begin("file", TAIL, 7);
  data(" two");
  receiver_->end(digestOf(bytesOf("one two")));
  EXPECT_EQ(mirrored("file"), "one two");
  EXPECT_EQ(dir_.mtime("mirror/file"), NEW_TIME - 1);
  EXPECT_TRUE(mirror_.commit().empty());
  EXPECT_EQ(dir_.mtime("mirror/file"), NEW_TIME);
}

TEST_F(FileReceiverTest, aStagedFileGetsItsNameWithTheCommit) {
  for (auto version : {"first", "second"}) {
    auto before = mirrored("file");
    begin("file", WHOLE, strlen(version));
    data(version);
    receiver_->end(digestOf(bytesOf(version)));
    EXPECT_EQ(mirrored("file"), before);
    EXPECT_TRUE(mirror_.openFile("file") != nullptr) << "a fork's parent";
    EXPECT_TRUE(mirror_.commit().empty());
    EXPECT_EQ(mirrored("file"), version);
  }
}

TEST_F(FileReceiverTest, holesStayHoles) {
  std::string sparse(9 << 20, '\0');
  sparse.replace(0, 4, "head").replace(5 << 20, 4, "mark");
  begin("file", WHOLE, sparse.size());
  for (size_t at = 0; at < sparse.size(); at += 100'000) {
    data(std::string_view(sparse).substr(at, 100'000));
  }
  end(sparse);
  EXPECT_TRUE(mirrored("file") == sparse);
  EXPECT_LT(dir_.stat("mirror/file").st_blocks, 64) << "of 512 bytes each";

  auto grown = sparse + std::string(6 << 20, '\0');
  mirrorHas("file", sparse);
  begin("file", TAIL, grown.size());
  data(std::string_view(grown).substr(sparse.size()));
  end(grown);
  EXPECT_TRUE(mirrored("file") == grown);
}

TEST_F(FileReceiverTest, delta) {
  auto old = noise(50'000, 2);
  auto newer = old.substr(0, 20'000) + "changed" + old.substr(20'000);
  mirrorHas("file", old);
  auto delta = deltaOf(signatureOf(old), newer);
  begin("file", AS_DELTA, newer.size());
  data(delta.substr(0, 10));
  data(delta.substr(10));
  EXPECT_TRUE(mirrored("file") == old);
  end(newer);
  EXPECT_TRUE(mirrored("file") == newer);
  EXPECT_TRUE(dir_.read("archive/spoke/20260131T120000.000Z~replaced/file") == old);
  EXPECT_EQ(receiver_->bytesReceived(), delta.size());
}

TEST_F(FileReceiverTest, fork) {
  auto parent = noise(50'000, 3);
  auto child = "another header\n" + parent.substr(20) + "and more lines";
  auto delta = deltaOf(signatureOf(parent), child);
  EXPECT_LT(delta.size(), 5'000u);
  // The mirror's copy may have grown in the meantime.
  dir_.write("mirror/d/parent", parent + "later lines");
  std::tie(parentPath_, parentContent_) = std::pair("d/parent", parent);
  begin("d/child", FORK, child.size());
  data(delta);
  end(child);
  EXPECT_TRUE(mirrored("d/child") == child);
  EXPECT_TRUE(mirrored("d/parent") == parent + "later lines");
  EXPECT_EQ(receiver_->bytesReceived(), delta.size());

  asked_ = Want::Kind::NEW;
  begin("whole", WHOLE, 5);
  data("whole");
  end("whole");
  EXPECT_EQ(mirrored("whole"), "whole");
}

TEST_F(FileReceiverTest, forkOfAnUnknownParentIsRefused) {
  dir_.write("mirror/parent", "01234");
  dir_.write("outside", "01234");
  parentContent_ = "01234";
  for (auto path : {"missing", "", "../outside", "/etc/passwd", "d/../parent"}) {
    parentPath_ = path;
    begin("file", FORK, 5);
    EXPECT_FALSE(fits_) << path;
  }
  parentPath_ = "parent";
  begin("file", FORK, 5);
  receiver_ = nullptr;
  for (auto content : {"01234567", "0123x"}) {
    parentContent_ = content;
    begin("file", FORK, 50);
    EXPECT_FALSE(fits_) << content;
  }
  parentContent_ = "01234";
  EXPECT_THROW(begin("file", FORK, 4), kj::Exception) << "more than a fork of that size can use";
  parentContent_ = "01234";
  for (auto asked : {Want::Kind::WHOLE, Want::Kind::PREFIX, Want::Kind::SIGNATURE}) {
    asked_ = asked;
    EXPECT_THROW(begin("file", FORK, 5), kj::Exception);
  }
  EXPECT_FALSE(dir_.exists("mirror/file"));
}

TEST_F(FileReceiverTest, continuesAPartialFile) {
  writeAll(mirror_.openStaged("file", false), bytesOf("01234"));
  basisFrom(Basis::Kind::PARTIAL, "file", "01234");
  begin("file", TAIL, 10);
  data("56789");
  end("0123456789");
  EXPECT_EQ(mirrored("file"), "0123456789");
  EXPECT_FALSE(staged("file"));
}

TEST_F(FileReceiverTest, badContentChangesNothing) {
  auto old = noise(20'000, 3);
  struct Case {
    const char* what;
    proto::Begin::Content content;
    std::function<void()> fail;
  };
  auto delta = deltaOf(signatureOf(old), old + "x");
  for (auto& [what, content, fail] : {
           Case{"a piece that fails its check", WHOLE, [&]() { data("01234", false); }},
           {"a later piece", WHOLE,
            [&]() {
              data("01234");
              data("56789", false);
            }},
           {"too short", WHOLE,
            [&]() {
              data("01234");
              end("01234");
            }},
           {"too long", WHOLE, [&]() { data(std::string(20'002, 'x')); }},
           {"too long by pieces", WHOLE,
            [&]() {
              data(old);
              data("1");
              data("2");
            }},
           {"another hash at the end", WHOLE,
            [&]() {
              data(old + "x");
              end(old + "y");
            }},
           {"a tail that fails its check", TAIL, [&]() { data("x", false); }},
           {"a tail too long", TAIL, [&]() { data("xy"); }},
           {"a tail too short", TAIL, [&]() { end(old); }},
           {"a tail with another hash", TAIL,
            [&]() {
              data("x");
              end(old + "y");
            }},
           {"a delta with another hash", AS_DELTA,
            [&]() {
              data(delta);
              end(old + "y");
              if (!fits_) throw std::runtime_error("made for another basis");
            }},
           {"a delta cut short", AS_DELTA,
            [&]() {
              data(delta.substr(0, delta.size() - 1));
              end(old + "x");
            }},
           {"a delta that is not one", AS_DELTA, [&]() { data("garbage"); }},
           {"a delta that makes too much", AS_DELTA,
            [&]() { data(deltaOf(signatureOf(old), old + "xy")); }},
           {"a delta that makes too little", AS_DELTA,
            [&]() {
              data(deltaOf(signatureOf(old), old));
              end(old);
            }},
           {"an interrupted file", WHOLE,
            [&]() {
              data("01234");
              throw std::runtime_error("lost");
            }},
           {"an interrupted tail", TAIL,
            [&]() {
              data("x");
              throw std::runtime_error("lost");
            }},
       }) {
    mirrorHas("file", old);
    if (content == WHOLE) basis_ = Basis();
    begin("file", content, old.size() + 1);
    EXPECT_ANY_THROW(fail()) << what;
    receiver_ = nullptr;
    EXPECT_TRUE(mirrored("file") == old) << what;
    EXPECT_EQ(dir_.mtime("mirror/file"), OLD) << what;
    EXPECT_FALSE(dir_.exists("archive")) << what;
    EXPECT_FALSE(staged("file")) << what << ": too small to be worth it";
  }
}

TEST_F(FileReceiverTest, anInterruptedLargeFileIsKept) {
  auto large = noise(2 << 20, 4);
  begin("file", WHOLE, large.size() + 100);
  data(large);
  EXPECT_THROW(data("wrong", false), kj::Exception);
  receiver_ = nullptr;
  EXPECT_FALSE(dir_.exists("mirror/file"));
  EXPECT_EQ(KJ_ASSERT_NONNULL(mirror_.openPartial("file")).size, large.size());
}

TEST_F(FileReceiverTest, anUnrequestedBeginIsRefused) {
  asked_ = Want::Kind::WHOLE;
  EXPECT_THROW(begin("file", TAIL, 5), kj::Exception);
  mirrorHas("file", "12345");
  asked_ = Want::Kind::PREFIX;
  EXPECT_THROW(begin("file", WHOLE, 5), kj::Exception);
  asked_ = {};
  EXPECT_THROW(begin("file", TAIL, 4), kj::Exception) << "it ends before it begins";
  basis_.mtime = OLD + 1;
  begin("file", AS_DELTA, 5);
  EXPECT_FALSE(fits_) << "somebody changed the basis";
  basis_.path = "missing";
  begin("file", AS_DELTA, 5);
  EXPECT_FALSE(fits_);
  basis_ = Basis();
  EXPECT_THROW(begin("file", WHOLE, UINT64_MAX), kj::Exception);
}

TEST_F(FileReceiverTest, aMirrorThatChangedDuringTheRunIsLeftAlone) {
  mirrorHas("file", "one");
  begin("file", TAIL, 7);
  data(" two");
  dir_.write("mirror/file", "edited", OLD + 5);
  EXPECT_THROW(end("one two"), kj::Exception);
  receiver_ = nullptr;
  EXPECT_EQ(mirrored("file"), "edited");
}

}  // namespace
}  // namespace pibrain
