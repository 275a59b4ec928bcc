#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <capnp/message.h>
#include <stdio.h>

#include "common/text/text.h"
#include "hub/cli/commands.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/report/json.h"
#include "hub/view/run-text.h"
#include "hub/view/style.h"

namespace pibrain {

namespace {

void printText(const std::vector<SpokeReport>& runs) {
  auto style = styleOfOutput();
  for (auto& run : runs) {
    bool good = run.outcome == Outcome::OK;
    auto what =
        good ? absl::StrCat(summarize(run, false), "; ", formatBytes(run.wire.up + run.wire.down),
                            " on the wire, ", absl::StrFormat("%.1f s", secondsOf(run)))
             : run.error;
    printf("%s  %s %s: %s\n", formatTime(run.started).c_str(),
           style.sign(good ? Sign::GOOD : Sign::BAD).c_str(), run.name.c_str(),
           style.plain(what).c_str());
  }
}

void printHistoryJson(const std::vector<SpokeReport>& runs) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<report::History>().initRuns(uint32_t(runs.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    auto& run = runs[i];
    auto out = list[i];
    out.setSpoke(run.name.c_str());
    out.setStarted(formatTime(run.started).c_str());
    out.setFinished(formatTime(run.finished).c_str());
    out.setOk(run.outcome == Outcome::OK);
    out.setError(toUtf8(run.error).c_str());
    fillCounts(run.counts, out.initCounts());
    out.setSeconds(secondsOf(run));
    out.setBytesGrown(double(run.bytesGrown));
    out.setBytesLiteral(double(run.bytesLiteral));
    out.setWireUp(double(run.wire.up));
    out.setWireDown(double(run.wire.down));
  }
  printJson(message.getRoot<report::History>().asReader());
}

}  // namespace

int syncHistory(const HistoryArguments& arguments) {
  auto chosen = chooseSpokes(arguments.config, arguments.spokes);
  if (chosen == nullptr) return EXIT_USAGE;
  auto& config = chosen->config;
  auto store = Store::openExisting(config.hub.databaseDir, warn);
  absl::StatusOr<std::vector<SpokeReport>> runs = std::vector<SpokeReport>();
  if (!store.ok()) {
    runs = store.status();
  } else if (*store != nullptr) {
    runs = (*store)->history(arguments.spokes, arguments.limit);
  }
  if (!runs.ok()) {
    complain("the history cannot be read: " + std::string(runs.status().message()));
    return EXIT_FAILED;
  }
  if (arguments.json) {
    printHistoryJson(*runs);
  } else if (runs->empty()) {
    printf("No runs yet: 'pi-brain sync run' makes one.\n");
  } else {
    printText(*runs);
  }
  return EXIT_GOOD;
}

}  // namespace pibrain
