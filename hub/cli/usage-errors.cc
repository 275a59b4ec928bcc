#include "hub/cli/usage-errors.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/config/spelling.h"

namespace pibrain {

namespace {

// Returns whether the word is a command of the other program called pi-brain, which analyses
// sessions.
bool isOfTheOtherProgram(const std::string& word) { return word == "query"; }

// Returns the command that the known words lead to.
const CLI::App& reached(const CLI::App& app) {
  auto parsed = app.get_subcommands();
  return parsed.empty() ? app : reached(*parsed.back());
}

// Returns "pi-brain sync run".
std::string fullName(const CLI::App& command) {
  if (command.get_parent() == nullptr) return "pi-brain";
  return absl::StrCat(fullName(*command.get_parent()), " ", command.get_name());
}

Fix seeHelp(const CLI::App& command) {
  return {"See the commands and options", fullName(command) + " --help"};
}

Failure mistake(const CLI::App& command, std::string what, std::string cause = "") {
  return Failure(FailureId::USAGE, std::move(what), std::move(cause), {seeHelp(command)});
}

// `fix`: what was probably meant.
Failure mistake(const CLI::App& command, std::string what, const std::optional<Fix>& fix) {
  if (!fix) return mistake(command, std::move(what));
  return Failure(FailureId::USAGE, std::move(what), "", {*fix, seeHelp(command)});
}

// Collects all commands of the program.
void collect(const CLI::App& command, std::vector<const CLI::App*>& all) {
  for (auto* below : command.get_subcommands([](const CLI::App*) { return true; })) {
    all.push_back(below);
    collect(*below, all);
  }
}

const CLI::App& rootOf(const CLI::App& command) {
  return command.get_parent() == nullptr ? command : rootOf(*command.get_parent());
}

// Returns what people type who know other programs.
std::string usualNameOf(const std::string& word) {
  static const std::map<std::string, std::string> NAMES = {
      {"create", "add"}, {"del", "remove"},     {"delete", "remove"}, {"ls", "list"},
      {"mv", "rename"},  {"new", "add"},        {"pull", "run"},      {"rm", "remove"},
      {"show", "list"},  {"update", "upgrade"},
  };
  auto found = NAMES.find(word);
  return found == NAMES.end() ? word : found->second;
}

// Returns a command with that name in another group, or one with a similar name or with the word in
// its name, preferably in this group; empty: none.
std::string commandMeant(const CLI::App& at, const std::string& typed) {
  auto word = usualNameOf(typed);
  std::vector<const CLI::App*> all;
  collect(rootOf(at), all);
  std::stable_partition(all.begin(), all.end(),
                        [&](auto* command) { return command->get_parent() == &at; });
  for (auto* command : all) {
    if (command->get_name() == word) return fullName(*command);
  }
  for (auto* command : all) {
    auto& name = command->get_name();
    bool part = word.size() >= 3 && absl::StrContains(name, word);
    if (part || isLike(word, name)) return fullName(*command);
  }
  return "";
}

// Returns "run, status and doctor".
std::string commandsOf(const CLI::App& group) {
  std::vector<std::string> names;
  for (auto* command : group.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  auto last = names.back();
  names.pop_back();
  return names.empty() ? last : absl::StrCat(absl::StrJoin(names, ", "), " and ", last);
}

// `rest`: what follows the word on the command line.
Failure unknownCommandIn(const CLI::App& at, const std::string& word,
                         const std::vector<std::string>& rest = {}) {
  auto name = escapeForTerminal(word);
  if (at.get_parent() == nullptr && isOfTheOtherProgram(word)) {
    return Failure(FailureId::USAGE,
                   absl::StrCat("'", name, "' is a command of another program called pi-brain"),
                   "That one analyses sessions, and this one syncs them.",
                   {{"See the commands of this one", "pi-brain sync --help"}});
  }
  auto prefix = at.get_parent() == nullptr ? "" : fullName(at).substr(9) + " ";
  auto what = absl::StrCat("there is no command '", prefix, name, "'");
  auto meant = commandMeant(at, word);
  if (meant.empty())
    return mistake(at, what, absl::StrCat("The commands are ", commandsOf(at), "."));
  for (auto& more : rest) absl::StrAppend(&meant, " ", escapeForTerminal(shellQuote(more)));
  return mistake(at, what, Fix{"Use this command", meant});
}

// Returns an option with a similar name; empty: none.
std::string optionMeant(const CLI::App& command, const std::string& word) {
  auto bare = word.substr(0, word.find('='));
  for (auto* option : command.get_options()) {
    for (auto& name : option->get_lnames()) {
      if (isLike(bare, "--" + name)) return "--" + name;
    }
  }
  return "";
}

Failure unknownWord(const CLI::App& command, const std::string& word) {
  auto shown = escapeForTerminal(word);
  if (word.starts_with('-')) {
    auto meant = optionMeant(command, word);
    return mistake(command, absl::StrCat("'", fullName(command), "' has no option '", shown, "'"),
                   meant.empty() ? std::nullopt : std::optional<Fix>({"Use " + meant, ""}));
  }
  return mistake(command,
                 absl::StrCat("'", fullName(command), "' takes no argument '", shown, "'"));
}

// CLI11 names the option only in its message, whose form depends on the kind of error:
// "--jobs: 1 required N missing" begins with the option's name.
std::string optionOf(const std::string& message) { return message.substr(0, message.find(':')); }

std::string afterOption(const std::string& message) {
  auto colon = message.find(": ");
  return colon == std::string::npos ? message : message.substr(colon + 2);
}

}  // namespace

Failure explainUnknownCommand(const CLI::App& group, const std::string& word) {
  return unknownCommandIn(group, word);
}

Failure explainUsage(const CLI::App& app, const CLI::ParseError& error) {
  auto& command = reached(app);
  auto words = command.remaining();
  auto kind = error.get_name();
  std::string message = error.what();
  bool isGroup = !command.get_subcommands([](const CLI::App*) { return true; }).empty();
  if (isGroup && !words.empty() && !words[0].starts_with('-')) {
    return unknownCommandIn(command, words[0], {words.begin() + 1, words.end()});
  }
  if (!words.empty()) return unknownWord(command, words[0]);
  if (isGroup) {
    return mistake(command, absl::StrCat("'", fullName(command), "' needs a command"),
                   absl::StrCat("Its commands are ", commandsOf(command), "."));
  }
  if (kind == "ArgumentMismatch") {
    auto* option = command.get_option_no_throw(optionOf(message));
    bool twice = option != nullptr && option->count() > 1;
    return mistake(command, optionOf(message) + (twice ? " is given twice" : " needs a value"));
  }
  if (kind == "ConversionError") {
    auto at = message.rfind("--");
    return mistake(command,
                   (at == message.npos ? "a value" : message.substr(at)) + " is not a number");
  }
  if (kind == "ExcludesError") {
    auto space = message.find(" excludes ");
    return mistake(command, absl::StrCat(message.substr(0, space), " and ",
                                         message.substr(space + 10), " cannot be used together"));
  }
  if (kind == "RequiredError") {
    auto name = message.substr(0, message.find(' '));
    auto* option = command.get_option_no_throw(name);
    auto about = option == nullptr ? "" : absl::StrCat(" (", option->get_description(), ")");
    return mistake(command, absl::StrCat(name, " is missing", about));
  }
  if (kind == "ValidationError") {
    return mistake(command,
                   absl::StrCat(optionOf(message), " ", escapeForTerminal(afterOption(message))));
  }
  return mistake(command, withoutFullStop(escapeForTerminal(message)));
}

}  // namespace pibrain
