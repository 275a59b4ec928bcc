#include "hub/pass/live-status.h"

namespace pibrain {

const char* shownState(const LiveStatus& spoke) {
  if (spoke.state != LiveState::CONNECTING || !spoke.failure) return toString(spoke.state);
  return needsAPerson(spoke.failure->id()) ? "failed" : "offline";
}

}  // namespace pibrain
