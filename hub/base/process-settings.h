#pragma once

namespace pibrain {

// Makes of what was inherited what this program relies on: descriptors 0 to 2 are open, no signal
// is blocked, children that have ended can be waited for, $SHELL runs commands; and to write what
// cannot be written is an error, not a signal. To be called first in main. Exits if it cannot.
void settleProcess();

}  // namespace pibrain
