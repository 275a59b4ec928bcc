#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "hub/base/own-command.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/daemon/place.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/report/documents.h"
#include "hub/run/doctor.h"
#include "hub/setup/timer.h"
#include "hub/view/diagnosis-display.h"

namespace pibrain {

namespace {

void checkSchedulers(const Config& config, Checklist& checks) {
  auto daemon = findDaemon(config.hub.databaseDir);
  if (!daemon) return;
  checks.at("daemon");
  if (timerIsInstalled()) {
    return checks.warn(Failure(FailureId::TIMER_NOT_NEEDED,
                               "the daemon keeps the mirrors up to date, and the timer starts runs "
                               "all the same",
                               "", {{"Remove the timer", ownCommand("sync uninstall-timer")}}));
  }
  checks.good(absl::StrCat("runs, as process ", daemon->pid));
}

}  // namespace

int syncDoctor(const DoctorArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  auto& config = chosen->config;
  std::vector<std::string> names{"This machine"};
  for (auto* spoke : chosen->spokes) names.push_back(spoke->name);
  std::optional<DiagnosisDisplay> display;
  if (!arguments.json) display.emplace(names);
  auto checked = [&](size_t machine, const Check& check) {
    if (display) display->add(machine, check);
  };
  auto ended = [&](size_t machine) {
    if (display) display->end(machine);
  };
  Diagnosis hub;
  Checklist checks(hub, [&](const Check& check) { checked(0, check); });
  examineHub(config, chosen->spokes, checks);
  checkSchedulers(config, checks);
  auto store = openHistory(config, checks);
  ended(0);
  auto spokes = examineSpokes(config, chosen->spokes, arguments.passphrases, store.get(),
                              {[&](size_t spoke, const Check& check) { checked(spoke + 1, check); },
                               [&](size_t spoke) { ended(spoke + 1); }});
  bool failed = hub.failed() || std::any_of(spokes.begin(), spokes.end(),
                                            [](auto& spoke) { return spoke.failed(); });
  if (arguments.json) {
    puts(doctorJson(hub, spokes, !failed).c_str());
  } else if (spokes.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
  }
  return failed ? EXIT_FAILED : EXIT_GOOD;
}

namespace {

void addTo(CLI::App* command, int& exitCode) {
  auto options = std::make_shared<DoctorArguments>();
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return syncDoctor(*options); });
}

constexpr char DOCTOR[] = "Check the connection to each spoke, and explain what is wrong";

}  // namespace

void addDoctor(CLI::App& sync, int& exitCode) {
  addTo(sync.add_subcommand("doctor", DOCTOR), exitCode);
}

void addHealth(CLI::App& app, int& exitCode) {
  addTo(app.add_subcommand("health", "The same as 'sync doctor'"), exitCode);
}

}  // namespace pibrain
