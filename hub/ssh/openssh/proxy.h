#pragma once

#include <kj/io.h>

#include <optional>
#include <string>

#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/ssh/target.h"

namespace pibrain {

// A ProxyCommand, or an ssh to the last host of ProxyJump, whose standard input and output lead to
// the target.
class Proxy {
 public:
  // Throws Failure if there is no such program.
  explicit Proxy(const SshTarget& target);
  ~Proxy() noexcept(false);
  KJ_DISALLOW_COPY(Proxy);

  // The socket that leads there, once; it does not block.
  kj::AutoCloseFd takeSocket() { return kj::mv(child_.stdio); }

  // To be called when the connection through it broke off early: what the proxy has to say of it,
  // for a person. Empty if it still runs, and so is not the cause.
  std::optional<Failure> explain();

 private:
  SshTarget target_;
  Spawned child_;
};

}  // namespace pibrain
