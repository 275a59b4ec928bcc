#include "hub/run/libraries.h"

#include <kj/async-io.h>
#include <kj/exception.h>

#include "common/delta/delta.h"
#include "hub/connect/connect-ssh.h"

namespace pibrain {

void initLibraries() {
  initLibrsync();
  initSsh();
  // KJ fills in tables at its first use. A failure repeats for each spoke, and is reported there.
  kj::runCatchingExceptions([]() { kj::setupAsyncIo(); });
}

}  // namespace pibrain
