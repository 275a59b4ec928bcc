// Anything but a conversation: noise, silence, invalid messages.

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <unistd.h>

#include "common/wire/protocol.h"
#include "tests/e2e/hostile/script.h"

namespace hostile {

namespace {

const std::string GREETING(pibrain::PREAMBLE);
const std::string ONE_SEGMENT("\0\0\0\0", 4);

std::string littleEndian(uint32_t number) {
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) out += char(number >> shift);
  return out;
}

Raw writing(std::string text) {
  return [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    stream.write(text.data(), text.size()).wait(io.waitScope);
  };
}

Raw repeating(std::string first, std::string text) {
  std::string many;
  while (many.size() < 64 * 1024) many += text;
  return [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    stream.write(first.data(), first.size()).wait(io.waitScope);
    for (;;) stream.write(many.data(), many.size()).wait(io.waitScope);
  };
}

Raw trickling(std::string first, std::string text) {
  return [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    stream.write(first.data(), first.size()).wait(io.waitScope);
    for (size_t i = 0;; ++i) {
      stream.write(&text[i % text.size()], 1).wait(io.waitScope);
      io.provider->getTimer().afterDelay(1 * kj::SECONDS).wait(io.waitScope);
    }
  };
}

// Messages of Cap'n Proto's own protocol that the hub does not need.
Raw messages(std::function<void(capnp::rpc::Message::Builder, uint32_t)> fill, bool forEver) {
  return [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    stream.write(GREETING.data(), GREETING.size()).wait(io.waitScope);
    uint32_t number = 0;
    do {
      capnp::MallocMessageBuilder message;
      fill(message.initRoot<capnp::rpc::Message>(), number++);
      capnp::writeMessage(stream, message).wait(io.waitScope);
    } while (forEver);
  };
}

// Reads the hub's answers, or the flood would stop by itself.
Raw floodOf(std::function<void(capnp::rpc::Message::Builder, uint32_t)> fill) {
  return [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    auto buffer = kj::heapArray<char>(1 << 16);
    std::function<kj::Promise<void>()> drain = [&]() -> kj::Promise<void> {
      return stream.tryRead(buffer.begin(), 1, buffer.size()).then([&](size_t n) {
        return n == 0 ? kj::Promise<void>(kj::NEVER_DONE) : drain();
      });
    };
    auto draining = drain().eagerlyEvaluate(nullptr);
    messages(fill, true)(stream, io);
  };
}

}  // namespace

std::map<std::string, Raw> rawScripts() {
  std::map<std::string, Raw> all;
  std::string word("\x1b[31mnoise\x07\n");
  std::string noise;
  while (noise.size() < pibrain::MAX_SHELL_NOISE + 20'000) noise += word;
  all["noise-too-long"] = writing(noise + GREETING);
  all["noise-endless"] = repeating("", word);
  all["silence"] = writing("");
  all["silence-after-preamble"] = writing(GREETING);
  all["silence-within-preamble"] = writing(GREETING.substr(0, 8));
  all["trickle"] =
      trickling(GREETING, ONE_SEGMENT + littleEndian(5000) + std::string(40'000, '\0'));
  all["trickle-of-noise"] = trickling("", word);
  all["errors-endless"] = [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    stream.write(GREETING.data(), GREETING.size()).wait(io.waitScope);
    while (write(STDERR_FILENO, noise.data(), noise.size()) > 0) continue;
  };
  all["garbage"] = repeating(GREETING,
                             "\x7f"
                             "ELF no Cap'n Proto at all \x1b[31m");
  all["segments-2-32"] = writing(GREETING + std::string(4, '\xff') + std::string(4096, '\0'));
  all["segments-many"] = writing(GREETING + littleEndian(5000) + std::string(4096, '\1'));
  all["segment-of-32-gib"] = writing(GREETING + ONE_SEGMENT + std::string(4, '\xff') + noise);
  all["message-of-nothing"] = repeating(GREETING, std::string(8, '\0'));
  all["pointer-nowhere"] =
      writing(GREETING + ONE_SEGMENT + littleEndian(1) + std::string(8, '\xff'));
  // A struct whose only pointer points back to itself.
  all["pointer-to-itself"] = writing(GREETING + ONE_SEGMENT + littleEndian(1) +
                                     std::string("\xfc\xff\xff\xff\0\0\1\0", 8));
  // As deep as an answer can be that reports the message as not understood.
  all["pointers-deep"] = [=](kj::AsyncIoStream& stream, kj::AsyncIoContext& io) {
    messages(
        [](capnp::rpc::Message::Builder message, uint32_t) {
          for (int i = 0; i < 5000; ++i) message = message.initUnimplemented();
        },
        false)(stream, io);
  };
  all["abort"] = messages(
      [word](capnp::rpc::Message::Builder message, uint32_t) {
        std::string text;
        while (text.size() < 300'000) text += word;
        message.initAbort().setReason(text);
      },
      false);
  all["return-not-asked"] = messages(
      [](capnp::rpc::Message::Builder message, uint32_t) {
        message.initReturn().setAnswerId(12345);
        message.getReturn().setCanceled();
      },
      false);
  all["flood-of-bootstraps"] = floodOf([](capnp::rpc::Message::Builder message, uint32_t number) {
    message.initBootstrap().setQuestionId(number);
  });
  all["flood-of-calls"] = floodOf([](capnp::rpc::Message::Builder message, uint32_t number) {
    auto call = message.initCall();
    call.setQuestionId(number);
    call.initTarget().setImportedCap(0);
    call.initParams();
  });
  all["flood-of-unimplemented"] = floodOf([](capnp::rpc::Message::Builder message, uint32_t) {
    message.initUnimplemented().initUnimplemented();
  });
  return all;
}

}  // namespace hostile
