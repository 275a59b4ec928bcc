#include "hub/agent/watchdog.h"

#include <kj/time.h>
#include <string.h>

#include "hub/agent/now.h"

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

}  // namespace

void Watchdog::begin(const WatchPolicy& policy) {
  policy_ = policy;
  waitBegan_ = now();
}

void Watchdog::end() {
  if (policy_.minBytesPerSecond > 0) waited_ += now() - waitBegan_;
}

// Bytes of the agent count, not of the connection, whose keep-alives say nothing about the agent.
kj::TimePoint Watchdog::silentAt() const {
  auto heard = received_.lastReceived();
  return (policy_.sinceLastByte ? heard : kj::max(heard, waitBegan_)) +
         policy_.idleSeconds * kj::SECONDS;
}

kj::TimePoint Watchdog::judgedAt() const {
  return waitBegan_ + (policy_.patienceSeconds() * kj::SECONDS - waited_);
}

kj::Promise<void> Watchdog::look() {
  auto time = now();
  if (time >= silentAt()) return lost(SILENT, "the connection fell silent");
  if (bringsNextToNothing()) return lost(TRICKLED, "the connection brought almost nothing");
  auto next = silentAt();
  if (policy_.minBytesPerSecond > 0) next = kj::min(next, judgedAt());
  // The coarse clock may be a tick behind the timer's.
  return timer_.afterDelay(next - time + 10 * kj::MILLISECONDS).then([this]() { return look(); });
}

bool Watchdog::bringsNextToNothing() {
  if (policy_.minBytesPerSecond == 0 || now() < judgedAt()) return false;
  uint64_t brought = received_.received() - judged_;
  waited_ = 0 * kj::SECONDS;
  waitBegan_ = now();
  judged_ += brought;
  return brought < policy_.minBytesPerSecond * policy_.patienceSeconds();
}

bool fellSilent(const kj::Exception& error) { return hasTag(error, SILENT); }
bool trickled(const kj::Exception& error) { return hasTag(error, TRICKLED); }

}  // namespace pibrain
