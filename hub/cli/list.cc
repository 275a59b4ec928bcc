#include <stdio.h>

#include <memory>

#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/report/documents.h"

namespace pibrain {

namespace {

struct ListArguments {
  std::string config;
  std::vector<std::string> spokes;
  bool absolute = false;
  bool names = false;  // print only the names of the spokes
  bool json = false;
};

void printText(const std::vector<SessionsOfSpoke>& all) {
  for (auto& [spoke, sessions] : all) {
    printf("%s (%s): %s\n", spoke->name.c_str(), toString(spoke->method),
           countOf(sessions.size(), "session").c_str());
    for (auto& session : sessions) printf("  %s\n", escapeForTerminal(session).c_str());
  }
}

int syncList(const ListArguments& arguments) {
  auto chosen = loadSelection(arguments.config, arguments.spokes);
  if (chosen == nullptr) return EXIT_USAGE;
  auto& config = chosen->config;
  if (arguments.names) {
    for (auto* spoke : chosen->spokes) puts(spoke->name.c_str());
    return EXIT_GOOD;
  }
  auto all = listSessions(chosen->spokes, arguments.absolute, warn);
  if (arguments.json) {
    puts(sessionListJson(all).c_str());
  } else if (all.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
  } else {
    printText(all);
  }
  return EXIT_GOOD;
}

}  // namespace

void addList(CLI::App& sync, int& exitCode) {
  auto options = std::make_shared<ListArguments>();
  auto* command = sync.add_subcommand("list", "List the sessions in the mirrors");
  addConfig(command, options->config);
  addSpokes(command, options->spokes);
  command->add_flag("-l,--long", options->absolute, "Show full paths");
  auto* json =
      command->add_flag("--json", options->json, "Print one JSON document instead of text");
  command->add_flag("--names", options->names, "Only the names of the spokes")->excludes(json);
  command->callback([options, &exitCode]() { exitCode = syncList(*options); });
}

}  // namespace pibrain
