#include "hub/run/outcome.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <system_error>

#include "common/fs/file-times.h"
#include "hub/agent/explain.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"

namespace pibrain {

namespace {

Failure unexpected(const std::exception& e) {
  auto* system = dynamic_cast<const std::system_error*>(&e);
  if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) {
    return Failure(FailureId::TOO_MANY_PROCESSES,
                   absl::StrCat("a thread could not be started: ", e.what()),
                   "The mirror is intact.",
                   {{"Raise the limit of processes and threads, which this shows", "ulimit -u"},
                    {"Or sync fewer spokes at a time", ownCommand("sync run --jobs 2")}});
  }
  return Failure(FailureId::INTERNAL_ERROR, absl::StrCat("an unexpected error: ", e.what()),
                 "The mirror is intact. Please report this as a bug.");
}

}  // namespace

void reportOutcome(const SpokeConfig& spoke, SpokeReport& report, kj::FunctionParam<void()> work) {
  report.name = spoke.name;
  report.started = wallClockNanos();
  auto begun = std::chrono::steady_clock::now();
  auto failed = [&](Failure failure) {
    bool locked = failure.id() == FailureId::MIRROR_IN_USE;
    report.outcome = locked ? Outcome::LOCKED : Outcome::FAILED;
    report.failure = std::move(failure);
  };
  try {
    work();
  } catch (const Failure& e) {
    failed(e);
  } catch (const kj::Exception& e) {
    failed(explainOutside(spoke, e));
  } catch (const std::exception& e) {
    failed(unexpected(e));
  }
  // By a steady clock, since the wall clock may have been set meanwhile.
  std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
  report.finished = report.started + took.count();
}

}  // namespace pibrain
