// Bytes from a hub into the agent's RPC: no peer can make the agent crash, hang or use up memory.
//
// Input: a byte of options, then the bytes of the connection.

#include "spoke-agent/serve/agent-server.h"
#include "spoke-agent/tree/directory-tree.h"
#include "tests/fuzz/delivery.h"
#include "tests/fuzz/small-tree.h"

namespace pibrain::fuzz {

void run(Input input) {
  static SmallTree tree;
  Quiet quiet;
  tree.setFresh((input.byte() & 1) != 0);
  auto pipe = kj::newTwoWayPipe();
  Peer hub(*pipe.ends[0], input.rest());
  tolerating([&]() {
    auto spoke = makeSpoke(kj::refcounted<DirectoryTree>(tree.root()), "none");
    serve(*pipe.ends[1], kj::mv(spoke), asyncIo().waitScope);
  });
}

}  // namespace pibrain::fuzz
