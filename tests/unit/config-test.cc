#include "hub/config/config.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hub/base/failure-status.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() { setenv("HOME", "/home/somebody", 1); }
  ~ConfigTest() override { setenv("HOME", home_.c_str(), 1); }

  absl::StatusOr<Config> load(std::string_view text) {
    dir_.write("config.yaml", text);
    return loadConfig(dir_ / "config.yaml");
  }
  std::string errorOf(std::string_view text) {
    auto config = load(text);
    return config.ok() ? "(accepted)" : std::string(config.status().message());
  }

  std::string home_ = getenv("HOME") == nullptr ? "" : getenv("HOME");
  TempDir dir_;
};

// Returns a spoke's mapping with these lines added; it begins at line 2.
std::string spokeWith(std::string_view lines) {
  return "spokes:\n- name: a\n  sync_method: agent\n  path: /m\n  source: h:p\n" +
         std::string(lines);
}

TEST_F(ConfigTest, aFileThatCannotBeRead) {
  for (auto& path : {dir_ / "none.yaml", dir_ / "", std::string("/proc/self/mem")}) {
    auto config = loadConfig(path);
    ASSERT_FALSE(config.ok()) << path;
    auto failure = failureOf(config.status(), FailureId::INTERNAL_ERROR);
    EXPECT_EQ(failure.id(), FailureId::CONFIG_UNREADABLE) << failure.what();
    ASSERT_EQ(failure.fixes().size(), 1u);
    bool there = std::filesystem::exists(path);
    EXPECT_EQ(failure.fixes()[0].command, there ? "ls -ld " + path : "");
  }
}

TEST_F(ConfigTest, aQuoteThatIsNotClosed) {
  for (auto text : {"spokes:\n- name: \"laptop\n  sync_method: agent\n  source: h:p\n  path: /m\n",
                    "spokes:\n- name: 'laptop\n  sync_method: agent\n  path: '/m'\n"}) {
    EXPECT_NE(errorOf(text).find("config.yaml:2: a quote that begins in this line is not closed"),
              std::string::npos)
        << errorOf(text);
  }
  EXPECT_EQ(errorOf("spokes:\n- name: \"a\"\n  sync_method: x\n  path: /m\n").find("a quote"),
            std::string::npos);
}

TEST_F(ConfigTest, everyField) {
  auto config = load(R"(
hub:
  sessions_dir: ~/sessions/
  database_dir: /var/lib/pi-brain
  archive_dir: ~/archive
  web_ui_port: 9000
  ssh_config: ~/.ssh/hub
  ssh: openssh
spokes:
  - name: laptop
    sync_method: agent
    path: ~/synced/laptop//
    source: me@laptop.example:~/.pi/agent/sessions
    enabled: false
    schedule: "*/5 * * * *"
    keep_modes: true
    ssh_config: /etc/laptop
    ssh: libssh2
    port: 2222
    exclude: ["*.tmp", old/]
    rsync_options:
      bw_limit: 500
      delete: true
      timeout_seconds: 60
      extra_args: [--checksum, -x]
  - name: Spoke 2
    sync_method: rsync
    path: /srv/two
    source: two:/s
  - {name: three, sync_method: syncthing, path: /srv/three}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->file, dir_ / "config.yaml");
  EXPECT_EQ(config->hub.sessionsDir, "/home/somebody/sessions");
  EXPECT_EQ(config->hub.databaseDir, "/var/lib/pi-brain");
  EXPECT_EQ(config->hub.archiveDir, "/home/somebody/archive");
  EXPECT_EQ(config->hub.sshConfig, "/home/somebody/.ssh/hub");
  EXPECT_EQ(config->hub.webUiPort, 9000u);

  ASSERT_EQ(config->spokes.size(), 3u);
  auto& one = config->spokes[0];
  EXPECT_EQ(one.name, "laptop");
  EXPECT_EQ(one.method, SyncMethod::AGENT);
  EXPECT_EQ(one.path, "/home/somebody/synced/laptop");
  EXPECT_EQ(one.sourceText, "me@laptop.example:~/.pi/agent/sessions");
  EXPECT_EQ(one.source.user, "me");
  EXPECT_EQ(one.source.host, "laptop.example");
  EXPECT_EQ(one.source.path, "~/.pi/agent/sessions");
  EXPECT_FALSE(one.enabled);
  EXPECT_EQ(one.scheduleText, "*/5 * * * *");
  EXPECT_TRUE(one.keepModes);
  EXPECT_EQ(one.sshConfig, "/etc/laptop");
  EXPECT_EQ(one.ssh, SshMode::LIBSSH2);
  EXPECT_EQ(one.port, 2222);
  EXPECT_EQ(one.exclude, (std::vector<std::string>{"*.tmp", "old/"}));
  EXPECT_EQ(one.bwLimit, 500u);
  EXPECT_TRUE(one.deleteGone);
  EXPECT_EQ(one.timeoutSeconds, 60u);
  EXPECT_EQ(one.extraArgs, (std::vector<std::string>{"--checksum", "-x"}));

  auto& two = config->spokes[1];
  EXPECT_EQ(two.method, SyncMethod::RSYNC);
  EXPECT_TRUE(two.enabled);
  EXPECT_FALSE(two.deleteGone);
  EXPECT_FALSE(two.keepModes);
  EXPECT_EQ(two.bwLimit, 0u);
  EXPECT_EQ(two.timeoutSeconds, 300u);
  EXPECT_EQ(two.sshConfig, "/home/somebody/.ssh/hub");
  EXPECT_EQ(two.ssh, SshMode::OPENSSH);
  EXPECT_EQ(two.port, 0);
  EXPECT_EQ(config->spokes[2].method, SyncMethod::SYNCTHING);
  EXPECT_EQ(config->spokes[2].sourceText, "");
}

TEST_F(ConfigTest, emptyConfigs) {
  for (auto text : {"", "\n# a comment\n", "hub:\nspokes:\n", "spokes: []\n", "{}", "~",
                    "agents: [1, 2]\nrsync: {x: y}\n"}) {
    auto config = load(text);
    ASSERT_TRUE(config.ok()) << text << config.status();
    EXPECT_TRUE(config->spokes.empty());
    EXPECT_EQ(config->hub.sessionsDir, "/home/somebody/.pi/agent/sessions");
    EXPECT_EQ(config->hub.databaseDir, "/home/somebody/.pi-brain/data");
    EXPECT_EQ(config->hub.archiveDir, "/home/somebody/.pi-brain/archive");
    EXPECT_EQ(config->hub.webUiPort, 8765u);
  }
}

TEST_F(ConfigTest, missingFile) {
  auto named = loadConfig(dir_ / "missing.yaml");
  ASSERT_FALSE(named.ok());
  EXPECT_NE(named.status().message().find(dir_ / "missing.yaml"), std::string::npos);
  EXPECT_NE(named.status().message().find("does not exist"), std::string::npos);
  EXPECT_FALSE(loadConfig(dir_.path()).ok()) << "a directory";

  setenv("HOME", dir_.path().c_str(), 1);
  auto defaults = loadConfig("");
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->hub.sessionsDir, dir_ / ".pi/agent/sessions");
  dir_.write(".pi-brain/config.yaml", "hub: {web_ui_port: 1}");
  EXPECT_EQ(loadConfig("")->hub.webUiPort, 1u);
  dir_.write(".pi-brain/config.yaml", "hub: 5");
  EXPECT_FALSE(loadConfig("").ok());
}

TEST_F(ConfigTest, mistakesAreReportedWithTheirPlace) {
  struct Case {
    std::string text;
    int line;
    std::vector<std::string> says;
  };
  const std::vector<std::string> methods{"agent, rsync, syncthing"};
  for (auto& [text, line, says] : {
           Case{"hub: [1]\n", 1, {"hub", "mapping"}},
           {"- a\n", 1, {"mapping"}},
           {"spokes: {a: b}\n", 1, {"spokes", "list"}},
           {"spokes:\n- just text\n", 2, {"spokes[0]", "mapping"}},
           {"spokes:\n-\n", 0, {"spokes[0]", "mapping"}},
           {"hub:\n  web_ui_port: 0\n", 2, {"hub.web_ui_port", "1 to 65535", "'0'"}},
           {"hub:\n  web_ui_port: 65536\n", 2, {"hub.web_ui_port", "1 to 65535"}},
           {"hub:\n  web_ui_port: http\n", 2, {"hub.web_ui_port", "'http'"}},
           {"hub:\n  web_ui_port: [1]\n", 2, {"hub.web_ui_port", "whole number"}},
           {"hub:\n  sessions_dir: [a]\n", 2, {"hub.sessions_dir", "string, not a list"}},
           {"hub:\n  sessions_dir: ''\n", 2, {"hub.sessions_dir", "non-empty"}},
           {"hub:\n  sessions_dir: \"a\\0b\"\n", 2, {"hub.sessions_dir contains a NUL"}},
           {"hub:\n  session_dir: /s\n",
            2,
            {"'session_dir'", "Write 'sessions_dir' if that is meant"}},
           {"hub:\n  x: 1\n  zzzzzzzzzzz: /s\n", 2, {"'x'", "hub", "web_ui_port"}},
           {"hub:\n  web_ui_port: 1\n  web_ui_port: 2\n", 3, {"hub.web_ui_port", "twice"}},
           {"spokes:\n- sync_method: agent\n", 2, {"spokes[0].name", "missing"}},
           {"spokes:\n- name: a\n  path: /m\n", 2, {"spokes[0].sync_method", "missing"}},
           {"spokes:\n- name: a\n  sync_method: agent\n", 2, {"spokes[0].path", "missing"}},
           {"spokes:\n- name: a\n  sync_method: agent\n  path: /m\n",
            2,
            {"spokes[0].source", "missing"}},
           {"spokes:\n- name: a\n  sync_method: api\n",
            3,
            {"spokes[0].sync_method", "'api' is not implemented", methods[0]}},
           {"spokes:\n- name: a\n  sync_method: ftp\n", 3, {"'ftp'", "does not exist", methods[0]}},
           {"spokes:\n- name: a\n  sync_method: agent\n  path: relative\n",
            4,
            {"spokes[0].path", "absolute", "'relative'"}},
           {"spokes:\n- name: a\n  sync_method: agent\n  path: /m\n  source: relative\n",
            5,
            {"spokes[0].source", "user@host:path"}},
           {spokeWith("  enabled: maybe\n"), 6, {"spokes[0].enabled", "true or false", "'maybe'"}},
           {spokeWith("  ssh: putty\n"), 6, {"spokes[0].ssh", "auto, libssh2 or openssh", "putty"}},
           {spokeWith("  exclude: x\n"), 6, {"spokes[0].exclude", "list"}},
           {spokeWith("  exclude: [a, '!b']\n"), 6, {"spokes[0].exclude: '!b'", "'\\!'"}},
           {spokeWith("  exclude:\n  - a\n  - '[b'\n"), 8, {"spokes[0].exclude: '[b'"}},
           {"spokes:\n- name: a\n  sync_method: rsync\n  path: /m\n  source: h:p\n  exclude: [a]\n",
            6,
            {"spokes[0].exclude is for sync_method agent", "--exclude=PATTERN"}},
           {spokeWith("  port: 0\n"), 6, {"spokes[0].port", "1 to 65535", "'0'"}},
           {"spokes:\n- name: a\n  sync_method: agent\n  path: /m\n  source: /s\n  port: 22\n",
            6,
            {"spokes[0].port", "'/s' is on this machine"}},
           {spokeWith("  keep_modes: 3\n"), 6, {"spokes[0].keep_modes", "true or false"}},
           {spokeWith("  schedule: {a: b}\n"), 6, {"spokes[0].schedule", "string"}},
           {spokeWith("  enable: true\n"), 6, {"'enable'", "Write 'enabled' if that is meant"}},
           {spokeWith("  rsync_options: fast\n"), 6, {"spokes[0].rsync_options", "mapping"}},
           {spokeWith("  rsync_options:\n    bwlimit: 5\n"),
            7,
            {"'bwlimit'", "spokes[0].rsync_options", "Write 'bw_limit' if that is meant"}},
           {spokeWith("  rsync_options:\n    bw_limit: -1\n"),
            7,
            {"spokes[0].rsync_options.bw_limit", "'-1'"}},
           {spokeWith("  rsync_options:\n    bw_limit: 1.5\n"), 7, {"bw_limit", "whole number"}},
           {spokeWith("  rsync_options:\n    timeout_seconds: 0\n"),
            7,
            {"timeout_seconds", "1 to 86400"}},
           {spokeWith("  rsync_options:\n    delete: always\n"), 7, {"delete", "true or false"}},
           {spokeWith("  rsync_options:\n    extra_args: --x\n"), 7, {"extra_args", "list"}},
           {spokeWith("  rsync_options:\n    extra_args: [[a]]\n"), 7, {"extra_args", "list"}},
           {spokeWith("- name: a\n  sync_method: agent\n  path: /n\n  source: h:p\n"),
            6,
            {"spokes[1].name", "'a'", "another spoke"}},
           {spokeWith("- name: b\n  sync_method: agent\n  path: /m/\n  source: h:p\n"),
            8,
            {"spokes[1].path", "'a'"}},
           {"hub:\n  web_ui_port: 1: 2\n", 2, {"not YAML", "quote"}},
           {"hub:\n\tx: 1\n", 2, {"indented with a tab"}},
           {"hub: *nowhere\n", 1, {"not YAML"}},
       }) {
    auto error = errorOf(text);
    auto place = dir_ / "config.yaml" + ":" + (line > 0 ? std::to_string(line) + ": " : "");
    EXPECT_EQ(error.substr(0, place.size()), place) << text << error;
    for (auto& part : says) EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
  }
}

TEST_F(ConfigTest, names) {
  auto named = [](const std::string& name) {
    return "spokes:\n- sync_method: agent\n  path: /m\n  source: h:p\n  name: " + name + "\n";
  };
  for (auto name : {"laptop", "my laptop", "büro", "a.b", "'1'", "a@b"}) {
    EXPECT_TRUE(load(named(name)).ok()) << name;
  }
  for (auto name :
       {"a/b", "..", ".hidden", "-x", "\"a\\nb\"", "\"\\e[2J\"", "'a\\b'", "\"\\u202Ex\""}) {
    auto error = errorOf(named(name));
    EXPECT_NE(error.find("config.yaml:5: spokes[0].name"), std::string::npos) << name << error;
    EXPECT_EQ(error.find('\x1b'), std::string::npos);
  }
  EXPECT_NE(errorOf(named(std::string(256, 'x'))), "(accepted)");
}

constexpr char SPOKE[] = "  - name: a\n    sync_method: agent\n    source: h1:~/x\n    path: /m\n";

// Returns the text with this prefix before each line.
std::string indented(const std::string& text, const std::string& blanks) {
  std::string out;
  for (size_t start = 0; start < text.size();) {
    auto end = text.find('\n', start) + 1;
    out += blanks + text.substr(start, end - start);
    start = end;
  }
  return out;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

TEST_F(ConfigTest, noSpokeIsEverOverlooked) {
  const std::string spoke = SPOKE, list = "spokes:\n" + spoke, nbsp = "\u00a0";
  struct Case {
    std::string text;
    int line;
    std::vector<std::string> says;
  };
  for (auto& [text, line, says] : {
           Case{"hub: {}\nspoke:\n" + spoke, 2, {"'spoke' is not read", "call it 'spokes'"}},
           {"Spokes:\n" + spoke, 1, {"'Spokes'", "'spokes'"}},
           {"SPOKES:\n", 1, {"'SPOKES'"}},
           {"spoke:\n", 1, {"'spoke'"}},
           {"spoks: []\n", 1, {"'spoks'"}},
           {"sopkes:\n" + spoke, 1, {"'sopkes'"}},
           {"spokes :x:\n" + spoke, 1, {"'spokes :x'"}},
           {"spokes:- name: a\n", 1, {"'spokes:- name'"}},
           {list + "spoke:\n" + spoke, 6, {"'spoke'"}},
           {"sync:\n  spokes:\n" + indented(spoke, "  "), 2, {"beneath 'sync'", "left margin"}},
           {"hub:\n  spokes:\n" + indented(spoke, "  "), 2, {"beneath 'hub'", "left margin"}},
           {"x: [{y: {spokes: [{name: a, source: b}]}}]\n", 1, {"beneath 'x'"}},
           {"machines:\n" + spoke, 1, {"'machines'", "Call it 'spokes'"}},
           {"machines:\n  a: {sync_method: agent}\n", 1, {"'machines'"}},
           {"base: &b\n  spokes:\n" + indented(spoke, "  ") + "<<: *b\n", 2, {"beneath 'base'"}},
           {"spokes:\nname: a\nsync_method: agent\n", 3, {"field of a spoke", "- name"}},
           {"spokes:\n-name: a\n", 2, {"'-'", "'- name: …'"}},
           {"spokes:\n" + replaced(spoke, "  ", nbsp + nbsp), 2, {"U+00A0"}},
           {"spokes:\n" + replaced(spoke, "- ", "-" + nbsp), 2, {"U+00A0"}},
           {"spokes:\n" + replaced(spoke, "    path", "    " + nbsp + "path"), 5, {"U+00A0"}},
           {"spokes:\n" + replaced(spoke, "    path", "  " + nbsp + " path"), 5, {"U+00A0"}},
           {"spokes:" + nbsp + "\n" + spoke, 1, {"U+00A0"}},
           {"spokes:\n" + replaced(spoke, "  ", "\u3000"), 2, {"U+3000"}},
           {"hub: {}\n\ufeffspokes:\n" + spoke, 2, {"U+FEFF"}},
           {"spokes:\n" + replaced(spoke, "  ", "\t"), 2, {"indented with a tab"}},
           {"spokes: a\n", 1, {"must be a list"}},
           {"spokes: |\n" + spoke, 1, {"must be a list"}},
           {"spokes:\n  a: {sync_method: agent}\n", 2, {"must be a list"}},
           {"spokes: {}\n", 1, {"must be a list"}},
           {"spokes\n", 1, {"mapping"}},
           {"hub: {}\n---\n" + list, 2, {"second YAML document", "'---'"}},
           {"hub: {}\n...\n" + list, 2, {"second YAML document", "'...'"}},
           {list + "---\n", 6, {"second YAML document"}},
           {replaced(list, "\n", "\r"), 1, {"carriage return"}},
           {"# spokes\r" + list, 1, {"carriage return"}},
           {replaced(list, "\n", "\r\r\n"), 1, {"carriage return"}},
           {list + "spokes: []\n", 6, {"'spokes:' is given twice"}},
           {list + "\"spokes\": []\n", 6, {"'spokes:' is given twice"}},
           {"Hub: {}\n", 1, {"'Hub'", "call it 'hub'"}},
           {"hubs:\n  archive_dir: /x\n", 1, {"'hubs'"}},
           {"hub:\narchive_dir: /x\n", 2, {"'archive_dir' is a field of 'hub:'"}},
       }) {
    auto error = errorOf(text);
    auto place = dir_ / "config.yaml" + ":" + std::to_string(line) + ": ";
    EXPECT_EQ(error.substr(0, place.size()), place) << text << error;
    for (auto& part : says) EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
  }
}

TEST_F(ConfigTest, sectionsOfOtherProgramsAreIgnored) {
  const std::string list = std::string("spokes:\n") + SPOKE;
  for (std::string text :
       {"daemon: {spokes: [a, b]}\nagents: [1]\n", "spoke_defaults: {a: b}\n", "hub_url: x\n",
        "smoke: {name: a, path: b}\n", "sub: {archive: x}\n", "sources: [{name: a, source: b}]\n",
        "? [a]\n: b\n", "1: 2\n~: 3\n", "dashboard:\n  spokes:\n    - {name: a, color: red}\n"}) {
    for (auto& whole : {text, text + list}) {
      auto config = load(whole);
      ASSERT_TRUE(config.ok()) << whole << config.status();
      EXPECT_EQ(config->doubt, std::nullopt) << whole;
    }
  }
  // It may belong to another program, or be the list of spokes.
  EXPECT_NE(load("query: {}\nspoke: {role: x}\n")->doubt->find("line 2: the section 'spoke'"),
            std::string::npos);
  EXPECT_NE(
      load("list:\n  - {name: a, source: b, path: c}\n")
          ->doubt->find("line 1: the section 'list' is not read, but looks like a list of spokes"),
      std::string::npos);
  EXPECT_EQ(load(list + "list: [{name: a, source: b, path: c}]\n")->doubt, std::nullopt);
  EXPECT_EQ(load(list + "spoke: {role: x}\n")->doubt, std::nullopt);
  EXPECT_EQ(load(list + "spoke: {name: me, path: /x}\n")->doubt, std::nullopt);
}

TEST_F(ConfigTest, validForms) {
  const std::string list = std::string("spokes:\n") + SPOKE;
  for (auto& text : {list, "\ufeff" + list, replaced(list, "\n", "\r\n"), list + "...\n",
                     list + "...\n# the end\n", "%YAML 1.2\n---\n" + list, "--- # mine\n" + list,
                     indented(list, "  "), "\"spokes\":\n" + std::string(SPOKE)}) {
    auto config = load(text);
    ASSERT_TRUE(config.ok()) << text << config.status();
    ASSERT_EQ(config->spokes.size(), 1u) << text;
    EXPECT_EQ(config->spokes[0].path, "/m") << text;
  }
}

// yaml-cpp finds endless documents in the first, and reads only half of the second.
TEST_F(ConfigTest, strayEndsAreRefused) {
  EXPECT_NE(errorOf(",").find("config.yaml:1: this is not YAML"), std::string::npos);
  EXPECT_NE(errorOf("- a\nspokes\n").find("config.yaml:2: this is not YAML"), std::string::npos);
}

TEST_F(ConfigTest, endlessAliasesDoNotHang) {
  std::string text = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 60; ++i) {
    auto before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " + before +
            "]\n";
  }
  EXPECT_TRUE(load(text).ok());
  EXPECT_TRUE(load("a: &a\n  b: *a\n  c: [*a]\nd: *a\n").ok());
}

// A value that other parsers take for a number or a boolean is a string.
TEST_F(ConfigTest, plainTexts) {
  for (std::string name : {"007", "true", "no", "1e3", "12:30:45", "2026-01-01", "=", "0x1f"}) {
    auto config = load(replaced(std::string("spokes:\n") + SPOKE, "name: a", "name: " + name));
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->spokes[0].name, name);
  }
}

TEST_F(ConfigTest, sources) {
  auto with = [&](const std::string& source, const std::string& method = "agent") {
    return errorOf("spokes:\n- name: a\n  sync_method: " + method +
                   "\n  path: /m\n  source: " + source + "\n");
  };
  for (auto method : {"agent", "rsync"}) {
    for (auto source : {"ssh://u@h:2222/x", "u@h:2222:~/x", "box::sessions", "'u@h:'", "::1:/x",
                        "C:/x", "relative", "'h:~/x '"}) {
      auto error = with(source, method);
      EXPECT_NE(error.find("config.yaml:5: spokes[0].source: '"), std::string::npos) << error;
    }
    for (auto none : {"", "~", "null", "''"}) {
      auto error = with(none, method);
      EXPECT_NE(error.find("config.yaml:5: spokes[0].source "), std::string::npos) << error;
      EXPECT_NE(error.find("Write user@host:path"), std::string::npos) << error;
    }
  }
  EXPECT_NE(with("h:~other/x").find("'~other/x' is not a path that the agent understands"),
            std::string::npos);
  EXPECT_EQ(with("h:~other/x", "rsync"), "(accepted)") << "a shell expands it";
  EXPECT_EQ(with("", "syncthing"), "(accepted)");
}

}  // namespace
}  // namespace pibrain
