#include "hub/run/libraries.h"

#include <kj/async-io.h>
#include <kj/exception.h>

#include "common/delta/rsync-job.h"
#include "hub/connect/connect.h"

namespace pibrain {

void initLibraries() {
  initRsync();
  initSsh();
  // KJ fills some tables at its first use. What fails here fails again for each spoke, and is
  // reported there.
  kj::runCatchingExceptions([]() { kj::setupAsyncIo(); });
}

}  // namespace pibrain
