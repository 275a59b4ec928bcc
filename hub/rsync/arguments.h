#pragma once
// What a user may add to rsync's command line (rsync_options.extra_args).

#include <string>

namespace pibrain {

// Why this argument may not be given to rsync, for the end of a sentence that names it; empty if it
// may. Refused is what could run a command on either side, change the spoke, or end the options;
// any beginning of such an option's name, and letters joined into one argument ("-ave"), as well.
std::string whyNotForRsync(const std::string& argument);

}  // namespace pibrain
