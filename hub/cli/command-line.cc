#include "hub/cli/command-line.h"

#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/cli/usage-errors.h"

namespace pibrain {

namespace {

constexpr char FIRST_STEPS[] =
    "First steps:\n  pi-brain spoke add laptop user@laptop   add a machine that you can log in "
    "to\n  pi-brain sync run                       fetch its sessions\n  pi-brain sync status      "
    "              show what was synced";

constexpr std::string_view JSON = "--json";

// Prints the help of the named command, or of the program. Throws Failure if there is none.
int showHelp(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  std::string above;
  for (auto& word : words) {
    auto below = command->get_subcommands([&](auto* one) { return one->get_name() == word; });
    if (below.empty()) {
      throw explainUnknownCommand(*command, word);
    }
    absl::StrAppend(&above, above.empty() ? "" : " ", command->get_name());
    command = below[0];
  }
  // Not command->help(), which would show the help of the parsed command, 'help' itself.
  auto name = absl::StrCat(above, above.empty() ? "" : " ", command->get_name());
  auto text = command->get_formatter()->make_help(command, name, CLI::AppFormatMode::Normal);
  fputs(text.c_str(), stdout);
  return EXIT_GOOD;
}

void addHelp(CLI::App& app, int& exitCode) {
  auto words = std::make_shared<std::vector<std::string>>();
  auto* help = app.add_subcommand("help", "Show the help of a command");
  help->add_option("COMMAND", *words, "For example: sync run")->type_name("");
  setAction(help, exitCode, [&app, words]() { return showHelp(app, *words); });
  app.add_subcommand("version", "Show the version")->callback([]() {
    puts("pi-brain " PIBRAIN_VERSION);
  });
}

}  // namespace

int runCommandLine(int argc, char** argv) {
  CLI::App app("pi-brain: mirrors the pi sessions of all your machines to one", "pi-brain");
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("-V,--version", "pi-brain " PIBRAIN_VERSION, "Show the version");
  auto words = app.get_formatter();
  words->label("Positionals", "Arguments");
  words->label("SUBCOMMAND", "COMMAND");
  words->label("SUBCOMMANDS", "COMMANDS");
  words->label("Excludes", "Not with");
  words->label("REQUIRED", "");
  app.group("Commands");  // the heading above its subcommands
  app.require_subcommand(1);
  auto& sync = *app.add_subcommand("sync", "Mirror sessions from other machines (spokes)");
  sync.require_subcommand(1);
  auto& spoke = *app.add_subcommand("spoke", "Set up the machines that sessions come from");
  spoke.require_subcommand(1);
  int exitCode = EXIT_GOOD;
  for (auto* add : {addRun, addStatus, addHistory, addList, addTimer, addArchive, addVerify,
                    addDoctor, addWatch, addFlush}) {
    add(sync, exitCode);
  }
  for (auto* add : {addSpokeAdd, addSpokeUpgrade, addSpokeRotate, addSpokeRename, addSpokeEnable,
                    addSpokeRemove, addSpokeList}) {
    add(spoke, exitCode);
  }
  addDaemon(app, exitCode);
  addHealth(app, exitCode);
  addHelp(app, exitCode);
  for (auto* group : {&app, &sync, &spoke}) addConfigToGroup(*group);
  app.footer(absl::StrCat(FIRST_STEPS, "\n\n", app.get_footer()));
  if (argc < 2) return fputs(app.help().c_str(), stdout), EXIT_GOOD;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11 also throws for help and version, with exit code 0.
    if (e.get_exit_code() == 0) return app.exit(e), EXIT_GOOD;
    bool json = std::any_of(argv, argv + argc, [](auto* word) { return word == JSON; });
    return refuse(explainUsage(app, e), json);
  }
  return exitCode;
}

}  // namespace pibrain
