#pragma once
// The agent, served in a thread, and called over a socket as the hub calls it.

#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <vector>

#include "common/wire/block-stream.h"
#include "common/wire/protocol.h"
#include "spoke-agent/serve/agent-server.h"
#include "spoke-agent/tree/directory-tree.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {

// Short forms of events, and the content that they carry.
struct Answer {
  std::vector<std::string> events;
  std::string content;
  std::vector<std::string> paths;  // of a listing, by id
  proto::Reason reason = proto::Reason::VANISHED;
  Digest hash;
  std::string parent;
  uint64_t parentSize = 0;
  Digest parentHash;
  int64_t mtime = 0;
  bool unsettled = false;
  proto::Summary::Rest rest = proto::Summary::Rest::UNSAID;
};

class AgentFixture : public testing::Test {
 protected:
  ~AgentFixture() noexcept override {
    rpc_ = nullptr;
    network_ = nullptr;
    stream_ = nullptr;
    if (thread_.joinable()) thread_.join();
  }

  // `watching`: with the kernel's events.
  void start(const std::string& root, bool watching = false) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    thread_ = std::thread([root, watching, fd = ends[1]]() {
      auto io = kj::setupAsyncIo();
      auto stream = io.lowLevelProvider->wrapSocketFd(kj::AutoCloseFd(fd));
      auto group = watching ? Marks::openGroup() : kj::AutoCloseFd();
      serve(*stream,
            makeSpoke(kj::refcounted<DirectoryTree>(root), "none", false,
                      kj::refcounted<Watching>(io.unixEventPort, kj::mv(group))),
            io.waitScope);
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
  Answer pullNew(uint32_t file) {
    return pull(file, [](proto::Want::Builder want) { want.setNew(); });
  }
  Answer pullTail(uint32_t file, std::string_view prefix, bool asSent = false) {
    return pull(file, [&](proto::Want::Builder want) {
      auto basis = want.initPrefix();
      basis.setSize(prefix.size());
      basis.setAsSent(asSent);
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
    compressed_.clear();
    for (bool last = false; !last;) {
      auto response = blocks.nextRequest().send().wait(io_.waitScope);
      auto chars = response.getBlock().asChars();
      compressed_.append(chars.begin(), chars.size());
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
        result.rest = event.getSummary().getRest();
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
        const char* kinds[] = {"whole", "tail", "delta", "fork"};
        events.push_back(std::string("begin ") + kinds[int(begin.getContent())] + " " +
                         std::to_string(begin.getSize()));
        result.parent = textOf(begin.getParent().getPath());
        result.parentSize = begin.getParent().getSize();
        result.parentHash = Digest::from(begin.getParent().getHash());
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
      case proto::Event::WATCHED:
        events.push_back("watches " + std::to_string(event.getWatched().getDirectories()) +
                         ", polls " + std::to_string(event.getWatched().getPolled()));
        break;
      case proto::Event::SCAN_NEEDED:
        events.push_back("scan needed");
        break;
      default:
        events.push_back("another event");
    }
  }

  TempDir dir_;
  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  std::thread thread_;
  kj::Own<kj::AsyncIoStream> stream_;
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc_;
  std::string compressed_;  // the blocks of the last answer, as they came
  proto::Spoke::Client spoke_ = nullptr;
  proto::Sessions::Client sessions_ = nullptr;
};

}  // namespace pibrain
