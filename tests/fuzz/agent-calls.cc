// Calls of a hub that follows the protocol and asks for anything. Without the RPC, which
// agent-stream covers, so that the harness is fast and reaches far.
//
// Input: a byte of options, then calls, each a byte that chooses one and its parameters.

#include <set>

#include "common/wire/block-stream.h"
#include "spoke-agent/serve/agent-server.h"
#include "spoke-agent/tree/directory-tree.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small-tree.h"

namespace pibrain::fuzz {

namespace {

constexpr int MAX_CALLS = 40;
// Wants of the largest file that fill some blocks.
constexpr uint32_t MANY = 100;

class Hub {
 public:
  Hub(Input& input, const SmallTree& tree)
      : input_(input),
        tree_(tree),
        spoke_(makeSpoke(kj::refcounted<DirectoryTree>(tree.root()), "none")),
        sessions_(spoke_.helloRequest().send().getSessions()) {}

  void run() {
    for (int calls = 0; calls < MAX_CALLS && !input_.empty(); ++calls) {
      tolerating([&]() { call(); });
    }
  }

 private:
  enum Call { SCAN, PULL, SIGNATURE, DIGEST, DESCRIBE, NEXT, DROP, HELLO, CALLS };

  struct Stream {
    proto::Blocks::Client blocks;
    kj::Own<BlockReader> reader = kj::heap<BlockReader>();
    uint32_t file = 0;  // that has begun
    bool last = false;
  };

  void call() {
    switch (input_.byte() % CALLS) {
      case SCAN:
        return scan();
      case PULL:
        return pull();
      case SIGNATURE: {
        auto request = sessions_.signatureRequest();
        request.setFile(file());
        request.setBlockLength(uint32_t(input_.number()));
        request.setStrongLength(uint32_t(input_.number()));
        return open(request.send().wait(asyncIo().waitScope).getBlocks());
      }
      case DIGEST: {
        auto request = sessions_.digestRequest();
        fill(request.initFiles(input_.byte()));
        return open(request.send().wait(asyncIo().waitScope).getBlocks());
      }
      case DESCRIBE: {
        auto request = sessions_.describeRequest();
        fill(request.initFiles(input_.byte()));
        return open(request.send().wait(asyncIo().waitScope).getListing());
      }
      case NEXT:
        if (!streams_.empty()) next(streams_[input_.byte() % streams_.size()]);
        return;
      case DROP:
        if (!streams_.empty()) {
          streams_.erase(streams_.begin() + input_.byte() % ptrdiff_t(streams_.size()));
        }
        return;
      case HELLO:
        sessions_ = spoke_.helloRequest().send().getSessions();
        return;
    }
  }

  // Mostly an id that exists.
  uint32_t file() {
    uint64_t number = input_.number();
    return uint32_t(number < 0x80 ? number % tree_.count() : number);
  }

  void fill(capnp::List<uint32_t>::Builder files) {
    for (uint32_t i = 0; i < files.size(); ++i) files.set(i, file());
  }

  void scan() {
    auto request = sessions_.scanRequest();
    uint8_t how = input_.byte();
    request.setKnownComplete((how & 1) == 0);
    request.setReuse((how & 2) != 0);
    request.setNewest((how & 4) != 0 ? OLD : int64_t(input_.number()));
    auto walked = tree_.walk();
    if ((how & 8) != 0) treeDigest(walked).to(request.initTree());
    auto known = request.initKnown(input_.byte() % 16);
    for (uint32_t i = 0; i < known.size(); ++i) {
      uint8_t which = input_.byte();
      known.set(i, which < walked.directories.size() ? walked.directories[which].digest : which);
    }
    open(request.send().wait(asyncIo().waitScope).getListing());
  }

  void pull() {
    auto request = sessions_.pullRequest();
    request.initOptions().setCompressionLevel(int8_t(input_.byte()));
    uint8_t count = input_.byte();
    bool same = count >= 0xf0;
    auto wants = request.initWants(same ? MANY : count % 16);
    for (uint32_t i = 0; i < wants.size(); ++i) {
      if (same && i > 0) {
        wants.setWithCaveats(i, wants[0].asReader());
        continue;
      }
      wants[i].setFile(file());
      fill(wants[i]);
    }
    open(request.send().wait(asyncIo().waitScope).getBlocks());
  }

  void fill(proto::Want::Builder want) {
    uint8_t how = input_.byte();
    // The content of this file or of another.
    uint32_t id = (how & 0x80) != 0 || want.getFile() >= tree_.count() ? file() : want.getFile();
    std::string content = id < tree_.count() ? tree_.content(id) : "";
    switch (how & 7) {
      case 0:
        return want.setWhole();
      case 1:
        return want.setNew();
      case 2: {
        auto basis = want.initPrefix();
        content.resize(std::min<size_t>(content.size(), input_.number()));
        basis.setSize((how & 0x40) != 0 ? input_.number() : content.size());
        digestOfText(content).to(basis.initHash());
        return;
      }
      case 3:
        return want.setSignature(bytesOf(input_.text()));
      default: {
        // Of similar content.
        content.insert(content.size() / 2, input_.text());
        std::string signature;
        makeSignature(fileWith(content), content.size(), 0, 0,
                      [&](kj::ArrayPtr<const kj::byte> bytes) { signature += textOf(bytes); });
        want.setSignature(bytesOf(signature));
      }
    }
  }

  void open(proto::Blocks::Client blocks) {
    streams_.push_back({kj::mv(blocks)});
    next(streams_.back());
  }

  void next(Stream& stream) {
    auto response = stream.blocks.nextRequest().send().wait(asyncIo().waitScope);
    auto block = response.getBlock();
    require(!stream.last || (block.size() == 0 && response.getLast()),
            "nothing follows the last block");
    if (block.size() > 0) {
      // Whatever the agent sends can be read.
      stream.reader->read(block, [&](proto::Event::Reader event) { check(stream, event); });
    }
    stream.last = response.getLast();
  }

  void check(Stream& stream, proto::Event::Reader event) {
    if (event.isBegin()) {
      stream.file = event.getBegin().getFile();
    } else if (event.isData()) {
      auto text = textOf(event.getData().getBytes());
      require(text.find(SECRET) == std::string::npos, "nothing outside the root is read (P1)");
    } else if (event.isEnd()) {
      auto& content = tree_.content(stream.file);
      auto hash = Digest::from(event.getEnd());
      // A file that just changed is cut after its last line, or where the hub's copy ends.
      require(hash == digestOfText(content) || tree_.isFresh(stream.file),
              "the content sent is the file's", tree_.path(stream.file));
    } else if (event.isDigest()) {
      auto digest = event.getDigest();
      require(Digest::from(digest.getHash()) == digestOfText(tree_.content(digest.getFile())),
              "a digest is the file's", tree_.path(digest.getFile()));
    }
  }

  Input& input_;
  const SmallTree& tree_;
  proto::Spoke::Client spoke_;
  proto::Sessions::Client sessions_;
  std::vector<Stream> streams_;
};

}  // namespace

void run(Input input) {
  static SmallTree tree;
  Quiet quiet;
  tree.setFresh((input.byte() & 1) != 0);
  Hub(input, tree).run();
}

}  // namespace pibrain::fuzz
