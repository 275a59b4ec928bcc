#include <capnp/message.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "hub/base/parallel.h"
#include "hub/cli/commands.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/report/json.h"
#include "hub/run/doctor.h"
#include "hub/view/style.h"

namespace pibrain {

namespace {

constexpr size_t JOBS = 8;

Sign signOf(CheckState state) {
  switch (state) {
    case CheckState::GOOD:
      return Sign::GOOD;
    case CheckState::WARNING:
      return Sign::WARNING;
    case CheckState::FAILED:
      return Sign::BAD;
    case CheckState::SKIPPED:
      break;
  }
  return Sign::SKIPPED;
}

void printExamination(const Examination& examination) {
  auto style = styleOfOutput();
  printf("%s\n", examination.name.empty() ? "This machine" : examination.name.c_str());
  for (auto& check : examination.checks) {
    printf("  %s %-11s %s\n", style.sign(signOf(check.state)).c_str(), check.step.c_str(),
           style.plain(check.detail).c_str());
  }
}

void fillChecks(const std::vector<Check>& checks, capnp::List<report::Doctor::Check>::Builder out) {
  for (uint32_t i = 0; i < out.size(); ++i) {
    out[i].setStep(checks[i].step.c_str());
    out[i].setState(toString(checks[i].state));
    out[i].setDetail(toUtf8(checks[i].detail).c_str());
  }
}

void printDoctorJson(const Examination& hub, const std::vector<Examination>& spokes, bool ok) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::Doctor>();
  out.setOk(ok);
  fillChecks(hub.checks, out.initHub(uint32_t(hub.checks.size())));
  auto list = out.initSpokes(uint32_t(spokes.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    list[i].setName(spokes[i].name.c_str());
    auto& checks = spokes[i].checks;
    fillChecks(checks, list[i].initChecks(uint32_t(checks.size())));
  }
  printJson(out.asReader());
}

// The history, if there is one: looking makes none.
std::unique_ptr<Store> openHistory(const Config& config, Examination& hub) {
  auto path = config.hub.databaseDir + "/sync.db";
  auto store = Store::openExisting(config.hub.databaseDir, [&](const std::string& message) {
    hub.checks.push_back({"history", CheckState::WARNING, message});
  });
  if (store.ok() && *store == nullptr) {
    hub.checks.push_back({"history", CheckState::GOOD, "none yet"});
    return nullptr;
  }
  if (!store.ok()) {
    bool ours = access(path.c_str(), R_OK | W_OK) == 0;
    std::string cure = ours ? "; move it away, and the next run makes a new one" : "";
    hub.checks.push_back({"history", CheckState::WARNING,
                          path + " cannot be used: " + std::string(store.status().message()) +
                              ". Runs work without it, but are not recorded" + cure});
    return nullptr;
  }
  if (hub.checks.back().step != "history") {
    hub.checks.push_back({"history", CheckState::GOOD, path});
  }
  return std::move(*store);
}

}  // namespace

int syncDoctor(const DoctorArguments& arguments) {
  auto chosen = chooseSpokes(arguments.config, arguments.spokes);
  if (chosen == nullptr) return EXIT_USAGE;
  auto& config = chosen->config;

  initLibraries();
  auto hub = examineHub(config, chosen->spokes);
  auto store = openHistory(config, hub);
  std::vector<Examination> spokes(chosen->spokes.size());
  forEachInParallel(spokes.size(), JOBS, [&](size_t i) {
    spokes[i] = examineSpoke(config, *chosen->spokes[i], store.get());
  });
  bool failed = hub.failed() || std::any_of(spokes.begin(), spokes.end(),
                                            [](auto& spoke) { return spoke.failed(); });
  if (arguments.json) {
    printDoctorJson(hub, spokes, !failed);
  } else {
    printExamination(hub);
    for (auto& spoke : spokes) printExamination(spoke);
    if (spokes.empty()) fputs(firstSpokeHelp(config).c_str(), stdout);
  }
  return failed ? EXIT_FAILED : EXIT_GOOD;
}

}  // namespace pibrain
