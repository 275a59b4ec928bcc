#include "hub/cli/command-line.h"

#include <stdio.h>

#include <CLI/CLI.hpp>
#include <string>

#include "common/text/escape.h"
#include "hub/cli/commands.h"

namespace pibrain {

namespace {

// Commands of the pi-brain that reads the sessions, which people know by the same name.
bool isOfTheOtherProgram(const std::string& command) {
  return command == "daemon" || command == "query";
}

// What is wrong with a command that is not one; empty if the parser says it better.
std::string explainUnknown(const CLI::App& app, const CLI::App& group, const CLI::ParseError& e) {
  auto unknown = group.remaining();
  if (unknown.empty()) return "";
  if (&group == &app && isOfTheOtherProgram(unknown[0])) {
    return "'" + unknown[0] +
           "' is a command of pi-brain's analysis, which is another program; this one syncs: "
           "'pi-brain sync --help'.";
  }
  if (e.get_name() != "RequiredError" || unknown[0].starts_with('-')) return "";
  auto prefix = &group == &app ? "" : group.get_name() + " ";
  return "there is no command '" + prefix + escapeForTerminal(unknown[0]) + "'. 'pi-brain " +
         prefix + "--help' lists what there is.";
}

}  // namespace

int runCommandLine(int argc, char** argv) {
  CLI::App app("pi-brain: keeps the pi sessions of all your machines on one");
  app.set_version_flag("--version", "pi-brain " PIBRAIN_VERSION);
  app.footer(
      "A PATH may be given as bytes:…, percent-encoded, as JSON has those that are no UTF-8.");
  app.require_subcommand(1);
  auto& sync = *app.add_subcommand("sync", "Mirror sessions from other machines (spokes)");
  sync.require_subcommand(1);
  auto& spoke = *app.add_subcommand("spoke", "Set up the machines that sessions come from");
  spoke.require_subcommand(1);
  int exitCode = EXIT_GOOD;
  for (auto* add :
       {addRun, addStatus, addHistory, addList, addTimer, addArchive, addVerify, addDoctor}) {
    add(sync, exitCode);
  }
  for (auto* add : {addSpokeAdd, addSpokeUpgrade, addSpokeRotate, addSpokeRemove, addSpokeList}) {
    add(spoke, exitCode);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    auto& group = sync.parsed() ? sync : spoke.parsed() ? spoke : app;
    auto why = explainUnknown(app, group, e);
    if (why.empty()) return app.exit(e) == 0 ? EXIT_GOOD : EXIT_USAGE;
    fprintf(stderr, "pi-brain: %s\n", why.c_str());
    return EXIT_USAGE;
  }
  return exitCode;
}

}  // namespace pibrain
