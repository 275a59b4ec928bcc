#pragma once
// A connection to a running agent: the seam between transports and the sync.

#include <kj/async-io.h>

#include <memory>
#include <optional>
#include <string>

#include "hub/base/rate-limiter.h"
#include "hub/base/wire-bytes.h"
#include "hub/link/access.h"

namespace pibrain {

// What is known of an agent that ended, or whose connection did.
struct ExitInfo {
  std::string errors;             // its standard error, unescaped
  std::optional<int> exitStatus;  // nullopt: it was killed, or is not known
  std::optional<std::string>
      cutOff;            // why the connection ended before the agent; nullopt: it did not
  bool flooded = false;  // the hub ended the connection, because the data had no end
};

class Connection {
 public:
  virtual ~Connection() noexcept(false) {}

  // The agent's standard input and output.
  virtual kj::AsyncIoStream& stream() = 0;

  // Returns the bytes transferred so far, including the transport's overhead.
  virtual WireBytes wire() const = 0;

  // Returns for how many seconds the agent may send nothing before its first answer, since starting
  // it is the last step of a login. 0: no such limit.
  virtual uint32_t startSeconds() const { return 0; }

  // Tries whether the login is granted this access too; UNKNOWN if that cannot be found out. It
  // ends the agent, so only grants() can be called afterwards.
  virtual Grant grants(Access, kj::AsyncIoContext&) { return Grant::UNKNOWN; }

  // Called when the stream has ended or failed; waits a moment for the agent's last output.
  virtual ExitInfo exitInfo(kj::WaitScope& waitScope) = 0;
};

// Starts pi-brain-agent on this machine for `root`, from beside this program, PATH, or
// ../lib/pi-brain. Throws Failure if it is not found.
kj::Own<Connection> startLocalAgent(const std::string& root, kj::AsyncIoContext& io);

}  // namespace pibrain
