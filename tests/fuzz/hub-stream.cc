// Bytes from an agent into the hub's RPC: its hello, its listing, and the answer to a pull.
//
// Input: a byte of options, then the bytes of the connection, which the preamble precedes unless
// the options leave it out.

#include "tests/fuzz/conversation.h"
#include "tests/fuzz/delivery.h"
#include "tests/fuzz/pipe-connection.h"

namespace pibrain::fuzz {

namespace {
constexpr uint8_t NO_PREAMBLE = 1, MANY_DIRECTORIES = 2;
}

void run(Input input) {
  Quiet quiet;
  uint8_t options = input.byte();
  auto pipe = kj::newTwoWayPipe();
  std::string bytes;
  if ((options & NO_PREAMBLE) == 0) bytes = PREAMBLE;
  size_t preamble = bytes.size();
  bytes += input.rest();
  Peer agent(*pipe.ends[0], bytes, preamble);
  tolerating([&]() {
    converse(kj::heap<PipeConnection>(kj::mv(pipe.ends[1])),
             mirrorFor((options & MANY_DIRECTORIES) != 0));
  });
}

}  // namespace pibrain::fuzz
