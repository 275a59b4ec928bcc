#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <algorithm>

#include <memory>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/cli/commands.h"
#include "hub/cli/options.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/report/documents.h"
#include "hub/setup/spoke-rows.h"

namespace pibrain {

namespace {

struct SpokeListArguments {
  std::string config;
  bool json = false;
};

// Shortens what an agent says of itself, since a long text would pad every row.
std::string cellOf(const std::string& said) {
  constexpr size_t WIDEST = 60;
  if (said.empty()) return "-";
  return elideMiddle(escapeForTerminal(said), WIDEST);
}

void printText(const std::vector<SpokeRow>& rows) {
  std::vector<std::vector<std::string>> table{
      {"NAME", "METHOD", "SOURCE", "AGENT", "LAST CONTACT", "SANDBOX", "KEY"}};
  for (auto& row : rows) {
    auto& contact = row.contact;
    table.push_back(
        {row.spoke->name,
         absl::StrCat(toString(row.spoke->method), row.spoke->enabled ? "" : " (disabled)"),
         row.spoke->sourceText.empty() ? "-" : escapeForTerminal(row.spoke->sourceText),
         contact ? cellOf(contact->version) : "-",
         contact                                      ? formatAgo(contact->at, wallClockNanos())
         : row.spoke->method == SyncMethod::SYNCTHING ? "-"
                                                      : "never",
         contact ? cellOf(contact->sandbox) : "-",
         row.keyProblem            ? row.key + " " + *row.keyProblem
         : row.fingerprint.empty() ? "-"
                                   : row.fingerprint});
  }
  std::vector<size_t> widths(table[0].size());
  for (auto& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  for (auto& cells : table) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      line += cells[i];
      if (i + 1 < cells.size()) line.append(widths[i] - cells[i].size() + 2, ' ');
    }
    puts(line.c_str());
  }
}

int spokeList(const SpokeListArguments& arguments) {
  auto chosen = loadSelection(arguments.config, {});
  auto store = Store::openExisting(chosen->config.hub.databaseDir, warn);
  if (!store.ok()) {
    warn("the history cannot be read: " + std::string(store.status().message()));
  }
  auto rows = spokeRows(chosen->config, store.ok() ? store->get() : nullptr);
  if (arguments.json) {
    puts(spokeListJson(rows).c_str());
  } else if (rows.empty()) {
    fputs(firstSpokeHelp(chosen->config).c_str(), stdout);
  } else {
    printText(rows);
  }
  return EXIT_GOOD;
}

}  // namespace

void addSpokeList(CLI::App& spoke, int& exitCode) {
  auto options = std::make_shared<SpokeListArguments>();
  auto* command = spoke.add_subcommand(
      "list", "List the spokes with agent version, sandbox, last contact and key");
  addConfig(command, options->config);
  addJson(command, options->json);
  setAction(command, exitCode, [options]() { return spokeList(*options); });
}

}  // namespace pibrain
