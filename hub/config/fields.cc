#include "hub/config/fields.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "common/text/escape.h"
#include "hub/config/spelling.h"

namespace pibrain {

namespace {

std::string written(const YAML::Node& value) {
  return value.IsScalar() ? value.Scalar() : std::string("a list or mapping");
}

std::vector<std::string> namesOf(ConfigSection section) {
  std::vector<std::string> names;
  for (auto& field : fieldsOf(section)) names.emplace_back(field.name);
  return names;
}

}  // namespace

void reject(const YAML::Node& node, std::string what, std::string cause, std::string fix) {
  throw ConfigError(node.Mark().line + 1, std::move(what), std::move(cause), std::move(fix));
}

Fields::Fields(YAML::Node node, std::string where, ConfigSection section)
    : node_(std::move(node)), where_(std::move(where)), section_(section) {
  if (!node_.IsMap()) reject(node_, where_ + " must be a mapping of fields ('field: value')");
  auto known = namesOf(section);
  std::vector<std::string> seen;
  for (auto entry : node_) {
    auto name = entry.first.IsScalar() ? entry.first.Scalar() : std::string("?");
    if (std::find(known.begin(), known.end(), name) == known.end()) rejectName(entry.first);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      reject(entry.first, absl::StrCat(field(name), " is given twice"));
    }
    seen.push_back(name);
  }
}

std::optional<YAML::Node> Fields::node(const std::string& name) const {
  YAML::Node value = node_[name];
  if (!value.IsDefined() || value.IsNull()) return std::nullopt;
  return value;
}

std::optional<std::string> Fields::text(const std::string& name, const std::string& instead) const {
  auto value = node(name);
  if (!value) return std::nullopt;
  if (!value->IsScalar()) {
    reject(*value, absl::StrCat(field(name), " must be a string, not ", written(*value)), "",
           instead);
  }
  if (value->Scalar().empty()) {
    reject(*value, field(name) + " must be a non-empty string", "", instead);
  }
  if (value->Scalar().find('\0') != std::string::npos) {
    reject(*value, field(name) + " contains a NUL character (\\0)", "", "Remove it");
  }
  return value->Scalar();
}

std::string Fields::required(const std::string& name, const std::string& instead) const {
  auto value = text(name, instead);
  if (value) return *value;
  for (auto entry : node_) {
    // yaml-cpp may place an empty value on the next line, so the error names the line of the key.
    if (!entry.first.IsScalar() || entry.first.Scalar() != name) continue;
    reject(entry.first, field(name) + " is empty, but required",
           "A bare '~' or 'null' is empty in YAML; in quotes it is not.", instead);
  }
  reject(node_, field(name) + " is missing, but required", "", instead);
}

std::optional<bool> Fields::boolean(const std::string& name) const {
  auto value = node(name);
  if (!value) return std::nullopt;
  bool result;
  if (!value->IsScalar() || !YAML::convert<bool>::decode(*value, result)) {
    reject(*value, absl::StrCat(field(name), " must be true or false, not '",
                                escapeForTerminal(written(*value)), "'"));
  }
  return result;
}

std::optional<uint32_t> Fields::integer(const std::string& name) const {
  auto value = node(name);
  if (!value) return std::nullopt;
  auto& range = fieldOf(section_, name);
  int64_t result = 0;
  if (!value->IsScalar() || !YAML::convert<int64_t>::decode(*value, result) ||
      result < range.least || result > range.most) {
    reject(*value, absl::StrCat(field(name), " must be a whole number from ", range.least, " to ",
                                range.most, ", not '", escapeForTerminal(written(*value)), "'"));
  }
  return uint32_t(result);
}

std::vector<std::string> Fields::texts(const std::string& name) const {
  std::vector<std::string> result;
  auto value = node(name);
  if (!value) return result;
  if (!value->IsSequence()) reject(*value, field(name) + " must be a list of strings");
  for (auto item : *value) {
    if (!item.IsScalar()) reject(item, field(name) + " must be a list of strings");
    result.push_back(item.Scalar());
  }
  return result;
}

void Fields::rejectName(const YAML::Node& key) const {
  auto name = key.IsScalar() ? key.Scalar() : std::string("?");
  auto known = namesOf(section_);
  auto nearest = *std::min_element(known.begin(), known.end(), [&](auto& a, auto& b) {
    return editDistance(name, a) < editDistance(name, b);
  });
  bool near = editDistance(name, nearest) <= std::max<size_t>(2, name.size() / 3);
  auto options = namesOf(ConfigSection::RSYNC_OPTIONS);
  bool isOption = section_ == ConfigSection::SPOKE &&
                  std::find(options.begin(), options.end(), name) != options.end();
  reject(key, absl::StrCat("unknown field '", escapeForTerminal(name), "' in ", where_),
         absl::StrCat("The fields are: ", absl::StrJoin(known, ", "), "."),
         isOption ? "Move it to rsync_options, beneath the spoke"
         : near   ? absl::StrCat("Write '", nearest, "' if that is meant")
                  : "");
}

}  // namespace pibrain
