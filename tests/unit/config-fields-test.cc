#include "hub/config/config-fields.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <gtest/gtest.h>

#include "hub/config/config.h"
#include "tests/unit/generated-text.h"

namespace pibrain {
namespace {

constexpr ConfigSection SECTIONS[] = {ConfigSection::HUB, ConfigSection::SPOKE,
                                      ConfigSection::RSYNC_OPTIONS};

std::string typeOf(const ConfigField& field) {
  std::string type(field.type);
  if (field.most > 0) absl::StrAppend(&type, ", ", field.least, " to ", field.most);
  return type;
}

// As it is written in the file: what YAML would read as something else takes quotes.
std::string asYaml(std::string_view value) {
  bool special = value.starts_with('*') || value.starts_with('@');
  return special ? absl::StrCat("\"", std::string(value), "\"") : std::string(value);
}

std::string inBackticks(std::string_view value) { return absl::StrCat("`", asYaml(value), "`"); }

std::string usualOf(const ConfigField& field) {
  return field.usual.empty() ? std::string(field.unset) : inBackticks(field.usual);
}

std::string markdownTable(ConfigSection section) {
  std::string text = "| field | type | default | example | meaning |\n|---|---|---|---|---|\n";
  for (auto& field : fieldsOf(section)) {
    absl::StrAppend(&text, "| `", std::string(field.name), "` | ", typeOf(field), " | ",
                    usualOf(field), " | ", inBackticks(field.example), " | ",
                    std::string(field.meaning), " |\n");
  }
  return text;
}

// Words in backticks are set bold, and can be copied; each sentence has its line.
std::string asMdoc(const std::string& words) {
  std::string text;
  bool literal = false;
  for (char c : words) {
    if (c == '`') {
      literal = !literal;
      text += literal ? "\\fB\\%" : "\\fP";  // \\%: no hyphenation
    } else if (literal && c == '-') {
      text += "\\-";
    } else if (literal && c == '~') {
      text += "\\(ti";
    } else {
      text += c;
    }
  }
  return absl::StrReplaceAll(text, {{". ", ".\n"}, {"crontab(5)", "crontab (5)"}}) + "\n";
}

// "Required, except for `syncthing`." or "Default: `30`."
std::string usualSentence(const ConfigField& field) {
  bool required = field.unset.starts_with("required");
  return required ? absl::StrCat("R", std::string(field.unset.substr(1)), ".")
                  : absl::StrCat("Default: ", usualOf(field), ".");
}

std::string mdocList(ConfigSection section) {
  std::string text = ".Bl -tag -width Ds\n";
  for (auto& field : fieldsOf(section)) {
    absl::StrAppend(&text, ".It Li ", std::string(field.name), "\n",
                    asMdoc(std::string(field.meaning)), ".br\n",
                    asMdoc(absl::StrCat("Type: ", typeOf(field), ". ", usualSentence(field),
                                        " Example: ", inBackticks(field.example), ".")));
  }
  return text + ".El\n";
}

const char* titleOf(ConfigSection section) {
  switch (section) {
    case ConfigSection::HUB:
      return "hub";
    case ConfigSection::SPOKE:
      return "spokes";
    case ConfigSection::RSYNC_OPTIONS:
      return "rsync_options";
  }
  return "";
}

// A config that is good, in which a spoke has what is required, but for the field `without`.
std::string spokeWithout(std::string_view without, const std::string& method) {
  std::string text = "spokes:\n  - ";
  const char* indent = "";
  for (auto& [name, value] : {std::pair<const char*, std::string>("enabled", "true"),
                              {"keep_modes", "false"},
                              {"name", "a"},
                              {"sync_method", method},
                              {"source", "a:b"},
                              {"path", "/m"}}) {
    if (name == without) continue;
    absl::StrAppend(&text, indent, name, ": ", value, "\n");
    indent = "    ";
  }
  return text;
}

// Some fields are for one method alone.
const char* methodFor(ConfigSection section, std::string_view field) {
  return section == ConfigSection::RSYNC_OPTIONS || field == "sync_method" ? "rsync" : "agent";
}

// Such a config in which the field has this value.
std::string configWith(ConfigSection section, std::string_view field, const std::string& value) {
  auto line = absl::StrCat(std::string(field), ": ", value, "\n");
  auto* method = methodFor(section, field);
  switch (section) {
    case ConfigSection::HUB:
      return absl::StrCat("hub:\n  ", line, spokeWithout("", method));
    case ConfigSection::SPOKE:
      return absl::StrCat(spokeWithout(field, method), "    ", line);
    case ConfigSection::RSYNC_OPTIONS:
      return absl::StrCat(spokeWithout("", method), "    rsync_options:\n      ", line);
  }
  return "";
}

std::pair<HubConfig, SpokeConfig> parsed(const std::string& text) {
  auto config = parseConfig(text, "config.yaml");
  EXPECT_TRUE(config.ok()) << text << config.status();
  if (!config.ok() || config->spokes.empty()) return {};
  return {config->hub, config->spokes[0]};
}

std::pair<HubConfig, SpokeConfig> defaultsFor(ConfigSection section, std::string_view field) {
  return parsed(spokeWithout("", methodFor(section, field)));
}

TEST(ConfigFields, areInTheDocuments) {
  for (auto section : SECTIONS) {
    std::string title = titleOf(section);
    expectBetween("docs/config.md", "<!-- " + title + ": made from hub/config/config-fields.cc -->",
                  "<!-- end -->", markdownTable(section));
    expectBetween("deploy/man/pi-brain-config.5",
                  ".\\\" " + title + ": made from hub/config/config-fields.cc", ".\\\" end",
                  mdocList(section));
  }
}

TEST(ConfigFields, haveTheirDefaults) {
  for (auto section : SECTIONS) {
    for (auto& field : fieldsOf(section)) {
      EXPECT_NE(field.usual.empty(), field.unset.empty()) << field.name;
      if (field.usual.empty() || field.name == "schedule") continue;
      EXPECT_EQ(parsed(configWith(section, field.name, asYaml(field.usual))),
                defaultsFor(section, field.name))

          << field.name;
    }
  }
  // What a spoke without a schedule has is not in its config.
  EXPECT_EQ(fieldOf(ConfigSection::SPOKE, "schedule").usual, USUAL_SCHEDULE);
}

TEST(ConfigFields, haveExamplesThatChangeSomething) {
  for (auto section : SECTIONS) {
    for (auto& field : fieldsOf(section)) {
      EXPECT_NE(parsed(configWith(section, field.name, asYaml(field.example))),
                defaultsFor(section, field.name))

          << field.name;
    }
  }
}

TEST(ConfigFields, areRefusedOutsideTheirRange) {
  size_t numbers = 0;
  for (auto section : SECTIONS) {
    for (auto& field : fieldsOf(section)) {
      if (field.most == 0) continue;
      ++numbers;
      auto accepted = [&](int64_t value) {
        return parseConfig(configWith(section, field.name, absl::StrCat(value)), "config.yaml")
            .ok();
      };
      EXPECT_TRUE(accepted(field.least) && accepted(field.most)) << field.name;
      EXPECT_FALSE(accepted(field.least - 1) || accepted(field.most + 1)) << field.name;
    }
  }
  EXPECT_GE(numbers, 5u);
}

TEST(ConfigFields, areRequiredIfTheTableSaysSo) {
  for (auto& field : fieldsOf(ConfigSection::SPOKE)) {
    bool required = field.unset.starts_with("required");
    EXPECT_EQ(parseConfig(spokeWithout(field.name, "agent"), "config.yaml").ok(), !required)
        << field.name;
  }
}

// A whole config that a document shows between these lines.
Config shownIn(const char* path, const std::string& begin, const std::string& end) {
  auto page = textOfFile(path);
  auto from = page.find(begin + "\n");
  auto to = page.find(end + "\n", from);
  EXPECT_NE(to, std::string::npos) << path;
  if (to == std::string::npos) return {};
  from += begin.size() + 1;
  auto config = parseConfig(page.substr(from, to - from), path);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : Config();
}

TEST(ConfigFields, examplesOfTheDocumentsAreGood) {
  auto config = shownIn("docs/config.md", "```yaml", "```");
  EXPECT_EQ(config.spokes.size(), 4u);
  EXPECT_EQ(config.hub, defaultsFor(ConfigSection::HUB, "").first);
  config = shownIn("deploy/man/pi-brain-config.5", ".Bd -literal", ".Ed");
  EXPECT_EQ(config.spokes.size(), 1u);
}

}  // namespace
}  // namespace pibrain
