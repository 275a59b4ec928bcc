#pragma once

namespace pibrain {

// Sets up what this program relies on, whatever it inherited: descriptors 0 to 2 are open, no
// signal is blocked, children can be waited for, $SHELL runs commands, and a failing write is an
// error, not a signal. Must be the first call in main. Exits if it fails.
void settleProcess();

}  // namespace pibrain
