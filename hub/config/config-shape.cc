#include "hub/config/config-shape.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <stdio.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "common/text/escape.h"
#include "common/text/utf8.h"
#include "hub/config/config-fields.h"
#include "hub/config/spelling.h"

namespace pibrain {

namespace {

constexpr char TO_THE_LEFT[] = "Begin 'spokes:' at the left margin";

std::string nameOf(const YAML::Node& key) { return key.IsScalar() ? key.Scalar() : std::string(); }

ShapeMistake mistakeAt(const YAML::Node& key, std::string what, std::string fix) {
  return {key.Mark().line + 1, std::move(what), std::move(fix), true};
}

bool anyOf(const YAML::Node& node, bool (*wanted)(const YAML::Node&)) {
  for (auto entry : node) {
    if (wanted(node.IsMap() ? entry.second : entry)) return true;
  }
  return false;
}

size_t countFields(const YAML::Node& node, std::initializer_list<std::string_view> fields) {
  if (!node.IsMap()) return 0;
  return size_t(std::count_if(node.begin(), node.end(), [&](auto entry) {
    return std::find(fields.begin(), fields.end(), nameOf(entry.first)) != fields.end();
  }));
}

// Only spokes have a sync_method.
bool isSpoke(const YAML::Node& node) {
  return node.IsMap() && std::any_of(node.begin(), node.end(), [](auto entry) {
           return editDistance(nameOf(entry.first), "sync_method") <= 2;
         });
}

// Weaker evidence, which is enough in a section with nearly the right name.
bool mayBeSpoke(const YAML::Node& node) {
  return isSpoke(node) || countFields(node, {"name", "source", "path"}) >= 2;
}

// Returns whether it has all that a spoke has except its sync_method. A list of these may belong to
// another program.
bool looksLikeSpoke(const YAML::Node& node) {
  return countFields(node, {"name", "source", "path"}) == 3;
}

// Returns whether it is a list of spokes, or a mapping from names to spokes.
bool areSpokes(const YAML::Node& node) { return anyOf(node, isSpoke); }
bool mayBeSpokes(const YAML::Node& node) { return mayBeSpoke(node) || anyOf(node, mayBeSpoke); }

// Returns the single word of a name in lower case, without what surrounds it: "Spokes", "spokes -",
// or one after an invisible character. Empty if the name has more words, as "spoke_defaults" does.
std::string wordOf(const std::string& name) {
  auto isLetter = [](char c) { return absl::ascii_isalpha(uint8_t(c)); };
  auto isFront = [](char c) {
    return uint8_t(c) >= 0x80 || std::string_view(" \"'-?").find(c) != std::string_view::npos;
  };
  auto begin = std::find_if_not(name.begin(), name.end(), isFront);
  auto end = std::find_if_not(begin, name.end(), isLetter);
  bool more = end != name.end() && (absl::ascii_isalnum(uint8_t(*end)) ||
                                    std::string_view("_./-").find(*end) != std::string_view::npos);
  return more ? "" : absl::AsciiStrToLower(std::string(begin, end));
}

bool isCalledSpokes(const YAML::Node& key) {
  return editDistance(wordOf(nameOf(key)), "spokes") <= 1;
}

std::optional<ShapeMistake> checkName(const YAML::Node& key, const YAML::Node& value,
                                      bool hasSpokes) {
  auto word = wordOf(nameOf(key));
  auto distance = editDistance(word, "spokes");
  if (distance > 2) return std::nullopt;
  auto mistake = mistakeAt(key, absl::StrCat("the section ", inQuotes(nameOf(key)), " is not read"),
                           "If it is the list of spokes, call it 'spokes'");
  bool ours = distance <= 1 && !hasSpokes ? mayBeSpokes(value) : isSpoke(value) || areSpokes(value);
  bool list = distance <= 1 && (distance == 0 || value.IsSequence() || value.IsNull());
  if (ours || (list && !hasSpokes)) return mistake;
  if (distance > 1 || hasSpokes) return std::nullopt;
  mistake.certain = false;
  return mistake;
}

bool isFieldOfHub(const std::string& name) {
  auto fields = fieldsOf(ConfigSection::HUB);
  return std::any_of(fields.begin(), fields.end(), [&](auto& field) { return field.name == name; });
}

std::optional<ShapeMistake> checkHubName(const YAML::Node& key, const YAML::Node& value) {
  auto distance = editDistance(wordOf(nameOf(key)), "hub");
  bool ours = value.IsMap() && std::any_of(value.begin(), value.end(), [](auto entry) {
                return isFieldOfHub(nameOf(entry.first));
              });
  if (distance > 0 && !(distance == 1 && ours)) return std::nullopt;
  return mistakeAt(key, absl::StrCat("the section ", inQuotes(nameOf(key)), " is not read"),
                   "If it is about the hub, call it 'hub'");
}

// Finds lines at the left margin that belong beneath the line above.
std::optional<ShapeMistake> checkMargin(const YAML::Node& root, const YAML::Node& key,
                                        const YAML::Node& value) {
  auto name = nameOf(key);
  if (name.starts_with('-')) {
    return mistakeAt(key, "a '-' that begins an entry needs a space after it", "Write '- name: …'");
  }
  if (isOddBlank(firstCharacter(name).code)) {
    return mistakeAt(key, "this line begins with an invisible character", "Remove it");
  }
  if (value.IsScalar() && editDistance(name, "sync_method") <= 2) {
    return mistakeAt(
        key, inQuotes(name) + " is a field of a spoke, but it is not indented",
        "Begin each spoke with '  - name: …' beneath 'spokes:', and indent its other fields as far "
        "as 'name'");
  }
  bool bare = root["hub"].IsDefined() && root["hub"].IsNull();
  if (bare && value.IsScalar() && isFieldOfHub(name)) {
    return mistakeAt(key, inQuotes(name) + " is a field of 'hub:'", "Indent it by two spaces");
  }
  return std::nullopt;
}

// Looks for a list of spokes in sections that are not read.
class Search {
 public:
  void look(const YAML::Node& key, const YAML::Node& value, const std::string& section,
            int depth = 0) {
    // Aliases can make a small file arbitrarily wide and deep: a section can even contain itself.
    auto cost = 1 + value.size();
    if (cost > left_ || depth > DEEPEST || found) return;
    left_ -= cost;
    bool inside = nameOf(key) != section;
    if (areSpokes(value) || (inside && isCalledSpokes(key) && mayBeSpokes(value))) {
      found = inside ? mistakeAt(key,
                                 absl::StrCat("this list of spokes is beneath ", inQuotes(section),
                                              ", where it is not read"),
                                 TO_THE_LEFT)
                     : mistakeAt(key,
                                 absl::StrCat("the list of spokes beneath ", inQuotes(section),
                                              " is not read"),
                                 "Call it 'spokes', and begin it at the left margin");
    } else if (value.IsMap()) {
      for (auto entry : value) look(entry.first, entry.second, section, depth + 1);
    } else if (value.IsSequence()) {
      for (auto item : value) look(key, item, section, depth + 1);
    }
  }

  std::optional<ShapeMistake> found;

 private:
  static constexpr int DEEPEST = 16;
  size_t left_ = 100'000;  // nodes that may still be visited
};

// Records where documents begin.
struct DocumentStarts : YAML::EventHandler {
  std::vector<int> lines;  // from 0

  void OnDocumentStart(const YAML::Mark& mark) override { lines.push_back(mark.line); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

}  // namespace

std::optional<ShapeMistake> findShapeMistake(const YAML::Node& root) {
  auto spokes = root["spokes"];
  bool hasSpokes =
      spokes.IsDefined() && !spokes.IsNull() && !(spokes.IsSequence() && spokes.size() == 0);
  std::optional<ShapeMistake> doubt;
  Search search;
  for (auto entry : root) {
    auto name = nameOf(entry.first);
    if (name == "spokes") continue;
    if (name != "hub") {
      for (auto& mistake : {checkMargin(root, entry.first, entry.second),
                            checkName(entry.first, entry.second, hasSpokes),
                            checkHubName(entry.first, entry.second)}) {
        if (mistake && mistake->certain) return mistake;
        if (mistake) doubt = mistake;
      }
    }
    if (hasSpokes) continue;
    search.look(entry.first, entry.second, name);
    if (!doubt && entry.second.IsSequence() && anyOf(entry.second, looksLikeSpoke)) {
      doubt = mistakeAt(entry.first,
                        absl::StrCat("the section ", inQuotes(name),
                                     " is not read, but looks like a list of spokes"),
                        "If it is one, call it 'spokes', and give each spoke a sync_method");
      doubt->certain = false;
    }
  }
  return search.found ? search.found : doubt;
}

std::string withMarkerEnded(const std::string& text) {
  auto last = text.substr(text.rfind('\n') + 1);
  return last.starts_with("...") || last.starts_with("---") ? text + '\n' : text;
}

std::optional<ShapeMistake> findSecondDocument(const std::string& text) {
  // Not YAML::LoadAll(), which reads a lone ',' as an endless series of documents.
  std::istringstream input(withMarkerEnded(text));
  YAML::Parser parser(input);
  DocumentStarts starts;
  while (starts.lines.size() < 2 && parser.HandleNextDocument(starts)) {
  }
  if (starts.lines.size() < 2) return std::nullopt;
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  // The line that separates them is above the second one.
  auto begin = std::min(size_t(std::max(starts.lines[1], 0)), lines.size() - 1);
  auto divider = begin;
  auto divides = [&](size_t i) {
    return lines[i].starts_with("---") || lines[i].starts_with("...");
  };
  while (divider > 0 && !divides(divider)) --divider;
  if (!divides(divider)) {
    return ShapeMistake{int(begin) + 1, "this is not YAML: this line belongs to nothing above it",
                        "Indent it like the other lines", true};
  }
  return ShapeMistake{
      int(divider) + 1, "a second YAML document begins on this line, and it would not be read",
      "Make the file one document: remove the lines '---' and '...' within it", true};
}

std::optional<ShapeMistake> findLoneReturn(const std::string& text) {
  int line = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') ++line;
    if (text[i] != '\r' || text.substr(i + 1, 1) == "\n") continue;
    return ShapeMistake{
        line,
        "this line has a carriage return in the middle, as files of old Macs and files converted "
        "twice have",
        "Convert the line ends to Unix with tr '\\r' '\\n' <old >new, or correct the line", true};
  }
  return std::nullopt;
}

std::optional<ShapeMistake> findOddBlank(const std::string& text) {
  int number = 0;
  for (absl::string_view each : absl::StrSplit(text, '\n')) {
    std::string_view line(each.data(), each.size());
    ++number;
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    // YAML needs spaces at the beginning of a line, and after one of these.
    char before = ' ';
    bool front = true;
    for (; !line.empty(); line.remove_prefix(stepOf(line))) {
      auto code = firstCharacter(line).code;
      bool odd = isOddBlank(code);
      if (front && code == '\t') {
        return ShapeMistake{number, "this line is indented with a tab, but YAML allows only spaces",
                            "Replace the tab with spaces", true};
      }
      if (odd && (front || before == ':' || before == '-')) {
        char hex[16];
        snprintf(hex, sizeof(hex), "U+%04X", code);
        return ShapeMistake{
            number,
            absl::StrCat("this line has the character ", hex,
                         ", which looks like a space or is invisible, where a space belongs"),
            "Replace or remove it", true};
      }
      before = line[0];
      front = front && code == ' ';
    }
  }
  return std::nullopt;
}

int findOpenQuote(const std::string& text) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    auto value = line.find_first_not_of(" -");
    auto colon = line.find(": ");
    if (colon != line.npos) value = line.find_first_not_of(' ', colon + 2);
    if (value == line.npos || (line[value] != '"' && line[value] != '\'')) continue;
    if (line.find(line[value], value + 1) == line.npos) return number;
  }
  return 0;
}

}  // namespace pibrain
