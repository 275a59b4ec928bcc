#include "hub/base/signals.h"

#include <atomic>
#include <initializer_list>

namespace pibrain {

namespace {

// The running children, for the signal handler. Children beyond this number outlive an interrupted
// hub.
std::atomic<pid_t> children[512];

void replaceChild(pid_t from, pid_t to) {
  for (auto& child : children) {
    pid_t expected = from;
    if (child.compare_exchange_strong(expected, to)) return;
  }
}
std::atomic<void (*)()> beforeDying = nullptr;

void killChildrenAndDie(int signal) {
  if (auto* action = beforeDying.load()) action();
  killRememberedChildren();
  // SA_RESETHAND has restored the default action.
  raise(signal);
}

}  // namespace

void rememberChild(pid_t pid) { replaceChild(0, pid); }
void forgetChild(pid_t pid) { replaceChild(pid, 0); }

void killRememberedChildren() {
  for (auto& child : children) {
    if (pid_t pid = child; pid > 0) killWithChildren(pid);
  }
}

// A child without its own session is killed alone.
void killWithChildren(pid_t pid) {
  if (kill(-pid, SIGKILL) != 0) kill(pid, SIGKILL);
}

void beforeDyingOfSignal(void (*action)()) { beforeDying = action; }

void killChildrenOnSignals() {
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    struct sigaction before, action = {};
    // A signal that is ignored (nohup) stays ignored.
    if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) continue;
    action.sa_handler = killChildrenAndDie;
    action.sa_flags = int(SA_RESETHAND);
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace pibrain
