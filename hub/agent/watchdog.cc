#include "hub/agent/watchdog.h"

#include <kj/time.h>
#include <string.h>

namespace pibrain {

namespace {

// Stand in place of the source file in an exception, as KJ marks what a peer threw.
constexpr char SILENT[] = "(silent)";
constexpr char TRICKLED[] = "(trickled)";

kj::Exception lost(const char* tag, const char* why) {
  return kj::Exception(kj::Exception::Type::DISCONNECTED, tag, 0, kj::heapString(why));
}

bool hasTag(const kj::Exception& error, const char* tag) {
  return strcmp(error.getFile(), tag) == 0;
}

kj::TimePoint now() { return kj::systemCoarseMonotonicClock().now(); }

}  // namespace

void Watchdog::begin(const WatchPolicy& policy) {
  policy_ = policy;
  waitBegan_ = now();
}

void Watchdog::end() {
  if (policy_.minBytesPerSecond > 0) waited_ += now() - waitBegan_;
}

kj::Promise<void> Watchdog::look(uint64_t seen, uint32_t quietTenths) {
  if (quietTenths == 10) return lost(SILENT, "the connection fell silent");
  if (bringsNextToNothing()) return lost(TRICKLED, "the connection brought almost nothing");
  return timer_.afterDelay(policy_.idleSeconds * kj::SECONDS / 10)
      .then([this, seen, quietTenths]() {
        // Bytes of the agent, not of the connection, whose keep-alives say nothing about the agent.
        uint64_t received = received_.received();
        return look(received, received == seen ? quietTenths + 1 : 0);
      });
}

bool Watchdog::bringsNextToNothing() {
  if (policy_.minBytesPerSecond == 0) return false;
  auto patience = policy_.patienceSeconds() * kj::SECONDS;
  if (waited_ + (now() - waitBegan_) < patience) return false;
  uint64_t brought = received_.received() - judged_;
  waited_ = 0 * kj::SECONDS;
  waitBegan_ = now();
  judged_ += brought;
  return brought < policy_.minBytesPerSecond * policy_.patienceSeconds();
}

bool fellSilent(const kj::Exception& error) { return hasTag(error, SILENT); }
bool trickled(const kj::Exception& error) { return hasTag(error, TRICKLED); }

}  // namespace pibrain
