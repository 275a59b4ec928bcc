#pragma once
// What a user may add to rsync's command line (rsync_options.extra_args).

#include <optional>
#include <string>
#include <vector>

namespace pibrain {

struct RefusedArgument {
  size_t index;
  std::string why;  // for the end of a sentence that names it
};

// The first of these arguments that may not be given to rsync; none if all may. Allowed are
// filters, and options about comparison, compression and the network: anything else could run a
// command (-e,
// --rsh, --rsync-path, -M, --daemon), change the spoke, write outside the mirror, publish what the
// spoke never had, or take away what a run's report and the archive rely on. Names are to be
// written out; rsync would take a beginning, too.
std::optional<RefusedArgument> refusedForRsync(const std::vector<std::string>& arguments);

}  // namespace pibrain
