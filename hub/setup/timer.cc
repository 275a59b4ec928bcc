#include "hub/setup/timer.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <utility>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/setup/units.h"

namespace pibrain {

namespace {

constexpr char TIMER_MARK[] = "pi-brain sync install-timer";  // in each unit that pi-brain wrote
constexpr char TIMER_SERVICE[] = "pi-brain-sync.service";
constexpr char TIMER[] = "pi-brain-sync.timer";

// Returns the time fields of a crontab line that come closest to the interval.
std::string cronFields(int64_t seconds) {
  if (seconds >= 86400) return "0 0 * * *";
  if (seconds >= 3600) return absl::StrCat("0 */", seconds / 3600, " * * *");
  return seconds < 120 ? "* * * * *" : absl::StrCat("*/", seconds / 60, " * * * *");
}

// Returns the ExecStart= of a run.
std::string commandFor(const TimerRequest& request) {
  return absl::StrCat(unitQuote(thisProgram(), true), " sync run", request.due ? " --due" : "",
                      request.config.empty() ? "" : " -c " + unitQuote(request.config));
}

// Returns the same as a crontab line.
std::string cronLine(const TimerRequest& request) {
  return absl::StrCat(
      cronFields(request.seconds), " ", escapeForTerminal(shellQuote(thisProgram())), " sync run",
      request.due ? " --due" : "",
      request.config.empty() ? "" : " -c " + escapeForTerminal(shellQuote(request.config)),
      " --quiet --log ~/.pi-brain/logs/sync.log");
}

}  // namespace

std::optional<int64_t> parseSpan(const std::string& text) {
  auto digits = text.find_first_not_of("0123456789");
  int64_t number;
  if (digits == 0 || digits == std::string::npos || digits > 6 ||
      !absl::SimpleAtoi(text.substr(0, digits), &number)) {
    return std::nullopt;
  }
  auto unit = text.substr(digits);
  int64_t factor = unit == "s" || unit == "sec"    ? 1
                   : unit == "m" || unit == "min"  ? 60
                   : unit == "h" || unit == "hour" ? 3600
                   : unit == "d" || unit == "day"  ? 86400
                                                   : 0;
  if (factor == 0) return std::nullopt;
  return number * factor;
}

void installTimer(const TimerRequest& request, const Say& say) {
  auto service = absl::StrReplaceAll(SERVICE_UNIT, {{"@COMMAND@", commandFor(request)}});
  auto timer = absl::StrReplaceAll(
      TIMER_UNIT,
      {{"@EVERY@", request.every}, {"@ACCURACY@", request.seconds <= 60 ? "1s" : "15s"}});
  for (auto& [name, text] : {std::pair(TIMER_SERVICE, service), std::pair(TIMER, timer)}) {
    auto status = writeUnit(name, text, TIMER_MARK, say);
    if (!status.ok()) throw failureOf(status, FailureId::TIMER_FAILED);
  }
  auto problem = systemctl({"daemon-reload"});
  if (!problem) problem = systemctl({"enable", "--now", TIMER});
  if (problem) {
    throw Failure(
        FailureId::TIMER_FAILED,
        absl::StrCat("the units are in place, but systemd did not start the timer: ",
                     withoutFullStop(escapeForTerminal(*problem))),
        "",
        {{"Log in as this user (not with su or sudo), and start the timer",
          absl::StrCat("systemctl --user daemon-reload && systemctl --user enable --now ", TIMER)},
         {"Or use cron: add this line with 'crontab -e'", cronLine(request)}});
  }
  say(
      absl::StrCat("the timer is running; 'systemctl --user list-timers' shows the next run, "
                   "'journalctl --user -u ",
                   TIMER_SERVICE, "' the past ones"));
  sayIfLogoutStopsIt(say);
}

void uninstallTimer(const Say& say) {
  auto problem = systemctl({"disable", "--now", TIMER});
  bool removed = false;
  for (auto* name : {TIMER, TIMER_SERVICE})
    removed |= removeUnit(name, FailureId::TIMER_FAILED, say);
  if (!removed) return say("no timer is installed in " + escapeForTerminal(unitDirectory()));
  if (!problem) problem = systemctl({"daemon-reload"});
  if (problem) {
    say(absl::StrCat(
        "systemd could not be notified: ", withoutFullStop(escapeForTerminal(*problem)),
        "; if the timer is still running, this stops it: systemctl --user stop ", TIMER));
  }
}

bool timerIsInstalled() { return unitIsInstalled(TIMER); }

}  // namespace pibrain
