#include "hub/ssh/resolve.h"

#include <gtest/gtest.h>
#include <pwd.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

const std::string BASE = "hostname real.example\nuser me\n";

using Files = std::vector<std::string>;

std::string home() { return getpwuid(getuid())->pw_dir; }

class Resolve : public testing::Test {
 protected:
  Resolve() { setenv("SSH_AUTH_SOCK", "/run/agent", 1); }
  ~Resolve() override {
    before_.empty() ? unsetenv("SSH_AUTH_SOCK") : setenv("SSH_AUTH_SOCK", before_.c_str(), 1);
  }

  std::string before_ = getenv("SSH_AUTH_SOCK") == nullptr ? "" : getenv("SSH_AUTH_SOCK");
};

TEST_F(Resolve, everySetting) {
  auto target = parseSshConfig(
      "User me\nhostname real.example\nPORT 2222\nhostkeyalias Alias\nidentitiesonly yes\n"
      "connecttimeout 7\nidentityfile ~/.ssh/one\nidentityfile /keys/two words\n"
      "identityagent /run/other agent\nuserknownhostsfile /u/one /u/two\n"
      "globalknownhostsfile /g/one\nproxyjump none\nproxycommand none\n",
      "alias");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->alias, "alias");
  EXPECT_EQ(target->host, "real.example");
  EXPECT_EQ(target->user, "me");
  EXPECT_EQ(target->port, 2222);
  EXPECT_EQ(target->hostKeyAlias, "Alias");
  EXPECT_TRUE(target->identitiesOnly);
  EXPECT_EQ(target->connectTimeout, 7u);
  EXPECT_EQ(target->identityFiles, (Files{home() + "/.ssh/one", "/keys/two words"}));
  EXPECT_EQ(target->identityAgent, "/run/other agent");
  EXPECT_EQ(target->knownHostsFiles, (Files{"/u/one", "/u/two", "/g/one"}));
}

TEST_F(Resolve, defaults) {
  auto target = parseSshConfig(BASE, "alias");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->port, 22);
  EXPECT_EQ(target->hostKeyAlias, "");
  EXPECT_FALSE(target->identitiesOnly);
  EXPECT_EQ(target->connectTimeout, 15u);
  EXPECT_EQ(target->identityAgent, "/run/agent");
  EXPECT_TRUE(target->identityFiles.empty());
  for (auto port : {"0", "65536", "-1", "x", ""}) {
    EXPECT_EQ(parseSshConfig(BASE + "port " + port + "\n", "a")->port, 22) << port;
  }
  EXPECT_EQ(parseSshConfig(BASE + "connecttimeout none\n", "a")->connectTimeout, 15u);
}

TEST_F(Resolve, firstValueCounts) {
  auto target = parseSshConfig(BASE + "user other\nport 23\nport 24\n", "a");
  EXPECT_EQ(target->user, "me");
  EXPECT_EQ(target->port, 23);
}

TEST_F(Resolve, noneIsNothing) {
  auto target = parseSshConfig(BASE +
                                   "hostkeyalias none\nidentityfile none\nidentityagent none\n"
                                   "userknownhostsfile none\nglobalknownhostsfile none\n",
                               "a");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->hostKeyAlias, "");
  EXPECT_TRUE(target->identityFiles.empty());
  EXPECT_EQ(target->identityAgent, "");
  EXPECT_TRUE(target->knownHostsFiles.empty());
}

TEST_F(Resolve, agentSockets) {
  setenv("PIBRAIN_TEST", "/run/test", 1);
  for (auto& [setting, agent] : {std::pair<std::string, std::string>{"SSH_AUTH_SOCK", "/run/agent"},
                                 {"$PIBRAIN_TEST", "/run/test"},
                                 {"$PIBRAIN_UNSET", ""},
                                 {"~/agent", home() + "/agent"},
                                 {"/run/%r", "/run/me"}}) {
    EXPECT_EQ(parseSshConfig(BASE + "identityagent " + setting + "\n", "a")->identityAgent, agent);
  }
  unsetenv("PIBRAIN_TEST");
}

TEST_F(Resolve, tokensAndVariables) {
  setenv("PIBRAIN_TEST", "value", 1);
  std::string local = getpwuid(getuid())->pw_name;
  for (auto& [setting, file] : {
           std::pair<std::string, std::string>{"%d/k", home() + "/k"},
           {"/k/%h-%n-%p-%r-%u-%%", "/k/real.example-alias-2222-me-" + local + "-%"},
           {"/k/${PIBRAIN_TEST}/${PIBRAIN_UNSET}x", "/k/value/x"},
           {"/k/${unclosed", "/k/${unclosed"},
           {"/k/100%", "/k/100%"},
           {"~", home()},
           {"~other/k", "~other/k"},
           {"/k/$PLAIN", "/k/$PLAIN"},
       }) {
    auto target = parseSshConfig(BASE + "port 2222\nidentityfile " + setting + "\n", "alias");
    EXPECT_EQ(target->identityFiles, Files{file}) << setting;
  }
  unsetenv("PIBRAIN_TEST");
}

TEST_F(Resolve, whatCannotBeObeyedIsNamed) {
  for (auto& [setting, name] :
       {std::pair<std::string, std::string>{"proxyjump bastion", "ProxyJump"},
        {"proxycommand nc \x1b[2J %h %p", "ProxyCommand"}}) {
    auto target = parseSshConfig(BASE + setting + "\n", "alias");
    ASSERT_FALSE(target.ok());
    auto message = std::string(target.status().message());
    EXPECT_NE(message.find("'alias'"), std::string::npos) << message;
    EXPECT_NE(message.find(name), std::string::npos) << message;
    EXPECT_EQ(message.find('\x1b'), std::string::npos);
  }
}

TEST_F(Resolve, outputWithoutAHostOrUserIsAnError) {
  for (auto text : {"", "hostname h\n", "user u\n", "garbage", "\n\n"}) {
    EXPECT_FALSE(parseSshConfig(text, "a").ok()) << text;
  }
}

TEST_F(Resolve, asksSsh) {
  TempDir dir;
  dir.write("config",
            "Host alias\n  HostName real.example\n  Port 2222\n  User configured\n"
            "  IdentityFile ~/.ssh/one\n  IdentityFile /k/two\n");
  auto target = resolveSsh("", "alias", dir / "config");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->host, "real.example");
  EXPECT_EQ(target->port, 2222);
  EXPECT_EQ(target->user, "configured");
  EXPECT_EQ(target->identityFiles, (Files{home() + "/.ssh/one", "/k/two"}));
  EXPECT_EQ(resolveSsh("given", "alias", dir / "config")->user, "given");
  EXPECT_FALSE(target->knownHostsFiles.empty());

  dir.write("config", "NoSuchSetting yes\n");
  auto broken = resolveSsh("", "alias", dir / "config");
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.status().message().find("'alias'"), std::string::npos);
}

TEST_F(Resolve, withoutSshItKnowsTheDefaults) {
  std::string path = getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  auto target = resolveSsh("", "host.example", "");
  setenv("PATH", path.c_str(), 1);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->host, "host.example");
  EXPECT_EQ(target->user, getpwuid(getuid())->pw_name);
  EXPECT_EQ(target->identityFiles.size(), 3u);
  EXPECT_EQ(target->knownHostsFiles.at(0), home() + "/.ssh/known_hosts");
}

}  // namespace
}  // namespace pibrain
