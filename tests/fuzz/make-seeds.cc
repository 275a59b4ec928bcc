// Writes the binary seeds. Usage: fuzz-make-seeds CORPUS. They are recordings of conversations
// between hub and agent, and scripts for the harnesses that read scripts.

#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "common/wire/block-stream.h"
#include "hub/mirror/mirror.h"
#include "spoke-agent/answers/listing.h"
#include "spoke-agent/serve/agent-server.h"
#include "spoke-agent/tree/directory-tree.h"
#include "tests/fuzz/conversation.h"
#include "tests/fuzz/pipe-connection.h"
#include "tests/fuzz/small-tree.h"

namespace pibrain::fuzz {

namespace {

std::string corpus;

void save(const std::string& harness, const std::string& name, std::string_view content) {
  std::filesystem::create_directories(corpus + "/" + harness);
  std::ofstream(corpus + "/" + harness + "/" + name, std::ios::binary | std::ios::trunc) << content;
}

// Encodes a text for Input::text().
std::string counted(std::string_view text) {
  std::string out;
  if (text.size() < 0xf0) {
    out += char(text.size());
  } else {
    out += '\xf3';
    for (int shift = 0; shift < 32; shift += 8) out += char(text.size() >> shift);
  }
  return out.append(text);
}

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values) out += char(value);
  return out;
}

// Passes a stream through, and records it.
class Recorder : public kj::AsyncIoStream {
 public:
  explicit Recorder(kj::Own<kj::AsyncIoStream> inner) : inner_(kj::mv(inner)) {}
  std::string sent, received;

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return inner_->tryRead(buffer, minBytes, maxBytes).then([this, buffer](size_t n) {
      received.append(static_cast<char*>(buffer), n);
      return n;
    });
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    sent.append(static_cast<const char*>(buffer), size);
    return inner_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece : pieces) sent += textOf(piece);
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }

 private:
  kj::Own<kj::AsyncIoStream> inner_;
};

struct Recording {
  std::string hub, agent;  // what each sent, without the preamble
};

// Records `talk`, the hub's part, with an agent that serves `root`.
Recording record(const std::string& root,
                 const std::function<void(kj::Own<kj::AsyncIoStream>)>& talk) {
  auto pipe = kj::newTwoWayPipe();
  Server server(*pipe.ends[0], makeSpoke(kj::refcounted<DirectoryTree>(root), "none"));
  Recorder recorder(kj::mv(pipe.ends[1]));
  talk(kj::Own<kj::AsyncIoStream>(&recorder, kj::NullDisposer::instance));
  return {recorder.sent, recorder.received.substr(PREAMBLE.size())};
}

void talkAs(bool large, kj::Own<kj::AsyncIoStream> stream) {
  converse(kj::heap<PipeConnection>(kj::mv(stream)), mirrorFor(large));
}

// Calls every method, as verify might.
void callEverything(const SmallTree& tree, kj::Own<kj::AsyncIoStream> stream) {
  auto& scope = asyncIo().waitScope;
  std::string preamble(PREAMBLE.size(), '\0');
  stream->read(preamble.data(), preamble.size()).wait(scope);
  capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::CLIENT);
  auto rpc = capnp::makeRpcClient(network);
  capnp::MallocMessageBuilder message;
  auto id = message.initRoot<capnp::rpc::twoparty::VatId>();
  id.setSide(capnp::rpc::twoparty::Side::SERVER);
  auto spoke = rpc.bootstrap(id).castAs<proto::Spoke>();
  auto sessions = spoke.helloRequest().send().wait(scope).getSessions();
  auto read = [&](proto::Blocks::Client blocks) {
    while (!blocks.nextRequest().send().wait(scope).getLast()) {
    }
  };
  read(sessions.scanRequest().send().getListing());
  auto signature = sessions.signatureRequest();
  signature.setFile(3);
  signature.setBlockLength(256);
  signature.setStrongLength(8);
  read(signature.send().getBlocks());
  auto digest = sessions.digestRequest();
  digest.setFiles({0, 1, 2, 99});
  read(digest.send().getBlocks());
  auto describe = sessions.describeRequest();
  describe.setFiles({6, 5, 99});
  read(describe.send().wait(scope).getListing());
  auto pull = sessions.pullRequest();
  auto wants = pull.initWants(4);
  wants[0].setFile(1);
  wants[0].setNew();
  wants[1].setFile(5);
  auto prefix = wants[1].initPrefix();
  prefix.setSize(1000);
  digestOfText(tree.content(5).substr(0, 1000)).to(prefix.initHash());
  wants[2].setFile(0);
  std::string sums;
  auto basis = tree.content(0).substr(0, 2000);
  makeSignature(fileWith(basis), basis.size(), 0, 4,
                [&](kj::ArrayPtr<const kj::byte> piece) { sums += textOf(piece); });
  wants[2].setSignature(bytesOf(sums));
  wants[3].setFile(2);
  wants[3].setWhole();
  read(pull.send().getBlocks());
}

void makeStreams() {
  SmallTree tree;
  auto options = [](int value) { return std::string(1, char(value)); };
  auto talk = record(tree.root(), [](auto stream) { talkAs(false, kj::mv(stream)); });
  save("agent-stream", "a-run", options(0) + talk.hub);
  save("hub-stream", "a-run", options(0) + talk.agent);
  save("hub-stream", "noise-and-preamble",
       options(1) + "Welcome!\n" + std::string(PREAMBLE) + talk.agent);
  talk = record(tree.root(), [](auto stream) { talkAs(true, kj::mv(stream)); });
  save("agent-stream", "two-scans", options(1) + talk.hub);
  save("hub-stream", "two-scans", options(2) + talk.agent);

  TempDir same;
  for (auto& directory : mirrorFor(false).directories) {
    auto& file = directory.files[0];
    same.write(directory.pathOf(file), std::string(file.size, '\n'));
  }
  talk = record(same.path(), [](auto stream) { talkAs(false, kj::mv(stream)); });
  save("hub-stream", "nothing-changed", options(0) + talk.agent);
  same.write("d1001/one-more.jsonl", linesOf(100, 7));
  talk = record(same.path(), [](auto stream) { talkAs(false, kj::mv(stream)); });
  save("hub-stream", "one-more", options(0) + talk.agent);

  // A finding: this was read into a null buffer.
  save("hub-stream", "empty-message", options(0) + std::string(8, '\0'));
  save("agent-stream", "empty-message", options(0) + std::string(8, '\0'));

  talk = record(tree.root(), [&](auto stream) { callEverything(tree, kj::mv(stream)); });
  save("agent-stream", "every-call", options(0) + talk.hub);
}

void makeListings() {
  SmallTree tree;
  auto walked = std::make_shared<const Tree>(tree.walk());
  std::string events, messages;
  for (int64_t newest : {INT64_MIN, OLD}) {
    ListingSource source(walked, {Digest(), capnp::List<uint64_t>::Reader(), true, newest});
    BlockWriter writer(1);
    while (source.produce(writer)) {
    }
    auto block = textOf(writer.finish(true));
    BlockReader reader;
    messages.clear();
    events.clear();
    reader.read(bytesOf(block), [&](proto::Event::Reader event) {
      capnp::MallocMessageBuilder copy;
      copy.setRoot(event);
      auto words = capnp::canonicalize(event);
      messages += counted(textOf(words.asBytes()));
      appendMessage(events, copy);
    });
    auto name = newest == INT64_MIN ? std::string("entries") : std::string("fingerprints");
    save("listing", "blocks-" + name, bytes({0}) + counted(block));
    save("listing", "events-" + name, bytes({1}) + events);
    save("listing", "messages-" + name, bytes({2}) + messages);
  }
  auto entry = [](std::string_view name, int size) { return counted(name) + bytes({size, 0}); };
  // Summary, unseen, a directory with entries, one with fingerprints; then their entries.
  save("listing", "script",
       bytes({3, 0, 2, 0, 30, 99}) + bytes({2, 4, 0, 1, 2, 3}) + bytes({1}) + counted("a") +
           bytes({0, 3}) + entry("one.jsonl", 11) + entry("two.jsonl", 20) + entry("new.jsonl", 1) +
           bytes({5}) + counted("z/y") + bytes({7, 4, 0, 1, 200, 0xff}) + bytes({0}) +
           bytes({6, 4, 0}) + entry("later.jsonl", 5) + bytes({4, 0}) + entry("five.jsonl", 13) +
           bytes({3}) + counted("locked") + bytes({1}));
  save("listing", "script-incomplete",
       bytes({3, 0, 2, 1, 30, 99}) + bytes({1}) + counted("") + bytes({0, 2}) +
           entry(Mirror::STAGING, 1) + entry("top.txt", 3) + bytes({2, 2, 0, 4}));
}

// Files of the spoke, then a script (apply.cc, lying-agent.h).
void makeScripts() {
  auto file = [](int path, int how, int time = 1) { return bytes({path, how, time}); };
  save("apply", "honest",
       bytes({2, 5}) + file(0, 1) + file(1, 4) + file(2, 0) + file(3, 5) + file(4, 3) + file(5, 1));
  save("apply", "honest-moves",
       bytes({6, 5}) + file(2, 0, 0) + file(13, 9) + file(6, 1) + file(7, 9) + file(9, 1) +
           file(8, 1));
  save("apply", "honest-partial",
       bytes({8, 3}) + file(0, 1) + file(10, 5) + file(11, 4) + file(3, 2));
  // A fork of a file that the mirror has: begin, its delta in pieces, end.
  std::string pieces;
  for (int i = 0; i < 4; ++i) pieces += bytes({2, 0xdf});
  auto fork = bytes({1, 0, 3}) + counted("a/large.jsonl") + pieces + bytes({4, 1});
  save("apply", "fork", bytes({0, 1}) + file(1, 0, 0) + file(10, 5) + fork);
  // All of a file, or of a fork, but with a wrong hash.
  save("apply", "wrong-end", bytes({0, 0}) + file(10, 0x21) + bytes({1, 0, 0, 2, 0x40, 5, 7}));
  save("apply", "fork-wrong-end",
       bytes({0, 1}) + file(1, 0, 0) + file(10, 5) + fork.substr(0, fork.size() - 2) +
           bytes({5, 7}));
  // Refused in the middle, then another try; then a wrong hash, and a wrong end.
  auto begin = bytes({1, 0, 0});
  save("apply", "trouble",
       bytes({0, 1}) + file(0, 1) + file(10, 1) + begin + bytes({2, 0x20}) + bytes({7, 0, 3}) +
           begin + bytes({2, 0x40}) + bytes({3, 1}) + counted("lies") + bytes({5, 7}) +
           bytes({9, 0}) + bytes({6, 0}));
  // A tail that is not one, a raw event, an answer for another file.
  save("apply", "nonsense",
       bytes({4, 2}) + file(0, 1) + file(3, 2) + file(14, 1) + bytes({1, 0, 1, 3, 2}) +
           counted("xyz") + bytes({4, 0}) + bytes({8, 0}) + counted(std::string(24, '\0')) +
           bytes({1, 0xe1, 2}));
}

void makeRsync() {
  auto basis = linesOf(5000, 1);
  std::string signature, sums;
  makeSignature(fileWith(basis), basis.size(), 0, 0,
                [&](kj::ArrayPtr<const kj::byte> piece) { signature += textOf(piece); });
  auto changed = basis;
  changed.insert(2500, "something that was not there");
  changed += linesOf(200, 9);
  Signature loaded(bytesOf(signature));
  DeltaReader reader(loaded, [rest = std::string_view(changed)](auto buffer) mutable {
    size_t n = std::min(buffer.size(), rest.size());
    memcpy(buffer.begin(), rest.data(), n);
    rest.remove_prefix(n);
    return n;
  });
  auto delta = kj::heapArray<kj::byte>(64 * 1024);
  size_t size = reader.read(delta);
  save("patch", "delta",
       bytes({0xf1, int(changed.size() & 0xff), int(changed.size() >> 8), 99}) +
           textOf(delta.slice(0, size)));
  save("signature", "raw", bytes({0}) + counted(changed) + signature);

  auto repeating = linesOf(100, 1) + linesOf(3000, 2) + linesOf(100, 1);
  makeSignature(fileWith(repeating), repeating.size(), 64, 4,
                [&](kj::ArrayPtr<const kj::byte> piece) { sums += textOf(piece); });
  save("signature", "shaped", bytes({1, 64, 4, 0}) + sums.substr(12));
  save("signature", "shaped-small-buffer", bytes({5, 64, 4, 0}) + sums.substr(12));
  save("signature", "round-trip",
       bytes({2}) + counted(linesOf(2500, 1)) + linesOf(1200, 1) + "more" + linesOf(900, 3));
}

// Calls (agent-calls.cc).
void makeCalls() {
  auto scan = bytes({0, 4, 2, 0, 9});
  save("agent-calls", "wholes",
       bytes({0}) + scan + bytes({1, 1, 7, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0}));
  save("agent-calls", "news", bytes({1}) + scan + bytes({1, 3, 3, 1, 1, 0, 1, 2, 1}));
  save("agent-calls", "prefixes",
       bytes({1}) + scan + bytes({1, 1, 3, 0, 2, 100, 2, 0x42, 5, 9, 3, 0x82, 0, 8}));
  save("agent-calls", "deltas",
       bytes({0}) + scan + bytes({1, 9, 2, 1, 4, 3}) + "abc" + bytes({0, 3, 2}) + "??" +
           bytes({5, 0, 5, 1}));
  save("agent-calls", "many-blocks",
       bytes({0}) + scan + bytes({1, 1, 0xf0, 4, 0, 5, 1, 5, 1, 5, 1}));
  save("agent-calls", "signature", bytes({0}) + scan + bytes({2, 3, 0, 0, 2, 3, 0xf1, 0, 1, 8}));
  save("agent-calls", "others",
       bytes({0}) + scan + bytes({3, 3, 0, 1, 99, 4, 2, 0, 6, 5, 1, 6, 0, 7, 0, 2, 0, 0}));
}

}  // namespace

}  // namespace pibrain::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    fputs("usage: fuzz-make-seeds CORPUS\n", stderr);
    return 2;
  }
  pibrain::fuzz::corpus = argv[1];
  pibrain::initLibrsync();
  pibrain::fuzz::asyncIo();
  pibrain::fuzz::makeStreams();
  pibrain::fuzz::makeListings();
  pibrain::fuzz::makeScripts();
  pibrain::fuzz::makeRsync();
  pibrain::fuzz::makeCalls();
  return 0;
}
