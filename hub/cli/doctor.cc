#include <absl/strings/str_format.h>
#include <stdio.h>

#include <algorithm>
#include <memory>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/report/documents.h"
#include "hub/run/doctor.h"
#include "hub/view/failure-text.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

namespace {

Mark markOf(CheckState state) {
  switch (state) {
    case CheckState::GOOD:
      return Mark::GOOD;
    case CheckState::WARNING:
      return Mark::WARNING;
    case CheckState::FAILED:
      return Mark::BAD;
    case CheckState::SKIPPED:
      break;
  }
  return Mark::SKIPPED;
}

void printDiagnosis(const Diagnosis& diagnosis) {
  auto style = styleOfOutput();
  printf("%s\n", diagnosis.name.empty() ? "This machine" : diagnosis.name.c_str());
  for (auto& check : diagnosis.checks) {
    if (check.failure) {
      auto start = absl::StrFormat("  %s %-11s ", style.mark(markOf(check.state)), check.step);
      fputs(style.plain(failureText(start, *check.failure, style)).c_str(), stdout);
      continue;
    }
    printf("  %s %-11s %s\n", style.mark(markOf(check.state)).c_str(), check.step.c_str(),
           style.plain(check.detail).c_str());
  }
}

}  // namespace

int syncDoctor(const DoctorArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  if (chosen == nullptr) return EXIT_USAGE;
  auto& config = chosen->config;
  auto hub = examineHub(config, chosen->spokes);
  auto store = openHistory(config, hub);
  auto spokes = examineSpokes(config, chosen->spokes, arguments.passphrases, store.get());
  bool failed = hub.failed() || std::any_of(spokes.begin(), spokes.end(),
                                            [](auto& spoke) { return spoke.failed(); });
  if (arguments.json) {
    puts(doctorJson(hub, spokes, !failed).c_str());
  } else {
    printDiagnosis(hub);
    for (auto& spoke : spokes) printDiagnosis(spoke);
    if (spokes.empty()) fputs(firstSpokeHelp(config).c_str(), stdout);
  }
  return failed ? EXIT_FAILED : EXIT_GOOD;
}

namespace {

void addTo(CLI::App* command, int& exitCode) {
  auto options = std::make_shared<DoctorArguments>();
  addConfig(command, options->config);
  addSpokesByName(command, options->spokes);
  command->add_flag("--json", options->json, "Print one JSON document instead of text");
  command->callback([options, &exitCode]() { exitCode = syncDoctor(*options); });
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
