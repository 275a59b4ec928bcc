#include "hub/setup/daemon-service.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/base/failure.h"
#include "hub/setup/units.h"

namespace pibrain {

namespace {

constexpr char DAEMON_MARK[] = "pi-brain daemon install";
constexpr char DAEMON_SERVICE[] = "pi-brain-daemon.service";

// Returns the same as a crontab line.
std::string rebootLine(const std::string& config) {
  return absl::StrCat("@reboot ", escapeForTerminal(shellQuote(thisProgram())), " daemon start",
                      config.empty() ? "" : " -c " + escapeForTerminal(shellQuote(config)));
}

}  // namespace

void installDaemon(const std::string& config, const Say& say) {
  auto command = absl::StrCat(unitQuote(thisProgram(), true), " daemon run",
                              config.empty() ? "" : " -c " + unitQuote(config));
  auto written = writeUnit(
      DAEMON_SERVICE, absl::StrReplaceAll(DAEMON_UNIT, {{"@COMMAND@", command}}), DAEMON_MARK, say);
  if (!written.ok()) throw failureOf(written, FailureId::DAEMON_FAILED);
  auto problem = systemctl({"daemon-reload"});
  if (!problem) problem = systemctl({"enable", DAEMON_SERVICE});
  // It has another program or another config now.
  if (!problem) problem = systemctl({"restart", DAEMON_SERVICE});
  if (problem) {
    throw Failure(FailureId::DAEMON_FAILED,
                  absl::StrCat("the unit is in place, but systemd did not start the daemon: ",
                               withoutFullStop(escapeForTerminal(*problem))),
                  "",
                  {{"Log in as this user (not with su or sudo), and start it",
                    absl::StrCat("systemctl --user daemon-reload && systemctl --user enable --now ",
                                 DAEMON_SERVICE)},
                   {"Or use cron: add this line with 'crontab -e'", rebootLine(config)}});
  }
  say(absl::StrCat("the daemon is running; 'journalctl --user -u ", DAEMON_SERVICE,
                   "' shows what it says"));
  sayIfLogoutStopsIt(say);
}

void uninstallDaemon(const Say& say) {
  auto problem = systemctl({"disable", "--now", DAEMON_SERVICE});
  if (!removeUnit(DAEMON_SERVICE, FailureId::DAEMON_FAILED, say)) {
    return say("no daemon is installed in " + escapeForTerminal(unitDirectory()));
  }
  if (!problem) problem = systemctl({"daemon-reload"});
  if (problem) {
    say(absl::StrCat(
        "systemd could not be notified: ", withoutFullStop(escapeForTerminal(*problem)),
        "; if the daemon is still running, this stops it: systemctl --user stop ", DAEMON_SERVICE));
  }
}

bool daemonIsInstalled() { return unitIsInstalled(DAEMON_SERVICE); }

}  // namespace pibrain
