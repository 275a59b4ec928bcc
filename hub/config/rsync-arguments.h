#pragma once
// Checks what a user adds to rsync's command line (rsync_options.extra_args).

#include <optional>
#include <string>
#include <vector>

namespace pibrain {

struct RefusedArgument {
  size_t index;
  std::string why;  // whole sentences
};

// Returns the first argument that is not allowed; nullopt: all are. Filters, and options for
// comparison, compression and the network are allowed. Others could run a command (-e, --rsh,
// --rsync-path, -M, --daemon), change the spoke, write outside the mirror, put files into the
// mirror that the spoke never had, or break the report and the archive. Options must be written in
// full, although rsync accepts abbreviations.
std::optional<RefusedArgument> refusedForRsync(const std::vector<std::string>& arguments);

}  // namespace pibrain
