// `sync install-timer` and `uninstall-timer`: systemd user units that start the runs.

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <errno.h>
#include <kj/exception.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <memory>

#include "common/fs/own-program.h"
#include "common/text/environment.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/cli/timer-units.h"

namespace pibrain {

namespace {

struct InstallTimerArguments {
  std::string config;
  std::string every;  // empty: 15min, or 1min with `due`
  bool due = false;
};

constexpr char UNIT_MARK[] = "pi-brain sync install-timer";  // in each unit of ours
constexpr char SERVICE[] = "pi-brain-sync.service";
constexpr char TIMER[] = "pi-brain-sync.timer";

std::string unitDirectory() {
  auto config = environment("XDG_CONFIG_HOME");
  return (config.starts_with('/') ? config : expandHome("~/.config")) + "/systemd/user";
}

// "15min", "90s", "2h", "1d": seconds; none if it is no such span.
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

// The fields of a crontab's line that come as near to it as they can.
std::string cronFields(int64_t seconds) {
  if (seconds >= 86400) return "0 0 * * *";
  if (seconds >= 3600) return absl::StrCat("0 */", seconds / 3600, " * * *");
  return seconds < 120 ? "* * * * *" : absl::StrCat("*/", seconds / 60, " * * * *");
}

// A word of ExecStart= (systemd.service(5), COMMAND LINES).
std::string unitQuote(const std::string& word, bool program = false) {
  auto quoted =
      absl::StrReplaceAll(word, {{"\\", "\\\\"}, {"\"", "\\\""}, {"%", "%%"}, {"\n", "\\n"}});
  // In the first word no variables are looked for.
  return absl::StrCat("\"", program ? quoted : absl::StrReplaceAll(quoted, {{"$", "$$"}}), "\"");
}

std::string thisProgram() {
  auto path = ownProgram();
  return path.empty() ? "pi-brain" : path;
}

absl::Status writeUnit(const std::string& path, const std::string& text) {
  auto made = makeDirectories(unitDirectory());
  if (!made.ok()) return made;
  // One that somebody wrote by hand is kept.
  auto before = readWholeFile(path);
  if (before && !absl::StrContains(*before, UNIT_MARK)) {
    auto kept = path + ".old";
    if (rename(path.c_str(), kept.c_str()) != 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot move ", escapeForTerminal(path), " away: ", strerror(errno)));
    }
    printf("kept the one that was there as %s\n", escapeForTerminal(kept).c_str());
  }
  return replaceFile(path, text, 0644);
}

// What `systemctl --user` complained of; empty: it did as it was told.
std::string systemctl(const std::vector<std::string>& arguments) {
  auto program = findProgram("systemctl");
  if (!program) return "there is no systemctl on PATH";
  std::vector<std::string> argv{*program, "--user"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto done = runProgram(argv, std::chrono::seconds(30));
  if (done.exitStatus == 0) return "";
  auto said = std::string(absl::StripAsciiWhitespace(done.err));
  return said.empty() ? absl::StrCat("systemctl ended with exit status ", done.exitStatus) : said;
}

bool lingers() {
  auto user = findUser(getuid());
  struct stat st;
  return user && stat(absl::StrCat("/var/lib/systemd/linger/", user->name).c_str(), &st) == 0;
}

int syncInstallTimer(const InstallTimerArguments& arguments) {
  auto config = takeConfig(arguments.config);
  if (!config) return EXIT_USAGE;
  auto every = arguments.every.empty() ? (arguments.due ? "1min" : "15min") : arguments.every;
  auto seconds = parseSpan(every);
  if (!seconds || *seconds < 60 || *seconds > 7 * 86400) {
    printError(absl::StrCat("--every '", escapeForTerminal(every),
                            "' is no span from 1min to 7d. Write it like 15min, 2h or 1d"));
    return EXIT_USAGE;
  }
  auto command =
      absl::StrCat(unitQuote(thisProgram(), true), " sync run", arguments.due ? " --due" : "");
  std::string file;
  if (!arguments.config.empty()) {
    file = std::filesystem::absolute(arguments.config).lexically_normal();
    absl::StrAppend(&command, " -c ", unitQuote(file));
  }
  auto service = absl::StrReplaceAll(SERVICE_UNIT, {{"@COMMAND@", command}});
  auto timer = absl::StrReplaceAll(
      TIMER_UNIT, {{"@EVERY@", every}, {"@ACCURACY@", *seconds <= 60 ? "1s" : "15s"}});
  for (auto& [name, text] : {std::pair(SERVICE, service), std::pair(TIMER, timer)}) {
    auto path = absl::StrCat(unitDirectory(), "/", name);
    auto status = writeUnit(path, text);
    if (!status.ok()) return printError(std::string(status.message())), EXIT_FAILED;
    printf("wrote %s\n", escapeForTerminal(path).c_str());
  }
  auto problem = systemctl({"daemon-reload"});
  if (problem.empty()) problem = systemctl({"enable", "--now", TIMER});
  if (!problem.empty()) {
    printError(absl::StrCat(
        "the units are in place, but systemd did not start the timer: ", escapeForTerminal(problem),
        ". Log in as this user (not with su or sudo) and run 'systemctl --user daemon-reload && "
        "systemctl --user enable --now ",
        TIMER, "'; or use cron: 'crontab -e', and the line ", cronFields(*seconds), " ",
        escapeForTerminal(shellQuote(thisProgram())), " sync run", arguments.due ? " --due" : "",
        file.empty() ? "" : " -c " + escapeForTerminal(shellQuote(file)),
        " --quiet --log ~/.pi-brain/logs/sync.log"));
    return EXIT_FAILED;
  }
  printf(
      "the timer runs: 'systemctl --user list-timers' shows when, 'journalctl --user -u %s' what "
      "happened\n",
      SERVICE);
  if (!lingers()) {
    printf(
        "It rests while you are logged out. To have it run then too: 'loginctl enable-linger'\n");
  }
  return EXIT_GOOD;
}

int syncUninstallTimer() {
  auto problem = systemctl({"disable", "--now", TIMER});
  bool removed = false;
  for (auto* name : {TIMER, SERVICE}) {
    auto path = absl::StrCat(unitDirectory(), "/", name);
    if (unlink(path.c_str()) == 0) {
      printf("removed %s\n", escapeForTerminal(path).c_str());
      removed = true;
    } else if (errno != ENOENT) {
      printError(absl::StrCat("cannot remove ", escapeForTerminal(path), ": ", strerror(errno)));
      return EXIT_FAILED;
    }
  }
  if (!removed)
    return printf("there is no timer in %s\n", escapeForTerminal(unitDirectory()).c_str()),
           EXIT_GOOD;
  if (problem.empty()) problem = systemctl({"daemon-reload"});
  if (!problem.empty()) {
    printError(absl::StrCat(
        "the units are gone, but systemd could not be told: ", escapeForTerminal(problem),
        ". A timer that still runs ends with 'systemctl --user stop ", TIMER, "'"));
    return EXIT_FAILED;
  }
  return EXIT_GOOD;
}

}  // namespace

void addTimer(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<InstallTimerArguments>();
  auto* command =
      sync.add_subcommand("install-timer", "Have systemd start a run now and then, for this user");
  addConfig(command, options->config);
  command
      ->add_option("--every", options->every,
                   "How often: 15min, 2h, 1d (default 15min; with --due, 1min)")
      ->type_name("SPAN");
  command->add_flag("--due", options->due, "Run only the spokes whose schedule has come due");
  command->callback([options, &exitCode]() { exitCode = syncInstallTimer(*options); });
  sync.add_subcommand("uninstall-timer", "Remove what install-timer put there")
      ->callback([&exitCode]() { exitCode = syncUninstallTimer(); });
}

}  // namespace pibrain
