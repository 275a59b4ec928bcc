#include "hub/run/live-totals.h"

#include "common/fs/file-times.h"

namespace pibrain {

namespace {

constexpr std::chrono::minutes RECORD_EVERY(1);

}  // namespace

void LiveTotals::add(const LiveChange& change) {
  if (totals_.started != 0 && hourOf(change.mirrored) != hourOf(totals_.started)) record();
  if (totals_.started == 0) totals_.started = change.mirrored;
  totals_.finished = change.mirrored;
  countChange(change.kind, totals_.counts);
  uint64_t bytes = change.to > change.from ? change.to - change.from : 0;
  if (change.kind == ChangeKind::GROW) totals_.bytesGrown += bytes;
  totals_.bytesLiteral += bytes;
}

void LiveTotals::flushed(const WireBytes& wire) {
  if (totals_.started == 0) return;
  totals_.wire.up += wire.up;
  totals_.wire.down += wire.down;
  if (std::chrono::steady_clock::now() >= recorded_ + RECORD_EVERY) record();
}

void LiveTotals::record() {
  if (totals_.started == 0) return;
  recorded_ = std::chrono::steady_clock::now();
  if (store_ != nullptr) (void)store_->addToLiveHour(totals_);
  auto name = totals_.name;
  totals_ = SpokeReport();
  totals_.name = name;
}

}  // namespace pibrain
