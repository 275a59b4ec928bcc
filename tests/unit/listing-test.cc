// How the hub reads a listing, the first guard of P2.

#include "hub/agent/listing.h"
#include "hub/base/reason.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/exception.h>

#include <functional>
#include <map>

#include "common/wire/block-stream.h"
#include "common/wire/protocol.h"
#include "hub/base/failure.h"
#include "hub/mirror/mirror.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

using Fill = std::function<void(proto::Event::Builder)>;

void give(ListingReader& reader, const Fill& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<proto::Event>());
  reader.event(message.getRoot<proto::Event>().asReader());
}

Fill summary() {
  return [](proto::Event::Builder event) {
    auto out = event.initSummary();
    out.setState(proto::Summary::State::LISTED);
    out.setComplete(true);
    out.setFiles(5);
    out.setBytes(99);
    out.setSymlinksSkipped(1);
    out.setSpecialsSkipped(2);
  };
}

Fill directory(std::string path, std::vector<std::string> names, uint32_t first = 0,
               uint64_t size = 5) {
  return [=](proto::Event::Builder event) {
    auto out = event.initDirectory();
    out.setPath(bytesOf(path));
    out.setFirstFile(first);
    out.initFingerprints(uint32_t(names.size()));
    auto entries = out.initEntries(uint32_t(names.size()));
    for (uint32_t i = 0; i < names.size(); ++i) {
      entries[i].setName(bytesOf(names[i]));
      entries[i].setSize(size + i);
      entries[i].setMtime(OLD + i);
    }
  };
}

Fill missingOnSpoke(std::vector<uint32_t> indexes) {
  return [=](proto::Event::Builder event) {
    auto list = event.initUnseen(uint32_t(indexes.size()));
    for (uint32_t i = 0; i < indexes.size(); ++i) list.set(i, indexes[i]);
  };
}

// Files of one directory, named by their fingerprints; entries follow for those of 0.
Fill fingerprints(std::string path, std::vector<uint64_t> values, uint32_t first,
                  std::vector<std::string> names = {}) {
  return [=](proto::Event::Builder event) {
    directory(path, names, first)(event);
    auto list = event.getDirectory().initFingerprints(uint32_t(values.size()));
    for (uint32_t i = 0; i < values.size(); ++i) list.set(i, values[i]);
  };
}

Fill entry(uint32_t file, std::string name) {
  return [=](proto::Event::Builder event) {
    event.initEntry().setFile(file);
    auto out = event.getEntry().initEntry();
    out.setName(bytesOf(name));
    out.setSize(77);
    out.setMtime(OLD + 7);
  };
}

// Returns a mirror whose directories have one file each, "file-0", "file-1", …
struct SmallMirror {
  explicit SmallMirror(size_t count) : directories(count) {
    for (size_t i = 0; i < count; ++i) {
      auto& directory = directories[i];
      directory.path = "d" + std::to_string(i);
      directory.names = "file-" + std::to_string(i);
      directory.files.push_back({100 + i, OLD, 0, uint16_t(directory.names.size())});
      known.digests.push_back(i);
      known.directories.push_back(&directory);
    }
  }
  uint64_t fingerprint(size_t i) const {
    return fingerprintOf(directories[i], directories[i].files[0]);
  }

  std::vector<Tree::Directory> directories;
  MirrorSummary known;
};

Listing listingOf(const std::vector<Fill>& events, size_t known = 0) {
  SmallMirror mirror(known);
  ListingReader reader(mirror.known);
  for (auto& event : events) give(reader, event);
  return reader.finish();
}

// Directories that do not fit one request are not sent to the agent, which lists them, changed or
// not.
TEST(ListingReader, directoriesBeyondTheLimitCountAsUnseen) {
  Tree::Directory same;
  MirrorSummary known;
  known.digests.resize(MAX_KNOWN + 3);
  known.directories.resize(MAX_KNOWN + 3, &same);
  ListingReader listed(known);
  give(listed, summary());
  give(listed, missingOnSpoke({5}));
  auto listing = listed.finish();
  std::sort(listing.missingOnSpoke.begin(), listing.missingOnSpoke.end());
  EXPECT_EQ(listing.missingOnSpoke,
            (std::vector<uint32_t>{5, MAX_KNOWN, MAX_KNOWN + 1, MAX_KNOWN + 2}));
  ListingReader wrong(known);
  give(wrong, summary());
  EXPECT_THROW(give(wrong, missingOnSpoke({MAX_KNOWN})), kj::Exception) << "it was not sent";
}

TEST(ListingReader, namesSkippedEntries) {
  SmallMirror mirror(0);
  mirror.known.maxSkipped = 2;
  ListingReader reader(mirror.known);
  auto skipped = [](const char* path) {
    return [=](proto::Event::Builder event) { event.setSkipped(bytesOf(path)); };
  };
  give(reader, summary());  // 1 symlink and 2 special files
  give(reader, skipped("a/link"));
  give(reader, skipped("socket"));
  EXPECT_THROW(give(reader, skipped("one more than was asked for")), kj::Exception);
  auto listing = reader.finish();
  EXPECT_EQ(listing.skipped, (std::vector<std::string>{"a/link", "socket"}));
  EXPECT_FALSE(listing.namesAllSkipped());
}

TEST(ListingReader, collectsEverything) {
  auto listing =
      listingOf({summary(), directory("", {"top"}, 7), directory("a/b", {"x", "y"}, 8),
                 directory("a/b", {"z"}, 10), missingOnSpoke({0, 2}), missingOnSpoke({1}),
                 [](proto::Event::Builder event) {
                   event.initProblem().setPath(bytesOf("locked"));
                   event.getProblem().setReason(proto::Reason::DENIED);
                 }},
                3);
  EXPECT_EQ(listing.state, proto::Summary::State::LISTED);
  EXPECT_TRUE(listing.complete);
  EXPECT_EQ(listing.files, 5u);
  EXPECT_EQ(listing.bytes, 99u);
  EXPECT_EQ(listing.symlinksSkipped, 1u);
  EXPECT_EQ(listing.specialsSkipped, 2u);
  EXPECT_EQ(listing.directories, (std::vector<std::string>{"", "a/b"}));
  ASSERT_EQ(listing.listed.size(), 4u);
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(listing.listed[i].id, 7 + i);
    paths.push_back(listing.listed[i].path);
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"top", "a/b/x", "a/b/y", "a/b/z"}));
  EXPECT_EQ(listing.listed[2].size, 6u);
  EXPECT_EQ(listing.listed[2].mtime, OLD + 1);
  EXPECT_EQ(listing.missingOnSpoke, (std::vector<uint32_t>{0, 2, 1}));
  ASSERT_EQ(listing.problems.size(), 1u);
  EXPECT_EQ(listing.problems[0].first, "locked");
}

TEST(ListingReader, refusesInvalidNames) {
  for (std::string name : {std::string(""), std::string("."), std::string(".."), std::string("a/b"),
                           std::string("/a"), std::string("a\0b", 3), std::string(256, 'x')}) {
    EXPECT_THROW(listingOf({summary(), directory("d", {"fine", name})}), kj::Exception) << name;
  }
  for (std::string path : {std::string("/"), std::string("/etc"), std::string(".."),
                           std::string("a/../b"), std::string("a//b"), std::string("a/"),
                           std::string("a/./b"), std::string("a\0b", 3), std::string(256, 'x')}) {
    EXPECT_THROW(listingOf({summary(), directory(path, {"file"})}), kj::Exception) << path;
  }
  EXPECT_EQ(listingOf({summary(), directory("...", {"..a", "\x1b[2J", "\xff"})}).listed.size(), 3u);
}

TEST(ListingReader, refusesFilesDeeperThanAWalkGoes) {
  auto deep = [](size_t components) {
    std::string path = "d";
    for (size_t i = 1; i < components; ++i) path += "/d";
    return path;
  };
  EXPECT_EQ(listingOf({summary(), directory(deep(MAX_DEPTH - 1), {"file"})}).listed.size(), 1u);
  // Such a mirror could be written, but never walked again.
  EXPECT_THROW(listingOf({summary(), directory(deep(MAX_DEPTH), {"file"})}), kj::Exception);
}

TEST(ListingReader, refusesAFileTwice) {
  EXPECT_THROW(listingOf({summary(), directory("d", {"a", "a"})}), kj::Exception);
  EXPECT_THROW(
      listingOf({summary(), directory("d", {"a"}), directory("e", {"a"}), directory("d", {"a"})}),
      kj::Exception);
}

TEST(ListingReader, refusesInvalidSizes) {
  auto most = uint64_t(INT64_MAX);
  EXPECT_EQ(listingOf({summary(), directory("", {"a"}, 0, most)}).listed[0].size, most);
  EXPECT_THROW(listingOf({summary(), directory("", {"a"}, 0, most + 1)}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), directory("", {"a"}, 0, UINT64_MAX)}), kj::Exception);
}

TEST(ListingReader, refusesInvalidIndexes) {
  EXPECT_EQ(listingOf({summary(), missingOnSpoke({4})}, 5).missingOnSpoke.size(), 1u);
  EXPECT_THROW(listingOf({summary(), missingOnSpoke({5})}, 5), kj::Exception);
  EXPECT_THROW(listingOf({summary(), missingOnSpoke({0})}, 0), kj::Exception);
}

TEST(ListingReader, beginsWithOneSummary) {
  EXPECT_THROW(listingOf({}), kj::Exception);
  EXPECT_THROW(listingOf({directory("", {"a"}), summary()}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), summary()}), kj::Exception);
  EXPECT_THROW(listingOf({missingOnSpoke({})}), kj::Exception);
}

TEST(ListingReader, refusesOtherEvents) {
  EXPECT_THROW(listingOf({summary(), [](auto event) { event.initData(); }}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), [](auto event) { event.initBegin(); }}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), [](auto event) { event.setDiffers(1); }}), kj::Exception);
}

TEST(ListingReader, refusesEmptyEvents) {
  EXPECT_THROW(listingOf({summary(), missingOnSpoke({})}, 5), kj::Exception);
  EXPECT_THROW(listingOf({summary(), directory("d", {})}), kj::Exception);
}

TEST(ListingReader, refusesAnUnknownState) {
  EXPECT_THROW(
      listingOf({[](auto event) { event.initSummary().setState(proto::Summary::State(3)); }}),
      kj::Exception);
}

TEST(ListingReader, boundsItsMemory) {
  SmallMirror mirror(0);
  constexpr uint64_t MOST = 192 << 20;
  auto large = [](proto::Event::Builder event) {
    std::string path(255, 'p');
    while (path.size() < 100'000) path += "/" + std::string(255, 'p');
    event.initProblem().setPath(bytesOf(path));
  };
  constexpr uint64_t FEW = 19 << 20;
  ListingReader problems(mirror.known, FEW);
  give(problems, summary());
  for (int i = 0; i < 198; ++i) give(problems, large);
  EXPECT_THROW(give(problems, large), Failure);

  ListingReader files(mirror.known, MOST);
  give(files, [](proto::Event::Builder event) {
    summary()(event);
    event.getSummary().setFiles(UINT32_MAX);
  });
  std::vector<std::string> names(1000, std::string(200, 'n'));
  EXPECT_THROW(for (uint32_t i = 0; i < 1000; ++i) give(files, directory("d", names, i * 1000)),
               Failure);
}

TEST(ListingReader, abbreviatesRefusedNames) {
  try {
    listingOf({summary(), directory("d", {std::string(60000, 'x')})});
    ADD_FAILURE() << "it was taken";
  } catch (const kj::Exception& e) {
    std::string text = e.getDescription().cStr();
    EXPECT_EQ(text, "not a file name: '" + std::string(100, 'x') + "…'");
  }
}

TEST(ListingReader, readsTheLargestEventThroughABlock) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back(std::to_string(1000 + i) + std::string(250, 'n'));
  BlockWriter writer(1);
  writer.add([&](proto::Event::Builder event) {
    summary()(event);
    event.getSummary().setFiles(1000);
  });
  writer.add(directory("d", names));
  BlockReader decoder;
  MirrorSummary known;
  ListingReader reader(known);
  decoder.read(writer.finish(true), [&](proto::Event::Reader event) { reader.event(event); });
  EXPECT_EQ(reader.finish().listed.size(), 1000u);
}

TEST(ListingReader, findsFilesByTheirFingerprints) {
  SmallMirror mirror(3);
  ListingReader reader(mirror.known);
  give(reader, summary());
  give(reader, missingOnSpoke({0, 2}));
  // An unmoved file, a new one, and one that moved here.
  give(reader, fingerprints("d0", {mirror.fingerprint(0), 0, mirror.fingerprint(2)}, 4, {"new"}));
  // The spoke has d1, so its file is not looked for, and the other does not exist.
  give(reader, fingerprints("e", {mirror.fingerprint(1), 12345}, 9));
  EXPECT_EQ(reader.unresolved(), (std::vector<uint32_t>{9, 10}));
  give(reader, entry(10, "ten"));
  give(reader, entry(9, "nine"));
  EXPECT_TRUE(reader.unresolved().empty());
  std::map<std::string, std::tuple<uint32_t, uint64_t, int64_t>> found;
  for (auto& file : reader.finish().listed) found[file.path] = {file.id, file.size, file.mtime};
  EXPECT_EQ(found, (decltype(found){{"d0/file-0", {4, 100, OLD}},
                                    {"d0/new", {5, 5, OLD}},
                                    {"d0/file-2", {6, 102, OLD}},
                                    {"e/nine", {9, 77, OLD + 7}},
                                    {"e/ten", {10, 77, OLD + 7}}}));
}

TEST(ListingReader, requiresAnEntryForEachFile) {
  EXPECT_EQ(listingOf({summary(), fingerprints("d", {5, 6}, 0), entry(0, "a"), entry(1, "b")})
                .listed.size(),
            2u);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {5}, 0)}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {5}, 0), entry(1, "a")}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {5}, 0), entry(0, "a/b")}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {5}, 0), entry(0, "a"), entry(0, "b")}),
               kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {0}, 0)}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {0}, 0, {"a", "b"})}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {1, 2, 3, 4, 5, 6}, 0)}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), fingerprints("d", {5}, 0), fingerprints("e", {6}, 0)}),
               kj::Exception);
}

TEST(ListingReader, refusesMoreFilesThanAnnounced) {
  EXPECT_THROW(listingOf({summary(), directory("", {"a", "b", "c", "d", "e", "f"})}),
               kj::Exception);
  EXPECT_THROW(listingOf({summary(), directory("d", {})}), kj::Exception);
  EXPECT_THROW(listingOf({summary(), missingOnSpoke({0, 0, 0})}, 2), kj::Exception);
  EXPECT_THROW(listingOf({summary(), missingOnSpoke({0, 0})}, 2), kj::Exception);
  EXPECT_THROW(listingOf({summary(), missingOnSpoke({1}), missingOnSpoke({1})}, 5), kj::Exception);
}

TEST(ListingReader, reservesTheStagingName) {
  std::string staging(Mirror::STAGING);
  auto listing = listingOf({summary(), directory("", {staging, "a"}, 0),
                            directory(staging + "/deep", {"file"}, 2), directory("d", {staging}, 3),
                            directory(staging + "x", {"f"}, 4)});
  EXPECT_EQ(listing.reserved, (std::vector<std::string>{staging, staging + "/deep/file"}));
  std::vector<std::string> paths;
  for (auto& file : listing.listed) paths.push_back(file.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"a", "d/" + staging, staging + "x/f"}));
  EXPECT_EQ(listing.listed[0].id, 1u);
}

TEST(Describe, everyReasonHasAText) {
  std::set<std::string> words;
  for (int reason = 0; reason <= int(proto::Reason::BAD_REQUEST); ++reason) {
    words.insert(describe(proto::Reason(reason)));
  }
  EXPECT_EQ(words.size(), size_t(proto::Reason::BAD_REQUEST) + 1);
  EXPECT_EQ(words.count(describe(proto::Reason(999))), 0u);
}

TEST(Listing, anotherScanThatSaysTheSameOfTheFiles) {
  Listing first;
  first.files = 3;
  first.bytes = 30;
  first.missingOnSpoke = {1};
  first.listed = {{7, "p/a.jsonl", 10, OLD, 0}};
  auto second = first;
  // What is no file, and what could not be read, is told by each pass for itself.
  second.symlinksSkipped = 4;
  second.problems.emplace_back("q", proto::Reason::IO_ERROR);
  EXPECT_TRUE(first.sameFiles(second));
  for (auto& change : std::vector<std::function<void(Listing&)>>{
           [](Listing& listing) { listing.files = 2; },
           [](Listing& listing) { listing.bytes = 31; },
           [](Listing& listing) { listing.missingOnSpoke.clear(); },
           [](Listing& listing) { listing.listed[0].size = 11; },
           [](Listing& listing) { listing.listed[0].mtime += 1; },
           [](Listing& listing) { listing.listed[0].path = "p/b.jsonl"; },
           [](Listing& listing) { listing.listed.clear(); },
       }) {
    auto changed = first;
    change(changed);
    EXPECT_FALSE(first.sameFiles(changed));
  }
}

}  // namespace
}  // namespace pibrain
