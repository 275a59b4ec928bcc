#include "hub/ssh/resolve.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/parse-config.h"
#include "hub/ssh/target.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "hub/ssh/config-files.h"
#include "hub/ssh/invocation.h"
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
      "globalknownhostsfile /g/one\nproxyjump a,b\nproxycommand nc %h\naddressfamily inet6\n"
      "bindaddress ::1\nserveraliveinterval 9\nserveralivecountmax 2\nrevokedhostkeys ~/rev\n"
      "stricthostkeychecking accept-new\nhashknownhosts yes\nbatchmode yes\n"
      "hostkeyalgorithms k1,k2\nkexalgorithms x1\nciphers c1,c2\nmacs m1\n"
      "pubkeyacceptedalgorithms p1\n",
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
  EXPECT_EQ(target->userKnownHostsFiles, (Files{"/u/one", "/u/two"}));
  EXPECT_EQ(target->globalKnownHostsFiles, Files{"/g/one"});
  EXPECT_EQ(target->proxyJump, "a,b");
  EXPECT_EQ(target->proxyCommand, "nc %h");
  EXPECT_EQ(target->addressFamily, AF_INET6);
  EXPECT_EQ(target->bindAddress, "::1");
  EXPECT_EQ(target->serverAliveInterval, 9u);
  EXPECT_EQ(target->serverAliveCountMax, 2u);
  EXPECT_EQ(target->revokedHostKeys, home() + "/rev");
  EXPECT_TRUE(target->acceptNewHostKeys);
  EXPECT_TRUE(target->hashKnownHosts);
  EXPECT_TRUE(target->batchMode);
  EXPECT_EQ(target->hostKeyAlgorithms, (Files{"k1", "k2"}));
  EXPECT_EQ(target->kexAlgorithms, Files{"x1"});
  EXPECT_EQ(target->ciphers, (Files{"c1", "c2"}));
  EXPECT_EQ(target->macs, Files{"m1"});
  EXPECT_EQ(target->pubkeyAlgorithms, Files{"p1"});
  EXPECT_TRUE(target->onlyOpenssh.empty());
}

TEST_F(Resolve, defaults) {
  auto target = parseSshConfig(BASE, "alias");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->port, 22);
  EXPECT_EQ(target->hostKeyAlias, "");
  EXPECT_FALSE(target->identitiesOnly);
  EXPECT_FALSE(target->acceptNewHostKeys);
  EXPECT_FALSE(target->hashKnownHosts);
  EXPECT_FALSE(target->batchMode);
  EXPECT_EQ(target->addressFamily, AF_UNSPEC);
  EXPECT_EQ(target->serverAliveInterval, 0u);
  EXPECT_TRUE(target->onlyOpenssh.empty());
  EXPECT_EQ(target->connectTimeout, 15u);
  EXPECT_EQ(target->identityAgent, "/run/agent");
  EXPECT_TRUE(target->identityFiles.empty());
  for (auto port : {"0", "65536", "-1", "x", ""}) {
    EXPECT_EQ(parseSshConfig(BASE + "port " + port + "\n", "a")->port, 22) << port;
  }
  EXPECT_EQ(parseSshConfig(BASE + "connecttimeout none\n", "a")->connectTimeout, 15u);
}

TEST_F(Resolve, theFirstValueCounts) {
  auto target = parseSshConfig(BASE + "user other\nport 23\nport 24\n", "a");
  EXPECT_EQ(target->user, "me");
  EXPECT_EQ(target->port, 23);
}

TEST_F(Resolve, noneMeansNoValue) {
  auto target = parseSshConfig(BASE +
                                   "hostkeyalias none\nidentityfile none\nidentityagent none\n"
                                   "userknownhostsfile none\nglobalknownhostsfile none\n"
                                   "proxyjump none\nproxycommand none\nrevokedhostkeys none\n"
                                   "knownhostscommand none\n",
                               "a");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->hostKeyAlias, "");
  EXPECT_TRUE(target->identityFiles.empty());
  EXPECT_EQ(target->identityAgent, "");
  EXPECT_TRUE(target->userKnownHostsFiles.empty());
  EXPECT_TRUE(target->globalKnownHostsFiles.empty());
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

TEST_F(Resolve, settingsThatOnlyOpensshObeysAreNamed) {
  TempDir dir;
  dir.write("cert.pub", "");
  for (std::string setting :
       {"KnownHostsCommand /bin/x %H", "PKCS11Provider /lib/p.so", "BindInterface eth0",
        "HostbasedAuthentication yes", "VerifyHostKeyDNS true", "ProxyUseFdpass yes",
        "PubkeyAuthentication false", "PubkeyAuthentication no", "CheckHostIP yes",
        "PreferredAuthentications password,keyboard-interactive", "RequiredRSASize 3072"}) {
    auto target = parseSshConfig(BASE + setting + "\n", "alias");
    ASSERT_TRUE(target.ok());
    EXPECT_EQ(target->onlyOpenssh, Files{setting});
  }
  auto certificate = "CertificateFile " + dir / "cert.pub";
  EXPECT_EQ(parseSshConfig(BASE + certificate + "\n", "a")->onlyOpenssh, Files{certificate});
  for (std::string setting :
       {"HostbasedAuthentication no", "VerifyHostKeyDNS false", "PubkeyAuthentication true",
        "CheckHostIP no", "PreferredAuthentications gssapi-with-mic,publickey",
        "RequiredRSASize 1024", "CertificateFile /no/such-cert.pub", "PKCS11Provider none"}) {
    EXPECT_EQ(parseSshConfig(BASE + setting + "\n", "a")->onlyOpenssh, Files{}) << setting;
  }
  // A token whose meaning depends on ssh's version.
  EXPECT_EQ(parseSshConfig(BASE + "identityfile ~/.ssh/%C\n", "a")->onlyOpenssh,
            Files{"IdentityFile " + home() + "/.ssh/%C"});
}

TEST_F(Resolve, kerberosCountsForUsersWithATicket) {
  auto gssapi = BASE + "gssapiauthentication yes\n";
  unsetenv("KRB5CCNAME");
  if (access(("/tmp/krb5cc_" + std::to_string(getuid())).c_str(), F_OK) != 0) {
    EXPECT_EQ(parseSshConfig(gssapi, "a")->onlyOpenssh, Files{});
  }
  setenv("KRB5CCNAME", "FILE:/ticket", 1);
  EXPECT_EQ(parseSshConfig(gssapi, "a")->onlyOpenssh, Files{"GSSAPIAuthentication yes"});
  unsetenv("KRB5CCNAME");
}

TEST_F(Resolve, strictHostKeyChecking) {
  for (auto& [value, accepts] : {std::pair<std::string, bool>{"true", false},
                                 {"ask", false},
                                 {"accept-new", true},
                                 {"false", true},
                                 {"off", false},
                                 {"", false}}) {
    EXPECT_EQ(
        parseSshConfig(BASE + "stricthostkeychecking " + value + "\n", "a")->acceptNewHostKeys,
        accepts)
        << value;
  }
}

TEST_F(Resolve, knownHostsFilesWithSpaces) {
  auto target = parseSshConfig(BASE + "userknownhostsfile /a b/kh ~/two\n", "a");
  EXPECT_EQ(target->onlyOpenssh, Files{"UserKnownHostsFile /a b/kh ~/two"});
  target = parseSshConfig(BASE + "userknownhostsfile one two\n", "a");
  EXPECT_EQ(target->onlyOpenssh, Files{"UserKnownHostsFile one two"});
  EXPECT_EQ(parseSshConfig(BASE + "userknownhostsfile one\n", "a")->userKnownHostsFiles,
            Files{"one"});
}

TEST_F(Resolve, proxyCommandTokens) {
  auto target = parseSshConfig(BASE + "port 99\nproxycommand x %h %n %p %r %% %d %\n", "alias");
  EXPECT_EQ(expandProxyTokens(target->proxyCommand, *target), "x real.example alias 99 me % %d %");
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
  auto target = resolveSsh({"alias", "", dir / "config"});
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->host, "real.example");
  EXPECT_EQ(target->port, 2222);
  EXPECT_EQ(target->user, "configured");
  EXPECT_EQ(target->identityFiles, (Files{home() + "/.ssh/one", "/k/two"}));
  EXPECT_EQ(resolveSsh({"alias", "given", dir / "config"})->user, "given");
  EXPECT_FALSE(target->userKnownHostsFiles.empty());
  EXPECT_EQ(target->configFile, dir / "config");

  dir.write("config", "NoSuchSetting yes\n");
  auto broken = resolveSsh({"alias", "", dir / "config"});
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.status().message().find("'alias'"), std::string::npos);
}

// Without ssh, a configuration is not ignored: it may have a proxy.
TEST_F(Resolve, withoutSshTheDefaultsApply) {
  std::string path = getenv("PATH");
  TempDir dir;
  dir.write("config", "Host host.example\n  ProxyCommand /bin/false\n");
  setenv("PATH", "/nowhere", 1);
  auto target = resolveSsh({"host.example", "", "/dev/null"});
  auto configured = resolveSsh({"host.example", "", dir / "config"});
  auto missing = resolveSsh({"host.example", "", dir / "missing"});
  EXPECT_EQ(resolveSsh({"host.example"}).ok(), !hasSshConfig(""));
  setenv("PATH", path.c_str(), 1);
  for (auto& refused : {configured, missing}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.status().message().find("ssh was not found on PATH"), std::string::npos);
  }
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->host, "host.example");
  EXPECT_EQ(target->user, getpwuid(getuid())->pw_name);
  EXPECT_EQ(target->identityFiles.size(), 3u);
  EXPECT_EQ(target->userKnownHostsFiles.at(0), home() + "/.ssh/known_hosts");
}

// A file that would block, or that ssh would take for something else, is an error for every
// connection.
TEST_F(Resolve, unusableFilesAreErrors) {
  TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  auto pipe = dir / "pipe";
  for (auto& config :
       {"Host *\n  RevokedHostKeys " + pipe, "Host *\n  UserKnownHostsFile /dev/null " + pipe,
        "Host *\n  GlobalKnownHostsFile " + pipe, "Host *\n  IdentityFile " + pipe,
        "Host *\n  CertificateFile " + pipe, "Include " + pipe}) {
    dir.write("config", config + "\n");
    auto target = resolveSsh({"alias", "", dir / "config"});
    ASSERT_FALSE(target.ok()) << config;
    EXPECT_NE(target.status().message().find(pipe + ", which is not a regular file"),
              std::string::npos)
        << target.status();
  }
  dir.write("config", "Host *\n  UserKnownHostsFile /dev/null\n  GlobalKnownHostsFile /dev/null\n");
  EXPECT_TRUE(resolveSsh({"alias", "", dir / "config"}).ok());
  EXPECT_FALSE(resolveSsh({"alias", "", dir / "config", pipe}).ok());
  ASSERT_EQ(mkfifo((dir / "key.pub").c_str(), 0600), 0);
  EXPECT_FALSE(resolveSsh({"alias", "", dir / "config", dir / "key"}).ok());
  EXPECT_FALSE(resolveSsh({"alias", "", pipe}).ok());
}

TEST_F(Resolve, aPortThatIsGivenComesFirst) {
  TempDir dir;
  dir.write("config",
            "Host *\n  Port 1\n  UserKnownHostsFile /dev/null\n  ProxyCommand nc %h %p\n");
  auto configured = resolveSsh({"alias", "", dir / "config"});
  ASSERT_TRUE(configured.ok()) << configured.status();
  EXPECT_EQ(configured->port, 1);
  EXPECT_FALSE(configured->portGiven);
  auto given = resolveSsh({"alias", "", dir / "config", "", 2222});
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->port, 2222);
  EXPECT_TRUE(given->portGiven);
  EXPECT_NE(sshInvocation(*given).find(" -p 2222 alias"), std::string::npos);
  EXPECT_EQ(sshInvocation(*configured).find(" -p "), std::string::npos);
}

TEST_F(Resolve, keyNamesWithVariables) {
  auto target = resolveSsh({"alias", "", "/dev/null", "/keys/${HOME}"});
  ASSERT_FALSE(target.ok());
  EXPECT_NE(target.status().message().find("/keys/${HOME}, has '${' in it"), std::string::npos);
  EXPECT_TRUE(resolveSsh({"alias", "", "/dev/null", "/keys/100%"}).ok());
}

TEST(SshConfigState, changesWithTheQuery) {
  TempDir dir;
  dir.write("config", "Host a\n  Port 1\nHost b\n  ProxyJump c\n");
  std::set<std::string> states;
  for (auto& request : {SshRequest{"a", "", dir / "config"},
                        {"b", "", dir / "config"},
                        {"a", "b", dir / "config"},
                        {"a", "", dir / "config", "/key"},
                        {"a", "", dir / "config", "", 2},
                        {"a", "", dir / "other"}}) {
    states.insert(sshConfigState(request));
    EXPECT_EQ(sshConfigState(request), sshConfigState(request));
  }
  EXPECT_EQ(states.size(), 6u);
  EXPECT_FALSE(states.contains(""));
}

TEST(SshConfigState, changesWithEachFile) {
  TempDir dir;
  auto path = [&](const std::string& name) { return std::string(dir / name); };
  auto state = [&](const std::string& name) { return sshConfigState({"a", "", path(name)}); };
  dir.write("config", "Include " + path("conf.d") + "/*\nHost a\n  Port 1\n");
  auto before = state("config");
  EXPECT_NE(before, "");
  EXPECT_EQ(state("config"), before);
  dir.write("conf.d/one", "Host b\n");
  auto one = state("config");
  EXPECT_NE(one, before);
  dir.write("conf.d/one", "Host b\n  ProxyJump c\n");
  EXPECT_NE(state("config"), one);
  EXPECT_NE(state("missing"), "");
}

TEST(SshConfigState, isUnknownIfOtherInputsDecide) {
  TempDir dir;
  for (auto* line : {"Match host a user b", "match !originalhost=a,b all", "Match localuser x",
                     "CanonicalizeHostname no", "Include /dev/null"}) {
    dir.write("config", absl::StrCat("Host a\n", line, "\n"));
    EXPECT_NE(sshConfigState({"a", "", dir / "config"}), "") << line;
  }
  for (auto* line : {"Match host a exec \"on-vpn\"", "  match Exec=x", "Include %d/x",
                     "Include \"a b\"", "Match final", "Match canonical host a",
                     "Match host a localnetwork 10.0.0.0/8", "Match !tagged x", "Match host \"a\"",
                     "\"Match\" exec x", "CanonicalizeHostname yes", "Match host"}) {
    dir.write("config", absl::StrCat("Host a\n", line, "\n"));
    EXPECT_EQ(sshConfigState({"a", "", dir / "config"}), "") << line;
  }
  dir.write("config", "Include " + std::string(dir / "config") + "\n");
  EXPECT_EQ(sshConfigState({"a", "", dir / "config"}), "");
}

}  // namespace
}  // namespace pibrain
