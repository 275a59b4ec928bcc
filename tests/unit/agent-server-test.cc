// The agent served in a thread, spoken to over a socket as the hub does.

#include "spoke-agent/agent-server.h"

#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "common/block-stream.h"
#include "common/protocol.h"
#include "common/rsync-job.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

// Events in short, and the content that they carry.
struct Answer {
  std::vector<std::string> events;
  std::string content;
  std::vector<std::string> paths;  // of a listing, by id
  proto::Reason reason = proto::Reason::VANISHED;
  Digest hash;
  int64_t mtime = 0;
  bool unsettled = false;
};

class AgentServer : public testing::Test {
 protected:
  ~AgentServer() override {
    rpc_ = nullptr;
    network_ = nullptr;
    stream_ = nullptr;
    if (thread_.joinable()) thread_.join();
  }

  void start(const std::string& root) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    thread_ = std::thread([root, fd = ends[1]]() {
      auto io = kj::setupAsyncIo();
      auto stream = io.lowLevelProvider->wrapSocketFd(kj::AutoCloseFd(fd));
      serve(*stream, makeSpoke(kj::refcounted<Root>(root)), io.waitScope);
    });
    stream_ = io_.lowLevelProvider->wrapSocketFd(kj::AutoCloseFd(ends[0]));
    std::string preamble(PREAMBLE.size(), '\0');
    stream_->read(preamble.data(), preamble.size()).wait(io_.waitScope);
    ASSERT_EQ(preamble, PREAMBLE);
    network_ = kj::heap<capnp::TwoPartyVatNetwork>(*stream_, capnp::rpc::twoparty::Side::CLIENT);
    rpc_ = kj::heap(capnp::makeRpcClient(*network_));
    capnp::MallocMessageBuilder message;
    auto id = message.initRoot<capnp::rpc::twoparty::VatId>();
    id.setSide(capnp::rpc::twoparty::Side::SERVER);
    spoke_ = rpc_->bootstrap(id).castAs<proto::Spoke>();
    sessions_ = spoke_.helloRequest().send().getSessions();
  }

  // Scans, so that files have ids.
  Answer scan() {
    auto request = sessions_.scanRequest();
    request.setKnownComplete(true);
    return answer(request.send().wait(io_.waitScope).getListing());
  }

  template <typename Fill>
  Answer pull(uint32_t file, Fill&& fill) {
    auto request = sessions_.pullRequest();
    auto want = request.initWants(1)[0];
    want.setFile(file);
    fill(want);
    return answer(request.send().wait(io_.waitScope).getBlocks());
  }
  Answer pullWhole(uint32_t file) {
    return pull(file, [](proto::Want::Builder want) { want.setWhole(); });
  }
  Answer pullTail(uint32_t file, std::string_view prefix) {
    return pull(file, [&](proto::Want::Builder want) {
      auto basis = want.initPrefix();
      basis.setSize(prefix.size());
      digestOf(bytesOf(prefix)).to(basis.initHash());
    });
  }
  Answer pullDelta(uint32_t file, std::string_view signature) {
    return pull(file, [&](proto::Want::Builder want) { want.setSignature(bytesOf(signature)); });
  }
  Answer signature(uint32_t file, uint32_t block = 0, uint32_t strong = 0) {
    auto request = sessions_.signatureRequest();
    request.setFile(file);
    request.setBlockLength(block);
    request.setStrongLength(strong);
    return answer(request.send().wait(io_.waitScope).getBlocks());
  }

  Answer answer(proto::Blocks::Client blocks) {
    Answer result;
    BlockReader reader;
    for (bool last = false; !last;) {
      auto response = blocks.nextRequest().send().wait(io_.waitScope);
      reader.read(response.getBlock(), [&](proto::Event::Reader event) { note(event, result); });
      last = response.getLast();
    }
    auto after = blocks.nextRequest().send().wait(io_.waitScope);
    EXPECT_TRUE(after.getLast());
    EXPECT_EQ(after.getBlock().size(), 0u);
    return result;
  }

  static void note(proto::Event::Reader event, Answer& result) {
    auto& events = result.events;
    switch (event.which()) {
      case proto::Event::SUMMARY:
        events.push_back("summary " + std::to_string(event.getSummary().getFiles()) +
                         (event.getSummary().getComplete() ? "" : " incomplete"));
        break;
      case proto::Event::DIRECTORY:
        for (auto entry : event.getDirectory().getEntries()) {
          auto name = textOf(entry.getName());
          auto path = textOf(event.getDirectory().getPath());
          result.paths.push_back(path.empty() ? name : path + "/" + name);
        }
        break;
      case proto::Event::BEGIN: {
        auto begin = event.getBegin();
        const char* kinds[] = {"whole", "tail", "delta"};
        events.push_back(std::string("begin ") + kinds[int(begin.getContent())] + " " +
                         std::to_string(begin.getSize()));
        result.mtime = begin.getMtime();
        result.unsettled = begin.getUnsettled();
        break;
      }
      case proto::Event::DATA:
        result.content += textOf(event.getData().getBytes());
        result.hash = Digest::from(event.getData().getHash());
        break;
      case proto::Event::END:
        events.push_back("end");
        result.hash = Digest::from(event.getEnd());
        break;
      case proto::Event::DIFFERS:
        events.push_back("differs " + std::to_string(event.getDiffers()));
        break;
      case proto::Event::REFUSED:
        events.push_back("refused " + std::to_string(event.getRefused().getFile()));
        result.reason = event.getRefused().getReason();
        break;
      case proto::Event::DIGEST:
        events.push_back("digest " + std::to_string(event.getDigest().getFile()) + " " +
                         std::to_string(event.getDigest().getSize()));
        result.hash = Digest::from(event.getDigest().getHash());
        break;
      case proto::Event::SIGNATURE:
        result.content += textOf(event.getSignature());
        break;
      default:
        events.push_back("another event");
    }
  }

  using Events = std::vector<std::string>;

  TempDir dir_;
  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  std::thread thread_;
  kj::Own<kj::AsyncIoStream> stream_;
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc_;
  proto::Spoke::Client spoke_ = nullptr;
  proto::Sessions::Client sessions_ = nullptr;
};

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

TEST_F(AgentServer, missingRootIsToldAndListsNothing) {
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
  std::string signature;
  makeSignature(fileWith(basis), basis.size(), 0, 0,
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature += textOf(bytes); });
  auto got = pullDelta(0, signature);
  EXPECT_EQ(got.events, (Events{"begin delta 200007", "end"}));
  EXPECT_LT(got.content.size(), 20'000u);
  EXPECT_EQ(got.hash, digestOf(bytesOf(newer)));
  std::string made;
  auto file = fileWith(basis);
  Patcher patcher(file, newer.size(),
                  [&](kj::ArrayPtr<const kj::byte> bytes) { made += textOf(bytes); });
  patcher.write(bytesOf(got.content));
  patcher.finish();
  EXPECT_TRUE(made == newer);

  for (auto bad : {signature.substr(0, signature.size() - 1), signature + "x", std::string(),
                   std::string("garbage, and more of it")}) {
    got = pullDelta(0, bad);
    EXPECT_EQ(got.events, Events{"refused 0"});
    EXPECT_EQ(got.reason, proto::Reason::BAD_REQUEST);
  }
}

TEST_F(AgentServer, idsThatNameNoFileAreRefused) {
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

TEST_F(AgentServer, filesThatAreNoLongerWhatTheyWere) {
  dir_.write("fifo", "x");
  dir_.write("gone", "x");
  dir_.write("link", "x");
  dir_.write("secret/file", "x");
  start(dir_.path());
  ASSERT_EQ(scan().paths, (Events{"fifo", "gone", "link", "secret/file"}));
  for (auto name : {"fifo", "gone", "link"}) unlink((dir_ / name).c_str());
  mkfifo((dir_ / "fifo").c_str(), 0600);
  symlink("/etc/passwd", (dir_ / "link").c_str());
  rename((dir_ / "secret").c_str(), (dir_ / "moved").c_str());
  symlink("moved", (dir_ / "secret").c_str());
  EXPECT_EQ(pullWhole(0).reason, proto::Reason::NOT_REGULAR);
  for (uint32_t file : {1, 2, 3}) {
    auto got = pullWhole(file);
    EXPECT_EQ(got.events, Events{"refused " + std::to_string(file)});
    EXPECT_EQ(got.reason, proto::Reason::VANISHED);
    EXPECT_EQ(got.content, "");
  }
}

TEST_F(AgentServer, freshSessions) {
  int64_t now = wallClockNanos();
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
  // What the hub holds already is not taken back.
  EXPECT_EQ(pullTail(1, "line\npa").events, (Events{"begin tail 7", "end"}));
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
  Signature loaded(bytesOf(made.content));
  std::string newer = "new" + basis;
  DeltaReader reader(loaded, [rest = std::string_view(newer)](kj::ArrayPtr<kj::byte> buffer) mutable {
    size_t n = std::min(buffer.size(), rest.size());
    memcpy(buffer.begin(), rest.data(), n);
    rest.remove_prefix(n);
    return n;
  });
  auto delta = kj::heapArray<kj::byte>(100'000);
  size_t size = reader.read(delta);
  ASSERT_LT(size, delta.size());
  std::string out;
  auto file = fileWith(basis);
  Patcher patcher(file, newer.size(),
                  [&](kj::ArrayPtr<const kj::byte> bytes) { out += textOf(bytes); });
  patcher.write(delta.slice(0, size));
  patcher.finish();
  EXPECT_TRUE(out == newer);
  EXPECT_EQ(signature(0, 1).reason, proto::Reason::BAD_REQUEST) << "as large as the file";
  EXPECT_EQ(signature(0, 512, 100).reason, proto::Reason::BAD_REQUEST);
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

}  // namespace
}  // namespace pibrain
