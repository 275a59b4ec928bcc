#include <capnp/message.h>
#include <stdio.h>

#include "common/text/text.h"
#include "hub/cli/commands.h"
#include "hub/cli/support.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

struct Listed {
  const SpokeConfig* spoke;
  std::vector<std::string> sessions;
};

void printText(const std::vector<Listed>& all) {
  for (auto& [spoke, sessions] : all) {
    printf("%s (%s): %s\n", spoke->name.c_str(), toString(spoke->method),
           countOf(sessions.size(), "session").c_str());
    for (auto& session : sessions) printf("  %s\n", escapeForTerminal(session).c_str());
  }
}

void printListJson(const std::vector<Listed>& all) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::SessionList>().initSpokes(uint32_t(all.size()));
  for (uint32_t i = 0; i < out.size(); ++i) {
    out[i].setName(all[i].spoke->name.c_str());
    out[i].setSyncMethod(toString(all[i].spoke->method));
    out[i].setPath(toUtf8(all[i].spoke->path).c_str());
    out[i].setPathBytes(exactPath(all[i].spoke->path).c_str());
    auto sessions = out[i].initSessions(uint32_t(all[i].sessions.size()));
    auto exact = out[i].initSessionsBytes(sessions.size());
    for (uint32_t k = 0; k < sessions.size(); ++k) {
      sessions.set(k, toUtf8(all[i].sessions[k]).c_str());
      exact.set(k, exactPath(all[i].sessions[k]).c_str());
    }
  }
  printJson(message.getRoot<report::SessionList>().asReader());
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
  std::vector<Listed> all;
  for (auto* spoke : chosen->spokes) {
    all.push_back({spoke, contentsOf(spoke->path).sessions});
    if (arguments.absolute) {
      for (auto& session : all.back().sessions) session = spoke->path + "/" + session;
    }
  }
  if (arguments.json) {
    printListJson(all);
  } else if (all.empty()) {
    fputs(firstSpokeHelp(config).c_str(), stdout);
  } else {
    printText(all);
  }
  return EXIT_GOOD;
}

}  // namespace pibrain
