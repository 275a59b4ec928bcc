// The agent, served in a thread, and called over a socket as the hub calls it.

#include "spoke-agent/serve/agent-server.h"
#include "common/fs/file-times.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>

#include "common/wire/protocol.h"
#include "tests/unit/agent-fixture.h"
#include "tests/unit/rsync-text.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

using AgentServer = AgentFixture;
using Events = std::vector<std::string>;

TEST_F(AgentServer, hello) {
  start(dir_.path() + "/");
  auto response = spoke_.helloRequest().send().wait(io_.waitScope);
  auto peer = response.getSpoke();
  EXPECT_STREQ(peer.getVersion().cStr(), PIBRAIN_VERSION);
  EXPECT_EQ(peer.getProtocol(), PROTOCOL);
  EXPECT_EQ(peer.getRoot(), dir_.path().c_str());
  EXPECT_EQ(peer.getRootState(), proto::RootState::SERVED);
  EXPECT_LT(std::abs(peer.getClock() - wallClockNanos()), 60 * SECOND);
}

TEST_F(AgentServer, missingRootIsReportedAndListsNothing) {
  start(dir_ / "missing");
  auto response = spoke_.helloRequest().send().wait(io_.waitScope);
  EXPECT_EQ(response.getSpoke().getRootState(), proto::RootState::MISSING);
  EXPECT_EQ(scan().events[0], "summary 0 incomplete");
  EXPECT_EQ(pullWhole(0).reason, proto::Reason::BAD_REQUEST);
}

TEST_F(AgentServer, scanAndReuse) {
  dir_.write("a/one", "1");
  dir_.write("a/two", "2");
  start(dir_.path());
  auto listing = scan();
  EXPECT_EQ(listing.events, Events{"summary 2"});
  EXPECT_EQ(listing.paths, (Events{"a/one", "a/two"}));
  dir_.write("a/three", "3");
  auto again = sessions_.scanRequest();
  again.setReuse(true);
  EXPECT_EQ(answer(again.send().wait(io_.waitScope).getListing()).events, Events{"summary 2"});
  EXPECT_EQ(scan().events, Events{"summary 3"});
}

TEST_F(AgentServer, wholeFiles) {
  auto large = noise(700'000, 1);
  dir_.write("a", "");
  dir_.write("b", "content");
  dir_.write("c", large);
  start(dir_.path());
  scan();
  struct Case {
    uint32_t file;
    std::string content;
  };
  for (auto& [file, content] : {Case{0, ""}, {1, "content"}, {2, large}}) {
    auto got = pullWhole(file);
    EXPECT_EQ(got.events, (Events{"begin whole " + std::to_string(content.size()), "end"}));
    EXPECT_TRUE(got.content == content);
    EXPECT_EQ(got.hash, digestOf(bytesOf(content)));
    EXPECT_EQ(got.mtime, OLD);
    EXPECT_FALSE(got.unsettled);
  }
}

TEST_F(AgentServer, tailAfterAProvedPrefix) {
  dir_.write("file", "one two three");
  start(dir_.path());
  scan();
  auto got = pullTail(0, "one two");
  EXPECT_EQ(got.events, (Events{"begin tail 13", "end"}));
  EXPECT_EQ(got.content, " three");
  EXPECT_EQ(got.hash, digestOf(bytesOf("one two three")));

  got = pullTail(0, "one two three");
  EXPECT_EQ(got.events, (Events{"begin tail 13", "end"}));
  EXPECT_EQ(got.content, "");
  EXPECT_EQ(pullTail(0, "one TWO").events, Events{"differs 0"});
  EXPECT_EQ(pullTail(0, "one two three four").events, Events{"differs 0"});
}

TEST_F(AgentServer, deltaAgainstASignature) {
  auto basis = noise(200'000, 2);
  auto newer = basis.substr(0, 90'000) + "changed" + basis.substr(90'000);
  dir_.write("file", newer);
  start(dir_.path());
  scan();
  auto signature = signatureOf(basis);
  auto got = pullDelta(0, signature);
  EXPECT_EQ(got.events, (Events{"begin delta 200007", "end"}));
  EXPECT_LT(got.content.size(), 20'000u);
  EXPECT_EQ(got.hash, digestOf(bytesOf(newer)));
  EXPECT_TRUE(patched(basis, got.content, newer.size()) == newer);

  for (auto bad : {signature.substr(0, signature.size() - 1), signature + "x", std::string(),
                   std::string("garbage, and more of it")}) {
    got = pullDelta(0, bad);
    EXPECT_EQ(got.events, Events{"refused 0"});
    EXPECT_EQ(got.reason, proto::Reason::BAD_REQUEST);
  }
}

TEST_F(AgentServer, forks) {
  auto header = [](std::string parent) {
    return "{\"type\":\"session\",\"parentSession\":\"" + parent + "\"}\n";
  };
  std::string lines;
  while (lines.size() < 40'000) lines += noise(100, lines.size()) + "\n";
  auto parent = "{\"type\":\"session\"}\n" + lines;
  auto child = header("/home/me/sessions/p/parent.jsonl") + lines.substr(0, 30'000) + "more\n";
  dir_.write("p/child.jsonl", child);
  dir_.write("p/parent.jsonl", parent);
  dir_.write("q/moved.jsonl", header("/old/name/parent.jsonl") + lines);
  dir_.write("q/none.jsonl", header("") + lines);
  dir_.write("q/parent.jsonl", parent + "unfinished");
  dir_.write("q/self.jsonl", header("/x/q/self.jsonl") + lines);
  dir_.write("r/child.txt", child);
  dir_.write("r/orphan.jsonl", header("/x/y/gone.jsonl") + lines);
  start(dir_.path());
  auto paths = scan().paths;

  std::map<std::string, std::string> parents;
  for (uint32_t id = 0; id < paths.size(); ++id) {
    auto got = pullNew(id);
    auto content = dir_.read(paths[id]).value();
    EXPECT_EQ(got.hash, digestOf(bytesOf(content))) << paths[id];
    if (got.parent.empty()) {
      EXPECT_EQ(got.content, content);
      continue;
    }
    parents[paths[id]] = got.parent;
    auto basis = dir_.read(got.parent)->substr(0, got.parentSize);
    EXPECT_TRUE(parent.starts_with(basis) && basis.ends_with('\n')) << "whole lines of it";
    EXPECT_GT(basis.size(), content.size() - 400) << "and as much as the fork can use";
    EXPECT_EQ(got.parentHash, digestOf(bytesOf(basis)));
    EXPECT_EQ(got.events, (Events{"begin fork " + std::to_string(content.size()), "end"}));
    EXPECT_LT(got.content.size(), 2'000u);
    EXPECT_TRUE(patched(basis, got.content, content.size()) == content);
  }
  EXPECT_EQ(parents, (decltype(parents){{"p/child.jsonl", "p/parent.jsonl"},
                                        {"q/moved.jsonl", "q/parent.jsonl"}}));
  EXPECT_EQ(pullWhole(0).content, child) << "whole means whole";
}

// The largest request of a hub is well below the limit; only requests beyond it may be refused.
TEST_F(AgentServer, requestsUpToTheLimitAreAccepted) {
  dir_.write("file", "content");
  start(dir_.path());
  scan();
  std::string most(MAX_REQUEST - 4096, 'x');
  for (auto size : {MAX_WANTED_SIGNATURE, most.size()}) {
    auto got = pullDelta(0, std::string_view(most).substr(0, size));
    EXPECT_EQ(got.events, Events{"refused 0"});
    EXPECT_EQ(got.reason, proto::Reason::BAD_REQUEST);
  }
  {
    auto request = sessions_.scanRequest();
    request.setKnownComplete(true);
    request.initKnown(uint32_t(MAX_KNOWN));
    EXPECT_EQ(answer(request.send().wait(io_.waitScope).getListing()).paths, Events{"file"});
  }
  {
    auto request = sessions_.digestRequest();
    request.initFiles(uint32_t(MAX_IDS));
    auto blocks = request.send().wait(io_.waitScope).getBlocks();
    EXPECT_EQ(answer(kj::mv(blocks)).events.size(), MAX_IDS);
  }
  std::string more(MAX_REQUEST + 4096, 'x');
  EXPECT_THROW(pullDelta(0, more), kj::Exception);
}

TEST_F(AgentServer, hashesAreMadeWithTheHubsSecret) {
  dir_.write("file", "content");
  start(dir_.path());
  scan();
  std::string secret = noise(FileHasher::SECRET_SIZE, 1), other = noise(FileHasher::SECRET_SIZE, 2);
  auto ask = [&](const std::string& with) {
    auto request = sessions_.digestRequest();
    request.setFiles({0});
    request.setSecret(bytesOf(with));
    return answer(request.send().wait(io_.waitScope).getBlocks()).hash;
  };
  auto hash = [](FileHasher hasher) {
    hasher.update(bytesOf("content"));
    return hasher.digest();
  };
  EXPECT_EQ(ask(""), hash(FileHasher()));
  EXPECT_EQ(ask(secret), hash(FileHasher(bytesOf(secret))));
  EXPECT_NE(ask(secret), ask(other));
  EXPECT_EQ(ask("short"), ask("")) << "it is ignored";
}

TEST_F(AgentServer, namesSkippedEntriesOnRequest) {
  dir_.write("file", "content");
  ASSERT_EQ(symlink("file", (dir_ / "link").c_str()), 0);
  ASSERT_EQ(mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  start(dir_.path());
  for (uint32_t most : {0, 1, 5}) {
    auto request = sessions_.scanRequest();
    request.setKnownComplete(true);
    request.setMaxSkipped(most);
    auto got = answer(request.send().wait(io_.waitScope).getListing());
    EXPECT_EQ(got.events.size(), 1 + std::min<uint32_t>(most, 2));
  }
}

TEST_F(AgentServer, reportsWhetherTheTreeIsAtRest) {
  dir_.write("a/file", "x");
  start(dir_.path());
  auto rest = [&](bool asked) {
    auto request = sessions_.scanRequest();
    request.setKnownComplete(true);
    request.setUntilAtRest(asked);
    return answer(request.send().wait(io_.waitScope).getListing()).rest;
  };
  EXPECT_EQ(rest(false), proto::Summary::Rest::UNSAID);
  EXPECT_EQ(rest(true), proto::Summary::Rest::AT_REST);
  std::atomic<bool> stop = false;
  std::thread creates([&]() {
    for (int i = 0; !stop; ++i) {
      dir_.write("b/" + std::to_string(i), "x");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  while (access((dir_ / "b/1").c_str(), F_OK) != 0) std::this_thread::yield();
  // Not every time, since the thread may pause.
  auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  bool changing = false;
  while (!changing && std::chrono::steady_clock::now() < end)
    changing = rest(true) == proto::Summary::Rest::CHANGING;
  EXPECT_TRUE(changing);
  stop = true;
  creates.join();
  EXPECT_EQ(rest(true), proto::Summary::Rest::AT_REST);
}

// One of equal blocks is enough: a table of all would be quadratic.
TEST_F(AgentServer, forkOfAParentWithEqualBlocks) {
  auto parent = "{}\n" + std::string(900'000, 'A') + "\n";
  auto child = "{\"parentSession\":\"/x/parent.jsonl\"}\n" + std::string(900'000, 'A') + "\n";
  dir_.write("child.jsonl", child);
  dir_.write("parent.jsonl", parent);
  start(dir_.path());
  scan();
  auto got = pullNew(0);
  EXPECT_EQ(got.events, (Events{"begin fork " + std::to_string(child.size()), "end"}));
  EXPECT_LT(got.content.size(), 20'000u);
  EXPECT_TRUE(patched(parent, got.content, child.size()) == child);
  EXPECT_EQ(got.hash, digestOf(bytesOf(child)));
}

TEST_F(AgentServer, streamsThatAreDropped) {
  dir_.write("large", noise(3'000'000, 1));
  start(dir_.path());
  scan();
  auto open = [&]() {
    auto request = sessions_.pullRequest();
    request.initWants(1)[0].setNew();
    return request.send().getBlocks();
  };
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(open().nextRequest().send().wait(io_.waitScope).getLast());
  }
  // Those streams were dropped. Only a few may be open at once.
  std::vector<proto::Blocks::Client> held;
  for (int i = 0; i < 8; ++i) {
    held.push_back(open());
    held.back().nextRequest().send().wait(io_.waitScope);
  }
  EXPECT_THROW(open().nextRequest().send().wait(io_.waitScope), kj::Exception);
  held.pop_back();
  EXPECT_TRUE(pullWhole(0).content == noise(3'000'000, 1));
}

TEST_F(AgentServer, unknownIdsAreRefused) {
  dir_.write("file", "content");
  start(dir_.path());
  EXPECT_EQ(pullWhole(0).reason, proto::Reason::BAD_REQUEST) << "before the first scan";
  scan();
  for (uint32_t id : {1u, 1000u, UINT32_MAX}) {
    auto refused = Events{"refused " + std::to_string(id)};
    EXPECT_EQ(pullWhole(id).events, refused);
    EXPECT_EQ(pullWhole(id).reason, proto::Reason::BAD_REQUEST);
    EXPECT_EQ(pullTail(id, "content").events, refused);
    EXPECT_EQ(signature(id).events, refused);
  }
  EXPECT_EQ(pullWhole(0).events.size(), 2u);
}

TEST_F(AgentServer, filesThatChangedSinceTheScan) {
  dir_.write("fifo", "x");
  dir_.write("gone", "x");
  dir_.write("link", "x");
  dir_.write("secret/file", "x");
  start(dir_.path());
  ASSERT_EQ(scan().paths, (Events{"fifo", "gone", "link", "secret/file"}));
  for (auto name : {"fifo", "gone", "link"}) unlink((dir_ / name).c_str());
  mkfifo((dir_ / "fifo").c_str(), 0600);
  EXPECT_EQ(symlink("/etc/passwd", (dir_ / "link").c_str()), 0);
  rename((dir_ / "secret").c_str(), (dir_ / "moved").c_str());
  EXPECT_EQ(symlink("moved", (dir_ / "secret").c_str()), 0);
  EXPECT_EQ(pullWhole(0).reason, proto::Reason::NOT_REGULAR);
  for (uint32_t file : {1, 2, 3}) {
    auto got = pullWhole(file);
    EXPECT_EQ(got.events, Events{"refused " + std::to_string(file)});
    EXPECT_EQ(got.reason, proto::Reason::VANISHED);
    EXPECT_EQ(got.content, "");
  }
}

TEST_F(AgentServer, freshSessions) {
  // A little ahead of the clock, so that they are fresh on a slow machine too.
  int64_t now = wallClockNanos() + SECOND;
  dir_.write("a.jsonl", "no line yet", now);
  dir_.write("b.jsonl", "line\npart", now);
  start(dir_.path());
  scan();
  EXPECT_EQ(pullWhole(0).reason, proto::Reason::UNFINISHED_LINE);
  auto got = pullWhole(1);
  EXPECT_EQ(got.events, (Events{"begin whole 5", "end"}));
  EXPECT_EQ(got.content, "line\n");
  EXPECT_EQ(got.hash, digestOf(bytesOf("line\n")));
  EXPECT_TRUE(got.unsettled);
  // Bytes that the hub has already stay.
  EXPECT_EQ(pullTail(1, "line\npa").events, (Events{"begin tail 7", "end"}));
}

TEST_F(AgentServer, sessionsFromTheFuture) {
  // A file server whose clock is ahead, and a time that no clock shows.
  int64_t now = wallClockNanos();
  dir_.write("a.jsonl", "line\npart", now + 3600 * SECOND);
  dir_.write("b.jsonl", "line\npart", now + 3 * 365 * 24 * 3600 * SECOND);
  start(dir_.path());
  scan();
  auto got = pullWhole(0);
  EXPECT_EQ(got.events, (Events{"begin whole 5", "end"}));
  EXPECT_TRUE(got.unsettled);
  got = pullWhole(1);
  EXPECT_EQ(got.events, (Events{"begin whole 9", "end"}));
  EXPECT_FALSE(got.unsettled);
}

TEST_F(AgentServer, wantsAreAnsweredInTheirOrder) {
  dir_.write("a", "aa");
  dir_.write("b", "bb");
  start(dir_.path());
  scan();
  auto request = sessions_.pullRequest();
  auto wants = request.initWants(4);
  uint32_t ids[] = {1, 9, 0, 1};
  for (uint32_t i = 0; i < 4; ++i) wants[i].setFile(ids[i]);
  auto got = answer(request.send().wait(io_.waitScope).getBlocks());
  EXPECT_EQ(got.events, (Events{"begin whole 2", "end", "refused 9", "begin whole 2", "end",
                                "begin whole 2", "end"}));
  EXPECT_EQ(got.content, "bbaabb");
  EXPECT_EQ(answer(sessions_.pullRequest().send().wait(io_.waitScope).getBlocks()).events,
            Events{});
}

TEST_F(AgentServer, signatureServesADelta) {
  auto basis = noise(600'000, 3);
  dir_.write("file", basis);
  start(dir_.path());
  scan();
  auto made = signature(0, 512, 8);
  EXPECT_EQ(made.content.size(), 12 + (600'000 + 511) / 512 * 12u);
  auto newer = "new" + basis;
  auto delta = deltaOf(made.content, newer);
  EXPECT_LT(delta.size(), 50'000u);
  EXPECT_TRUE(patched(basis, delta, newer.size()) == newer);
  EXPECT_EQ(signature(0, 1).reason, proto::Reason::BAD_REQUEST) << "as large as the file";
  EXPECT_EQ(signature(0, 512, 100).reason, proto::Reason::BAD_REQUEST);
}

TEST_F(AgentServer, digestsOfBeginnings) {
  dir_.write("a", "content");
  dir_.write("b", "con");
  start(dir_.path());
  scan();
  auto request = sessions_.digestRequest();
  request.setFiles({0, 1, 0, 7});
  request.setLengths({3, 9, 0});
  auto got = answer(request.send().wait(io_.waitScope).getBlocks());
  EXPECT_EQ(got.events, (Events{"digest 0 3", "digest 1 3", "digest 0 0", "refused 7"}));
  request = sessions_.digestRequest();
  request.setFiles({0});
  request.setLengths({3});
  EXPECT_EQ(answer(request.send().wait(io_.waitScope).getBlocks()).hash, digestOf(bytesOf("con")));
}

TEST_F(AgentServer, databasesInUseAreDeferredAsAWhole) {
  for (auto name : {"x.db", "x.db-shm", "x.db-wal", "y.db", "y.db-shm", "z-shm"}) {
    dir_.write(name, name);
  }
  utimensat(AT_FDCWD, (dir_ / "x.db-wal").c_str(), nullptr, 0);  // now
  start(dir_.path());
  auto paths = scan().paths;
  for (uint32_t id = 0; id < paths.size(); ++id) {
    bool inUse = paths[id].starts_with("x");
    auto got = pullWhole(id);
    EXPECT_EQ(got.events.front() == "refused " + std::to_string(id), inUse) << paths[id];
    if (inUse) {
      EXPECT_EQ(got.reason, proto::Reason::UNFINISHED_LINE);
    }
  }
}

TEST_F(AgentServer, digests) {
  dir_.write("a", "content");
  dir_.write("b", "");
  start(dir_.path());
  scan();
  for (auto& [file, content] : {std::pair<uint32_t, std::string>{0, "content"}, {1, ""}}) {
    auto request = sessions_.digestRequest();
    request.setFiles({file});
    auto got = answer(request.send().wait(io_.waitScope).getBlocks());
    EXPECT_EQ(got.hash, digestOf(bytesOf(content)));
  }
  auto request = sessions_.digestRequest();
  request.setFiles({1, 7, 0});
  EXPECT_EQ(answer(request.send().wait(io_.waitScope).getBlocks()).events,
            (Events{"digest 1 0", "refused 7", "digest 0 7"}));
}

// ThreadSanitizer's allocator cannot mark memory.
#ifndef __SANITIZE_THREAD__

std::string decompressed(const std::string& stream) {
  auto* context = ZSTD_createDStream();
  KJ_DEFER(ZSTD_freeDStream(context));
  ZSTD_inBuffer in = {stream.data(), stream.size(), 0};
  std::string all, piece(256 * 1024, '\0');
  for (size_t made = 1; in.pos < in.size || made == piece.size();) {
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    EXPECT_FALSE(ZSTD_isError(ZSTD_decompressStream(context, &out, &in)));
    made = out.pos;
    all.append(piece, 0, made);
  }
  return all;
}

// Uninitialized memory has its earlier content: a key, another file (CVE-2024-12085). glibc fills
// memory with the complement of this byte when it allocates, and with the byte when it frees;
// AddressSanitizer with 0xbe.
TEST_F(AgentServer, sendsNoUninitializedMemory) {
  constexpr int MARK = 0xa5;
  mallopt(M_PERTURB, MARK);
  KJ_DEFER(mallopt(M_PERTURB, 0));
  const std::string marks[] = {std::string(4, char(MARK)), std::string(4, char(~MARK)),
                               std::string(4, char(0xbe))};
  auto marked = [&](const std::string& bytes) {
    return std::any_of(std::begin(marks), std::end(marks),
                       [&](auto& mark) { return bytes.find(mark) != std::string::npos; });
  };
  // Checks that such bytes would be found.
  std::unique_ptr<char[]> fresh(new char[4096]);
  asm volatile("" : : "r"(fresh.get()) : "memory");
  ASSERT_TRUE(marked(std::string(fresh.get(), 4096)));

  auto content = noise(300'000, 4);
  dir_.write("a/one", content);
  dir_.write("a/two", "short");
  start(dir_.path());
  auto expectClean = [&](const char* what) {
    auto sent = decompressed(compressed_);
    EXPECT_GT(sent.size(), 0u) << what;
    EXPECT_FALSE(marked(sent)) << what;
    EXPECT_FALSE(marked(compressed_)) << what;
  };
  scan();
  expectClean("scan");
  for (uint32_t file : {0, 1, 7}) {
    pullWhole(file);
    expectClean("whole");
    pullNew(file);
    expectClean("new");
    pullTail(file, content.substr(0, 3));
    expectClean("tail");
    pullDelta(file, signatureOf(content.substr(0, 250'000)));
    expectClean("delta");
    signature(file);
    expectClean("signature");
    auto request = sessions_.digestRequest();
    request.setFiles({file});
    answer(request.send().wait(io_.waitScope).getBlocks());
    expectClean("digest");
  }
}

#endif

}  // namespace
}  // namespace pibrain
