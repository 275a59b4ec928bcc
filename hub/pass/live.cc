#include "hub/pass/live.h"

namespace pibrain {

const char* toString(LiveState state) {
  switch (state) {
    case LiveState::CONNECTING:
      return "connecting";
    case LiveState::SCANNING:
      return "scanning";
    case LiveState::LIVE:
      return "live";
    case LiveState::POLLING:
      return "polling";
    case LiveState::SCHEDULED:
      return "scheduled";
  }
  return "";
}

}  // namespace pibrain
