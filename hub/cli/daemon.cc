// `pi-brain daemon`.

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/tilde.h"
#include "hub/base/own-command.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/daemon/control-client.h"
#include "hub/daemon/daemon.h"
#include "hub/daemon/detach.h"
#include "hub/daemon/place.h"
#include "hub/report/documents.h"
#include "hub/setup/daemon-service.h"
#include "hub/setup/timer.h"
#include "hub/view/failure-text.h"
#include "hub/view/run-log.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

struct DaemonArguments {
  std::string config;
  std::string log;  // empty: the default
  bool json = false;
};

constexpr char LOG[] = "~/.pi-brain/logs/daemon.log";

std::string logOf(const DaemonArguments& arguments) {
  return expandHome(arguments.log.empty() ? LOG : arguments.log);
}

// Returns the config's absolute path, since the daemon leaves the working directory.
std::string configOf(const DaemonArguments& arguments) {
  return std::filesystem::absolute(configPath(arguments.config)).lexically_normal();
}

int daemonRun(const DaemonArguments& arguments) {
  (void)takeConfig(arguments.config);
  auto path = logOf(arguments);
  if (auto log = RunLog::open(path); !log.ok()) warn(std::string(log.status().message()));
  DaemonOptions options;
  options.config = configOf(arguments);
  options.log = [&](const std::string& text) {
    // Opened for each line, of which there are few, so that it is rotated.
    if (auto log = RunLog::open(path); log.ok()) (*log)->write(text + "\n");
    puts(text.c_str());
    fflush(stdout);
  };
  runDaemon(options);
  return EXIT_GOOD;
}

std::unique_ptr<ControlClient> requireDaemon(const Config& config) {
  auto daemon = ControlClient::connect(config.hub.databaseDir);
  if (daemon) return daemon;
  throw Failure(FailureId::DAEMON_STOPPED,
                "no daemon is running for " + escapeForTerminal(config.file), "",
                {{"Start it", ownCommand("daemon start")}});
}

int daemonStart(const DaemonArguments& arguments) {
  auto config = takeConfig(arguments.config);
  if (auto running = findDaemon(config.hub.databaseDir)) {
    printf("The daemon is already running, as process %d.\n", running->pid);
    return EXIT_GOOD;
  }
  auto pid = startDetached({configOf(arguments), logOf(arguments)}, config.hub.databaseDir);
  printf("The daemon is running, as process %d; '%s' shows what it does.\n", pid,
         ownCommand("daemon status").c_str());
  return EXIT_GOOD;
}

int daemonStop(const DaemonArguments& arguments) {
  auto config = takeConfig(arguments.config);
  auto daemon = ControlClient::connect(config.hub.databaseDir);
  if (!daemon) {
    puts("No daemon runs.");
    return EXIT_GOOD;
  }
  daemon->stop();
  auto pid = daemon->about().pid;
  if (!waitUntilGone(config.hub.databaseDir, std::chrono::seconds(20))) {
    throw Failure(FailureId::DAEMON_FAILED,
                  absl::StrCat("the daemon, process ", pid, ", does not end"), "",
                  {{"End it, which loses nothing", absl::StrCat("kill -KILL ", pid)}});
  }
  printf("The daemon, process %d, has ended.\n", pid);
  return EXIT_GOOD;
}

// The daemon syncs all that the timer would.
void offerToRemoveTimer() {
  if (!timerIsInstalled()) return;
  if (isatty(STDIN_FILENO) && confirm("With the daemon, the timer is not needed. Remove it?")) {
    return uninstallTimer(say);
  }
  say(absl::StrCat("the timer is no longer needed, but still starts runs. Remove it: '",
                   ownCommand("sync uninstall-timer"), "'"));
}

int daemonInstall(const DaemonArguments& arguments) {
  auto config = takeConfig(arguments.config);  // the daemon will need it
  if (auto running = findDaemon(config.hub.databaseDir); running && !daemonIsInstalled()) {
    throw Failure(FailureId::DAEMON_RUNS,
                  absl::StrCat("a daemon that systemd did not start is already running (process ",
                               running->pid, ")"),
                  "", {{"Stop it, and try again", ownCommand("daemon stop")}});
  }
  installDaemon(arguments.config.empty() ? "" : configOf(arguments), say);
  offerToRemoveTimer();
  return EXIT_GOOD;
}

int daemonUninstall() {
  uninstallDaemon(say);
  return EXIT_GOOD;
}

int daemonRestart(const DaemonArguments& arguments) {
  daemonStop(arguments);
  return daemonStart(arguments);
}

Mark markOf(const LiveStatus& spoke) {
  bool away = spoke.state == LiveState::CONNECTING;
  if (spoke.failure) return away && !needsAPerson(spoke.failure->id()) ? Mark::WARNING : Mark::BAD;
  if (away || spoke.state == LiveState::SCANNING) return Mark::SKIPPED;
  return spoke.state == LiveState::POLLING ? Mark::WARNING : Mark::GOOD;
}

std::string lagText(int64_t nanos) {
  if (nanos < 0) return "-";
  if (nanos < 10'000'000) return absl::StrFormat("%.1f ms", double(nanos) / 1e6);
  if (nanos < 1'000'000'000) return absl::StrFormat("%.0f ms", double(nanos) / 1e6);
  return absl::StrFormat("%.1f s", double(nanos) / 1e9);
}

void printSpokes(const std::vector<LiveStatus>& spokes) {
  auto style = styleOfOutput();
  auto now = wallClockNanos();
  size_t width = 5;
  for (auto& spoke : spokes) width = std::max(width, columnsOf(spoke.name));
  printf("    %-*s  %-10s %-11s %-12s %-9s %8s %8s\n", int(width), "SPOKE", "STATE", "SINCE",
         "LAST CHANGE", "ON DISK", "LAG P50", "P99");
  for (auto& spoke : spokes) {
    auto ago = [&](int64_t time) { return time == 0 ? std::string("-") : formatAgo(time, now); };
    auto onDisk = spoke.unflushed == 0 ? "all" : formatAgo(spoke.unflushed, now);
    printf("  %s %s%*s  %-10s %-11s %-12s %-9s %8s %8s\n", style.mark(markOf(spoke)).c_str(),
           style.plain(spoke.name).c_str(), int(width - columnsOf(spoke.name)), "",
           shownState(spoke), ago(spoke.since).c_str(), ago(spoke.lastChange).c_str(),
           onDisk.c_str(), lagText(spoke.lagP50).c_str(), lagText(spoke.lagP99).c_str());
    if (!spoke.why.empty()) printf("      %s\n", style.plain(escapeForTerminal(spoke.why)).c_str());
    if (spoke.failure) {
      fputs(style.plain(failureText("      ", *spoke.failure, style)).c_str(), stdout);
    }
    if (spoke.nextAttempt > now) {
      printf("      The next attempt is in %lld s.\n",
             (long long)((spoke.nextAttempt - now + 999'999'999) / 1'000'000'000));
    }
  }
}

int daemonStatus(const DaemonArguments& arguments) {
  auto config = takeConfig(arguments.config);
  auto daemon = requireDaemon(config);
  auto spokes = daemon->status();
  auto& about = daemon->about();
  if (arguments.json) {
    puts(daemonJson({about.pid, about.version, about.config, about.started, about.configFailure},
                    spokes)
             .c_str());
    return EXIT_GOOD;
  }
  printf("Daemon: process %d, version %s, started %s, config %s\n\n", about.pid,
         about.version.c_str(), formatAgo(about.started, wallClockNanos()).c_str(),
         escapeForTerminal(about.config).c_str());
  printSpokes(spokes);
  if (about.configFailure) {
    printf(
        "\nThe config has changed, but cannot be used; the daemon goes on with the one it had.\n");
    fflush(stdout);
    printFailure(*about.configFailure);
    return EXIT_FAILED;
  }
  return EXIT_GOOD;
}

CLI::App* add(CLI::App& group, int& exitCode, const char* name, const char* help,
              int (*action)(const DaemonArguments&), bool log, bool json) {
  auto options = std::make_shared<DaemonArguments>();
  auto* command = group.add_subcommand(name, help);
  addConfig(command, options->config);
  if (log) {
    addPath(command, "--log", options->log,
            "Where it writes what happens (default ~/.pi-brain/logs/daemon.log)");
  }
  if (json) addJson(command, options->json);
  setAction(command, exitCode, [=]() { return action(*options); });
  return command;
}

}  // namespace

void addDaemon(CLI::App& app, int& exitCode) {
  auto& group = *app.add_subcommand("daemon", "Keep the mirrors up to date all the time");
  group.require_subcommand(1);
  addConfigToGroup(group);
  add(group, exitCode, "run", "Do so in the foreground, until Ctrl-C", daemonRun, true, false);
  add(group, exitCode, "start", "Start it in the background", daemonStart, true, false);
  add(group, exitCode, "stop", "End it", daemonStop, false, false);
  add(group, exitCode, "restart", "End it, and start it again", daemonRestart, true, false);
  add(group, exitCode, "status", "Show what it does for each spoke", daemonStatus, false, true);
  add(group, exitCode, "install", "Let systemd start it, for this user", daemonInstall, false,
      false);
  setAction(group.add_subcommand("uninstall", "Stop it, and remove what install wrote"), exitCode,
            daemonUninstall);
}

}  // namespace pibrain
