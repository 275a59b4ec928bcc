#pragma once
// What signals do to this program and to its children.

#include <signal.h>
#include <sys/types.h>

namespace pibrain {

// What a write that fails would raise: nobody listens, or the file would be larger than
// RLIMIT_FSIZE. settleProcess() has this program ignore them; its children do not inherit that.
inline constexpr int IGNORED_SIGNALS[] = {SIGPIPE, SIGXFSZ};

// From now on, a signal that ends this program ends its children too. To be called in main.
void killChildrenOnSignals();
// What such a signal does first: a function that may be called in a signal handler
// (signal-safety(7)); null: nothing.
void beforeDyingOfSignal(void (*action)());

// Which children there are.
void rememberChild(pid_t pid);
void forgetChild(pid_t pid);

// Kills a child, with all of its session if it has one of its own.
void killWithChildren(pid_t pid);

}  // namespace pibrain
