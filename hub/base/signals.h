#pragma once
// Signals, and what they do to this program and its children.

#include <signal.h>
#include <sys/types.h>

namespace pibrain {

// The signals of a failing write: the reader is gone, or the file would exceed RLIMIT_FSIZE.
// settleProcess() makes this program ignore them; its children do not inherit that.
inline constexpr int IGNORED_SIGNALS[] = {SIGPIPE, SIGXFSZ};

// Makes a signal that ends this program end its children too. Called in main.
void killChildrenOnSignals();
// Sets what such a signal does first: a function that is safe in a signal handler
// (signal-safety(7)). Null: nothing.
void beforeDyingOfSignal(void (*action)());

// Keep the list of running children.
void rememberChild(pid_t pid);
void forgetChild(pid_t pid);

// Kills all children in the list, and what they started. Safe in a signal handler.
void killRememberedChildren();

// Kills a child, and its whole session if it has its own.
void killWithChildren(pid_t pid);

}  // namespace pibrain
