#include "hub/run/outcome.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <system_error>

#include "common/fs/file-times.h"
#include "hub/agent/explain.h"
#include "hub/base/failure.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

void reportOutcome(const SpokeConfig& spoke, SpokeReport& report, kj::FunctionParam<void()> work) {
  report.name = spoke.name;
  report.started = wallClockNanos();
  auto begun = std::chrono::steady_clock::now();
  auto failed = [&](Outcome outcome, std::string why) {
    report.outcome = outcome;
    report.error = std::move(why);
  };
  try {
    work();
  } catch (const Mirror::Locked&) {
    failed(Outcome::LOCKED, "another run is syncing this spoke; it was left to it");
  } catch (const Failure& e) {
    failed(Outcome::FAILED, e.what());
  } catch (const kj::Exception& e) {
    failed(Outcome::FAILED, explainOutside(spoke, e));
  } catch (const std::exception& e) {
    auto* system = dynamic_cast<const std::system_error*>(&e);
    if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) {
      failed(Outcome::FAILED,
             absl::StrCat("a thread could not be started: ", e.what(),
                          ". Let this user run more processes and threads ('ulimit -u' shows how "
                          "many there may be), or sync fewer spokes at a time (--jobs). The mirror "
                          "is intact."));
      return;
    }
    failed(Outcome::FAILED, absl::StrCat("an unexpected error: ", e.what(),
                                         ". It is a bug worth reporting; the mirror is intact."));
  }
  // Not when the clock on the wall says so, which may have been set meanwhile.
  std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
  report.finished = report.started + took.count();
}

}  // namespace pibrain
