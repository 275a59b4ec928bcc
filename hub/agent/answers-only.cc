#include "hub/agent/answers-only.h"

#include <capnp/rpc.capnp.h>

#include "common/wire/message-guard.h"

namespace pibrain {

namespace {

bool isAnswer(capnp::MessageReader& message) {
  bool answer = false;
  // A message that cannot be parsed is not a return.
  kj::runCatchingExceptions([&]() {
    auto which = message.getRoot<capnp::rpc::Message>().which();
    answer = which == capnp::rpc::Message::RETURN || which == capnp::rpc::Message::ABORT;
  });
  return answer;
}

}  // namespace

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> AnswersOnly::tryReadMessage(
    kj::ArrayPtr<kj::AutoCloseFd> fds, capnp::ReaderOptions options,
    kj::ArrayPtr<capnp::word> scratch) {
  return inner_.tryReadMessage(fds, options, scratch)
      .then([](kj::Maybe<capnp::MessageReaderAndFds> message) {
        KJ_IF_MAYBE(read, message) {
          if (!isAnswer(*read->reader)) refuseMessage();
        }
        return message;
      });
}

}  // namespace pibrain
