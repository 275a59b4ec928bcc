#include "hub/setup/config-edit.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/text/utf8.h"
#include "hub/base/failure-status.h"
#include "hub/base/user-files.h"
#include "hub/config/config-shape.h"
#include "hub/setup/yaml-scalar.h"

namespace pibrain {

namespace {

// Splits a text into lines with their ends.
std::vector<std::string> splitLines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    end = end == std::string::npos ? text.size() : end + 1;
    lines.push_back(text.substr(start, end - start));
    start = end;
  }
  return lines;
}

// Returns whether the line is blank or a comment.
bool isEmpty(const std::string& line) {
  auto first = line.find_first_not_of(" \t\r\n");
  return first == std::string::npos || line[first] == '#';
}

bool same(const YAML::Node& a, const YAML::Node& b) {
  if (a.Type() != b.Type() || a.size() != b.size()) return false;
  if (a.IsScalar()) return a.Scalar() == b.Scalar();
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right) {
    if (a.IsMap() ? !same(left->first, right->first) || !same(left->second, right->second)
                  : !same(*left, *right)) {
      return false;
    }
  }
  return true;
}

// Returns the value as YAML. `port` and `enabled` are written without quotes, as a number and a
// truth value, for other readers of the file.
std::string asWritten(const std::string& name, const FieldValue& value) {
  if (auto* text = std::get_if<std::string>(&value)) {
    return name == "port" || name == "enabled" ? *text : yamlScalar(*text);
  }
  std::vector<std::string> items;
  for (auto& item : std::get<std::vector<std::string>>(value)) items.push_back(yamlScalar(item));
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}

YAML::Node nodeOf(const FieldValue& value) {
  if (auto* text = std::get_if<std::string>(&value)) return YAML::Node(*text);
  YAML::Node list(YAML::NodeType::Sequence);
  for (auto& item : std::get<std::vector<std::string>>(value)) list.push_back(item);
  return list;
}

// Returns the position after the ']' of the list that begins at `start`; npos: not in this line.
size_t endOfList(const std::string& line, size_t start) {
  char quote = 0;
  for (size_t i = start; i < line.size(); ++i) {
    if (quote == '"' && line[i] == '\\') {
      ++i;
    } else if (quote != 0) {
      if (line[i] == quote) quote = 0;
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line[i] == ']') {
      return i + 1;
    }
  }
  return line.npos;
}

YAML::Node load(const std::string& text) { return YAML::Load(withMarkerEnded(text)); }

// Returns the line that ends the document ("..." alone), or the number of lines. Nothing can be
// added after it.
size_t endOfDocument(const std::vector<std::string>& lines) {
  auto ends = [](const std::string& line) {
    return line.starts_with("...") &&
           (line.size() == 3 || std::string_view(" \t\r\n").find(line[3]) != line.npos);
  };
  return size_t(std::find_if(lines.begin(), lines.end(), ends) - lines.begin());
}

// A config as lines, with the positions of its spokes.
class Editor {
 public:
  explicit Editor(const std::string& text)
      : lines_(splitLines(text)), ending_(text.find("\r\n") == text.npos ? "\n" : "\r\n") {
    auto end = lines_.begin() + long(endOfDocument(lines_));
    tail_.assign(end, lines_.end());
    lines_.erase(end, lines_.end());
    root_ = load(text);
    if (!root_.IsDefined() || root_.IsNull()) return;
    if (!root_.IsMap() || root_.Style() == YAML::EmitterStyle::Flow) fail();
    sectionEnd_ = lines_.size();
    for (auto entry : root_) {
      auto line = size_t(entry.first.Mark().line);
      if (entry.first.Scalar() == "spokes") {
        section_ = line;
        spokes_ = entry.second;
        sectionEnd_ = lines_.size();
      } else if (section_ && line > *section_) {
        sectionEnd_ = std::min(sectionEnd_, line);
      }
    }
  }

  void add(const SpokeFields& fields) {
    if (!section_) {
      endLastLine();
      if (!lines_.empty() && !isEmpty(lines_.back())) lines_.push_back(ending_);
      lines_.push_back("spokes:" + ending_);
      return insert(lines_.size(), item("  ", "    ", fields));
    }
    if (count() == 0) {
      openEmptySection();
      return insert(*section_ + 1, item("  ", "    ", fields));
    }
    auto last = place(count() - 1);
    auto text = item(std::string(last.dash, ' '), std::string(last.column, ' '), fields);
    bool spaced = count() > 1 && last.begin > 0 && isEmpty(lines_[last.begin - 1]) &&
                  lines_[last.begin - 1].find('#') == std::string::npos;
    if (spaced) text.insert(text.begin(), ending_);
    insert(last.end, text);
  }

  void set(const std::string& spoke, const SpokeFields& fields) {
    // Edits from the last line to the first, so that positions above stay valid.
    auto at = place(indexOf(spoke));
    auto node = spokes_[indexOf(spoke)];
    std::vector<std::string> added;
    for (auto& [name, value] : fields) {
      if (!node[name].IsDefined()) added.push_back(line(std::string(at.column, ' '), name, value));
    }
    insert(at.end, added);
    for (auto& [name, value] : fields) {
      if (node[name].IsDefined() && !same(node[name], nodeOf(value))) {
        replaceValue(node, name, value);
      }
    }
  }

  void remove(const std::string& spoke) {
    auto at = place(indexOf(spoke));
    // Keeps the blank lines of only one side.
    auto blank = [&](size_t i) {
      return i < lines_.size() && isEmpty(lines_[i]) && lines_[i].find('#') == std::string::npos;
    };
    size_t end = at.end;
    if (at.begin > 0 && blank(at.begin - 1)) {
      while (blank(end)) ++end;
      if (end == lines_.size() && blank(at.begin - 1)) --at.begin;
    }
    lines_.erase(lines_.begin() + long(at.begin), lines_.begin() + long(end));
  }

  std::string text() const {
    return absl::StrCat(absl::StrJoin(lines_, ""), absl::StrJoin(tail_, ""));
  }

 private:
  struct Place {
    size_t begin, end;    // lines of the spoke, without the blank lines and comments after it
    size_t dash, column;  // columns of the '-' and of the fields
  };

  [[noreturn]] static void fail() {
    throw Failure(FailureId::CONFIG_NOT_EDITABLE, "this layout cannot be edited");
  }

  size_t count() const { return spokes_.IsSequence() ? spokes_.size() : 0; }

  size_t indexOf(const std::string& spoke) const {
    for (size_t i = 0; i < count(); ++i) {
      if (spokes_[i]["name"].Scalar() == spoke) return i;
    }
    fail();
  }

  Place place(size_t index) const {
    auto begin = beginOf(index);
    size_t end = index + 1 < count() ? beginOf(index + 1).first : sectionEnd_;
    while (end > begin.first + 1 && isEmpty(lines_[end - 1])) --end;
    return {begin.first, end, begin.second, size_t(spokes_[index].Mark().column)};
  }

  // Returns the line and column of the spoke's '-'.
  std::pair<size_t, size_t> beginOf(size_t index) const {
    if (spokes_.Style() == YAML::EmitterStyle::Flow ||
        spokes_[index].Style() == YAML::EmitterStyle::Flow) {
      fail();
    }
    for (auto number = size_t(spokes_[index].Mark().line) + 1; number-- > *section_ + 1;) {
      auto& line = lines_[number];
      auto first = line.find_first_not_of(' ');
      if (first != std::string::npos && line[first] == '-') return {number, first};
    }
    fail();
  }

  // Turns "spokes: []", "spokes: [ ]", "spokes: ~" or "spokes:", perhaps with a comment, into
  // "spokes:".
  void openEmptySection() {
    auto& line = lines_[*section_];
    auto colon = line.find(':');
    auto rest = line.substr(colon + 1);
    auto value = std::min(rest.find_first_not_of(" \t\r\n"), rest.size());
    auto inside = rest.find_first_not_of(" \t", std::min(value + 1, rest.size()));
    if (rest[value] == '[' && inside != rest.npos && rest[inside] == ']') {
      rest.erase(value, inside + 1 - value);
    }
    for (std::string_view nothing : {"~", "null"}) {
      if (rest.compare(value, nothing.size(), nothing) == 0) rest.erase(value, nothing.size());
    }
    if (!isEmpty(rest)) fail();
    bool comment = rest.find('#') != std::string::npos;
    line = line.substr(0, colon + 1) + (comment ? rest : ending_);
    if (!line.ends_with('\n')) line += ending_;
  }

  void replaceValue(const YAML::Node& node, const std::string& name, const FieldValue& value) {
    auto mark = node[name].Mark();
    bool list = node[name].IsSequence() && node[name].Style() == YAML::EmitterStyle::Flow;
    if ((!list && !node[name].IsScalar()) || mark.line < 0) fail();
    auto& line = lines_[size_t(mark.line)];
    auto start = size_t(mark.column);
    size_t end;
    if (list) {
      end = endOfList(line, start);
      if (end == std::string::npos) fail();
    } else if (line[start] == '"' || line[start] == '\'') {
      end = line.find(line[start], start + 1);
      if (end == std::string::npos) fail();
      ++end;
    } else {
      end = std::min(line.find(" #", start), line.find_last_not_of(" \t\r\n") + 1);
    }
    line.replace(start, end - start, asWritten(name, value));
  }

  std::string line(const std::string& indent, const std::string& name,
                   const FieldValue& value) const {
    return absl::StrCat(indent, name, ": ", asWritten(name, value), ending_);
  }

  std::vector<std::string> item(const std::string& dash, const std::string& indent,
                                const SpokeFields& fields) const {
    std::vector<std::string> out;
    for (auto& [name, value] : fields) out.push_back(line(indent, name, value));
    // Puts as many blanks after the dash as the other spokes have.
    out[0] = dash + "-" + out[0].substr(std::min(dash.size() + 1, indent.size() - 1));
    return out;
  }

  void endLastLine() {
    if (!lines_.empty() && !lines_.back().ends_with('\n')) lines_.back() += ending_;
  }

  void insert(size_t at, const std::vector<std::string>& lines) {
    if (at == lines_.size()) endLastLine();
    lines_.insert(lines_.begin() + long(at), lines.begin(), lines.end());
  }

  std::vector<std::string> lines_;
  std::vector<std::string> tail_;  // from the line that ends the document
  const std::string ending_;
  YAML::Node root_, spokes_;
  std::optional<size_t> section_;  // the line of "spokes:"
  size_t sectionEnd_ = 0;          // the line after it and its spokes
};

YAML::Node asNode(const SpokeFields& fields) {
  YAML::Node node(YAML::NodeType::Map);
  for (auto& [name, value] : fields) node[name] = nodeOf(value);
  return node;
}

// Returns the text that `edit` makes, if it means what `mean` makes of the old one; otherwise an
// error that says what to change `byHand`.
absl::StatusOr<std::string> edited(const std::string& text,
                                   const std::function<void(Editor&)>& edit,
                                   const std::function<void(YAML::Node&)>& mean,
                                   const std::string& byHand) {
  try {
    Editor editor(text);
    edit(editor);
    auto result = editor.text();
    YAML::Node meant = load(text);
    mean(meant);
    if (same(meant, load(result))) return result;
  } catch (const Failure&) {
  } catch (const YAML::Exception&) {
  }
  return toStatus(Failure(FailureId::CONFIG_NOT_EDITABLE, "pi-brain cannot edit this file's layout",
                          "It may use brackets like JSON.", {{"By hand, " + byHand, ""}}));
}

std::string asText(const FieldValue& value) {
  if (auto* text = std::get_if<std::string>(&value)) return *text;
  return absl::StrJoin(std::get<std::vector<std::string>>(value), " ");
}

absl::Status checkUtf8(const SpokeFields& fields) {
  for (auto& [name, value] : fields) {
    auto text = asText(value);
    if (isUtf8(text)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the ", name, " ", inQuotes(text),
                     " is not UTF-8, so a YAML file cannot contain it. Create a symlink to it with "
                     "a UTF-8 name, and use that"));
  }
  return absl::OkStatus();
}

// Returns the fields in YAML's flow style, which can be wrapped.
std::string asText(const SpokeFields& fields) {
  std::vector<std::string> parts;
  for (auto& [name, value] : fields) {
    parts.push_back(absl::StrCat(name, ": ", asWritten(name, value)));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

}  // namespace

absl::StatusOr<std::string> withSpoke(const std::string& text, const SpokeFields& fields) {
  if (auto status = checkUtf8(fields); !status.ok()) return status;
  return edited(
      text, [&](Editor& editor) { editor.add(fields); },
      [&](YAML::Node& root) {
        if (!root["spokes"].IsDefined() || !root["spokes"].IsSequence()) {
          root["spokes"] = YAML::Node(YAML::NodeType::Sequence);
        }
        root["spokes"].push_back(asNode(fields));
      },
      absl::StrCat("add ", asText(fields), " to 'spokes:'"));
}

absl::StatusOr<std::string> withFields(const std::string& text, const std::string& spoke,
                                       const SpokeFields& fields) {
  if (auto status = checkUtf8(fields); !status.ok()) return status;
  return edited(
      text, [&](Editor& editor) { editor.set(spoke, fields); },
      [&](YAML::Node& root) {
        for (auto node : root["spokes"]) {
          if (node["name"].Scalar() != spoke) continue;
          for (auto& [name, value] : fields) node[name] = nodeOf(value);
        }
      },
      absl::StrCat("give the spoke '", spoke, "' ", asText(fields)));
}

std::string fieldOf(const std::string& text, const std::string& spoke, const std::string& field) {
  try {
    for (auto node : load(text)["spokes"]) {
      if (node["name"].Scalar() == spoke && node[field].IsDefined()) return node[field].Scalar();
    }
  } catch (const YAML::Exception&) {
  }
  return "";
}

absl::StatusOr<std::string> withoutSpoke(const std::string& text, const std::string& spoke) {
  return edited(
      text, [&](Editor& editor) { editor.remove(spoke); },
      [&](YAML::Node& root) {
        YAML::Node left(YAML::NodeType::Sequence);
        for (auto node : root["spokes"]) {
          if (node["name"].Scalar() != spoke) left.push_back(node);
        }
        root["spokes"] = left.size() > 0 ? left : YAML::Node(YAML::NodeType::Null);
      },
      absl::StrCat("remove the spoke '", spoke, "'"));
}

absl::Status inFile(const std::string& path, const absl::Status& error) {
  auto failure = failureOf(error, FailureId::CONFIG_NOT_EDITABLE);
  if (failure.id() != FailureId::CONFIG_NOT_EDITABLE) return error;
  return toStatus(Failure(failure.id(),
                          absl::StrCat(escapeForTerminal(path), ": ", failure.summary()),
                          failure.cause(), failure.fixes()));
}

absl::Status editFile(const std::string& path,
                      const std::function<absl::StatusOr<std::string>(const std::string&)>& edit) {
  std::error_code none;
  // Follows a symlink even if its target does not exist yet.
  auto real =
      std::filesystem::weakly_canonical(std::filesystem::is_symlink(path, none)
                                            ? std::filesystem::absolute(path).parent_path() /
                                                  std::filesystem::read_symlink(path, none)
                                            : std::filesystem::absolute(path))
          .string();
  auto fail = [&](const char* what) {
    return toStatus(Failure(
        FailureId::HUB_FILE_ERROR,
        absl::StrCat("cannot ", what, " ", escapeForTerminal(real), ": ", whyUnread(errno)), "",
        {{"Check its owner and mode", "ls -l " + escapeForTerminal(shellQuote(real))}}));
  };
  auto directory = std::filesystem::path(real).parent_path().string();
  auto made = makeDirectories(directory);
  if (!made.ok()) return toStatus(failureOf(made, FailureId::HUB_FILE_ERROR));
  // Locks the directory, because the file itself is replaced.
  kj::AutoCloseFd lock(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.get() < 0 || flock(lock, LOCK_EX) != 0) return fail("lock the directory of");
  auto before = readWholeFile(real);
  if (!before && errno != ENOENT) return fail("read");
  auto after = edit(before.value_or(""));
  if (!after.ok()) return inFile(real, after.status());
  if (before && *after == *before) return absl::OkStatus();
  struct stat st;
  mode_t mode = stat(real.c_str(), &st) == 0 ? st.st_mode & 07777 : 0600;
  auto replaced = replaceFile(real, *after, mode);
  return replaced.ok() ? replaced : toStatus(failureOf(replaced, FailureId::HUB_FILE_ERROR));
}

}  // namespace pibrain
