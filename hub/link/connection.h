#pragma once
// A running agent at the other end of something: the seam between transports and the sync.

#include <kj/async-io.h>

#include <memory>
#include <optional>
#include <string>

#include "hub/base/rate-limiter.h"
#include "hub/base/wire-bytes.h"
#include "hub/link/access.h"

namespace pibrain {

// What is known of an agent that hung up.
struct ExitInfo {
  std::string errors;             // its standard error, as it came
  std::optional<int> exitStatus;  // none: it was killed, or nobody said
  std::string cutOff;             // why the connection ended before it did; empty: it did not
  bool flooded = false;           // it was this machine that ended it: what came had no end
};

class Connection {
 public:
  virtual ~Connection() noexcept(false) {}

  // The agent's standard input and output.
  virtual kj::AsyncIoStream& stream() = 0;

  // Bytes that crossed so far, with all that the transport adds to them.
  virtual WireBytes wire() const = 0;

  // For how many seconds the agent may say nothing until it has answered for the first time: what
  // starts it is a login's last step. 0: as long as ever.
  virtual uint32_t startSeconds() const { return 0; }

  // Whether the login is let do this as well, found out by trying. It ends the agent, so nothing
  // but this is to be called afterwards. UNKNOWN where it cannot be found out.
  virtual Grant grants(Access, kj::AsyncIoContext&) { return Grant::UNKNOWN; }

  // To be called when the stream has ended or failed; waits a moment for the last words.
  virtual ExitInfo exitInfo(kj::WaitScope& waitScope) = 0;
};

// Starts pi-brain-agent on this machine for `root`. It is looked for beside this program, then
// on PATH. Throws Failure if it is not there.
kj::Own<Connection> startLocalAgent(const std::string& root, kj::AsyncIoContext& io);

}  // namespace pibrain
