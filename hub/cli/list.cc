#include <stdio.h>

#include "common/text/text.h"
#include "hub/cli/commands.h"
#include "hub/cli/support.h"
#include "hub/mirror/contents.h"
#include "hub/report/documents.h"

namespace pibrain {

namespace {

void printText(const std::vector<SessionsOfSpoke>& all) {
  for (auto& [spoke, sessions] : all) {
    printf("%s (%s): %s\n", spoke->name.c_str(), toString(spoke->method),
           countOf(sessions.size(), "session").c_str());
    for (auto& session : sessions) printf("  %s\n", escapeForTerminal(session).c_str());
  }
}

}  // namespace

int syncList(const ListArguments& arguments) {
  auto chosen = chooseSpokes(arguments.config, arguments.spokes);
  if (chosen == nullptr) return EXIT_USAGE;
  auto& config = chosen->config;
  if (arguments.names) {
    for (auto* spoke : chosen->spokes) puts(spoke->name.c_str());
    return EXIT_GOOD;
  }
  std::vector<SessionsOfSpoke> all;
  for (auto* spoke : chosen->spokes) {
    all.push_back({spoke, contentsOf(spoke->path, warn).sessions});
    if (arguments.absolute) {
      for (auto& session : all.back().sessions) session = spoke->path + "/" + session;
    }
  }
  if (arguments.json) {
    puts(sessionListJson(all).c_str());
  } else if (all.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
  } else {
    printText(all);
  }
  return EXIT_GOOD;
}

}  // namespace pibrain
