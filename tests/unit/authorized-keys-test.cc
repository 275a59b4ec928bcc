#include "spoke-agent/setup/authorized-keys.h"

#include <gtest/gtest.h>
#include <kj/exception.h>

namespace pibrain {
namespace {

const std::string KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPx9 me@hub";

TEST(AuthorizedKeys, line) {
  struct Case {
    std::string key, agent, home, root, from, line;
  };
  for (auto& [key, agent, home, root, from, line] : {
           Case{KEY + "\n", "/opt/agent", "/home/me", "/home/me/s", "",
                "restrict,command=\"/opt/agent --root=/home/me/s\" " + KEY},
           {KEY, "/opt/agent", "", "/s", "", "restrict,command=\"/opt/agent --root=/s\" " + KEY},
           {KEY + "\r\n\n", "/opt/agent", "", "/s", "192.0.2.0/24,!10.*",
            "restrict,from=\"192.0.2.0/24,!10.*\",command=\"/opt/agent --root=/s\" " + KEY},
           // Nothing that a shell would unquote.
           {KEY, "/home/my self/agent", "/home/my self", "/a b", "",
            "restrict,command=\"~/agent --root=bytes:/a%20b\" " + KEY},
           {KEY, "/opt/agent", "", "/a\"b'c\\d", "",
            "restrict,command=\"/opt/agent --root=bytes:/a%22b%27c%5Cd\" " + KEY},
           {KEY, "/opt/agent", "", "/$(id)", "",
            "restrict,command=\"/opt/agent --root=bytes:/%24%28id%29\" " + KEY},
           {KEY, "/opt/agent", "", "/s\n/t", "",
            "restrict,command=\"/opt/agent --root=bytes:/s%0A/t\" " + KEY},
       }) {
    EXPECT_EQ(authorizedKeysLine(key, agent, home, root, from), line);
  }
}

TEST(AuthorizedKeys, keyTypes) {
  for (std::string type :
       {"ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"}) {
    EXPECT_TRUE(
        authorizedKeysLine(type + " AAAAB3", "/a", "", "/s", "").ends_with(type + " AAAAB3"));
  }
}

TEST(AuthorizedKeys, invalidInputIsRefusedWithAMessage) {
  struct Case {
    std::string key, agent, root, from, says;
  };
  const std::string privateKey =
      "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n";
  for (auto& it : {
           Case{privateKey, "/a", "/s", "", "private key"},
           {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "/a", "/s", "", "private key"},
           {"", "/a", "/s", "", "not an OpenSSH public key"},
           {"\n" + KEY, "/a", "/s", "", "not an OpenSSH public key"},
           {"hello world", "/a", "/s", "", "not an OpenSSH public key"},
           {"ssh-ed25519", "/a", "/s", "", "not an OpenSSH public key"},
           {"ssh-ed25519 hello", "/a", "/s", "", "not an OpenSSH public key"},
           {"command=\"/bin/sh\" " + KEY, "/a", "/s", "", "not an OpenSSH public key"},
           {KEY + "\n" + KEY, "/a", "/s", "", "more than one line"},
           {KEY + "\r" + KEY, "/a", "/s", "", "more than one line"},
           {KEY, "/a", "/s", "10.0.0.1\nssh-rsa AAAA", "line break"},
           {KEY, "/a", "/s", "10.0.0.1\r", "line break"},
           {KEY, "/a", "/s", std::string("10\0.0.1", 7), "line break"},
           {KEY, "/a", "/s", "10.0.0.1\\", "a quote or a backslash"},
           {KEY, "/a", "/s", "10.0.0.1\"", "a quote or a backslash"},
           {KEY, "/a\nb", "/s", "", "needs quotes"},
           {KEY, "/opt/my agent", "/s", "", "needs quotes"},
           {KEY, "", "/s", "", "full path"},
       }) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
                  authorizedKeysLine(it.key, it.agent, "/home/me", it.root, it.from);
                })) {
      EXPECT_NE(std::string(e->getDescription().cStr()).find(it.says), std::string::npos)
          << e->getDescription().cStr();
    } else {
      ADD_FAILURE() << "accepted: " << it.key << " / " << it.root << " / " << it.from;
    }
  }
}

}  // namespace
}  // namespace pibrain
