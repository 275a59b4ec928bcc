#pragma once

#include <kj/io.h>

#include <optional>
#include <string>

#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/ssh/target.h"

namespace pibrain {

// A running ProxyCommand, or an ssh to the last host of ProxyJump, whose standard input and output
// lead to the target.
class Proxy {
 public:
  // Starts it. Throws Failure if the program does not exist.
  explicit Proxy(const SshTarget& target);
  ~Proxy() noexcept(false);
  KJ_DISALLOW_COPY(Proxy);

  // Returns the non-blocking socket to the target; can be called once.
  kj::AutoCloseFd takeSocket() { return kj::mv(child_.stdio); }

  // Called when the connection through the proxy ended early: explains why the proxy ended; nullopt
  // if it is still running and so not the cause.
  std::optional<Failure> explain();

 private:
  SshTarget target_;
  Spawned child_;
};

}  // namespace pibrain
