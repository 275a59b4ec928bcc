#include <absl/strings/str_cat.h>
#include <capnp/message.h>
#include <stdio.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/text/text.h"
#include "hub/cli/commands.h"
#include "hub/cli/support.h"
#include "hub/history/store.h"
#include "hub/report/json.h"
#include "hub/setup/sync-key.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/known-hosts.h"

namespace pibrain {

namespace {

struct Row {
  const SpokeConfig* spoke;
  std::optional<Store::Contact> contact;
  std::string key;          // empty: not known
  std::string fingerprint;  // of it
};

std::vector<Row> rowsOf(const Config& config, Store* store) {
  std::vector<Row> rows;
  for (auto& spoke : config.spokes) {
    Row row{&spoke, std::nullopt, syncKeyPath(spoke), ""};
    if (store != nullptr) row.contact = store->lastContact(spoke.name);
    if (!row.key.empty()) {
      auto blob = inspectKeyFile(row.key).publicBlob;
      if (!blob.empty()) row.fingerprint = fingerprint(blob);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// What an agent says of itself is as long as it likes, and pads every row.
std::string cellOf(const std::string& said) {
  constexpr size_t WIDEST = 60;
  return shorten(escapeForTerminal(said), WIDEST);
}

void printText(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> table{
      {"NAME", "METHOD", "SOURCE", "AGENT", "LAST CONTACT", "SANDBOX", "KEY"}};
  for (auto& row : rows) {
    auto& contact = row.contact;
    table.push_back(
        {row.spoke->name,
         absl::StrCat(toString(row.spoke->method), row.spoke->enabled ? "" : " (disabled)"),
         row.spoke->sourceText.empty() ? "-" : escapeForTerminal(row.spoke->sourceText),
         contact ? cellOf(contact->version) : "-",
         contact ? formatAgo(contact->at, wallClockNanos()) : "never",
         contact ? cellOf(contact->sandbox) : "-",
         row.fingerprint.empty() ? "-" : row.fingerprint});
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

void printSpokesJson(const std::vector<Row>& rows) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<report::SpokeList>().initSpokes(uint32_t(rows.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    auto& row = rows[i];
    list[i].setName(row.spoke->name.c_str());
    list[i].setSyncMethod(toString(row.spoke->method));
    list[i].setSource(toUtf8(row.spoke->sourceText).c_str());
    list[i].setPath(toUtf8(row.spoke->path).c_str());
    list[i].setPathBytes(exactPath(row.spoke->path).c_str());
    list[i].setEnabled(row.spoke->enabled);
    list[i].setVersion(row.contact ? toUtf8(row.contact->version).c_str() : "");
    list[i].setSandbox(row.contact ? toUtf8(row.contact->sandbox).c_str() : "");
    list[i].setLastContact(row.contact ? formatTime(row.contact->at).c_str() : "");
    list[i].setKey(toUtf8(row.key).c_str());
    list[i].setKeyBytes(exactPath(row.key).c_str());
    list[i].setFingerprint(row.fingerprint.c_str());
  }
  printJson(message.getRoot<report::SpokeList>().asReader());
}

}  // namespace

int spokeList(const SpokeListArguments& arguments) {
  auto chosen = chooseSpokes(arguments.config, {});
  if (chosen == nullptr) return EXIT_USAGE;
  auto store = Store::openExisting(chosen->config.hub.databaseDir, warn);
  if (!store.ok()) {
    warn("the history cannot be read: " + std::string(store.status().message()));
  }
  auto rows = rowsOf(chosen->config, store.ok() ? store->get() : nullptr);
  if (arguments.json) {
    printSpokesJson(rows);
  } else if (rows.empty()) {
    fputs(firstSpokeHelp(chosen->config).c_str(), stdout);
  } else {
    printText(rows);
  }
  return EXIT_GOOD;
}

}  // namespace pibrain
