#include "hub/config/source.h"

#include <gtest/gtest.h>

#include <vector>

namespace pibrain {
namespace {

TEST(Source, validSources) {
  struct Case {
    std::string text, user, host, path;
  };
  for (auto& [text, user, host, path] : {
           Case{"host:path", "", "host", "path"},
           {"user@host:path", "user", "host", "path"},
           {"user@host.example:~/.pi/agent/sessions", "user", "host.example",
            "~/.pi/agent/sessions"},
           {"host:/a:b", "", "host", "/a:b"},
           {"host:a:b", "", "host", "a:b"},
           {"host:/dir@[x]:y", "", "host", "/dir@[x]:y"},
           {"host:~", "", "host", "~"},
           {"host:.", "", "host", "."},
           {"host:/a b/c", "", "host", "/a b/c"},
           {"host:./ a /", "", "host", "./ a /"},
           {"host:./2222/x", "", "host", "./2222/x"},
           {"host:20260101/x", "", "host", "20260101/x"},
           {"host:99999/x", "", "host", "99999/x"},
           {"host:22a/x", "", "host", "22a/x"},
           {"a@b@host:p", "a@b", "host", "p"},
           {"CORP\\will@host:p", "CORP\\will", "host", "p"},
           {"192.0.2.1:p", "", "192.0.2.1", "p"},
           {"my_host-1.example:p", "", "my_host-1.example", "p"},
           {"u@ssh:sessions", "u", "ssh", "sessions"},
           {"sshd:sessions", "", "sshd", "sessions"},
           {"u@file:/x", "u", "file", "/x"},
           {"u@c:/x", "u", "c", "/x"},
           {"h:x", "", "h", "x"},
           {"[2001:db8::1]:path", "", "2001:db8::1", "path"},
           {"[host]:path", "", "host", "path"},
           {"me@[fe80::1%eth0]:/a", "me", "fe80::1%eth0", "/a"},
           {"me@[::1]:~/a:b]:c", "me", "::1", "~/a:b]:c"},
           {"/local/path", "", "", "/local/path"},
           {"/local:with/colon", "", "", "/local:with/colon"},
           {"//x", "", "", "//x"},
           {"~", "", "", "~"},
           {"~/sessions:x", "", "", "~/sessions:x"},
       }) {
    auto source = parseSource(text);
    ASSERT_TRUE(source.ok()) << text << source.status();
    EXPECT_EQ(source->user, user) << text;
    EXPECT_EQ(source->host, host) << text;
    EXPECT_EQ(source->path, path) << text;
  }
}

struct Refused {
  std::string text;
  std::vector<std::string> says;
};

// The message names the text, and what to write instead.
void expectRefused(const Refused& refused, const absl::Status& status) {
  ASSERT_FALSE(status.ok()) << refused.text;
  std::string message(status.message());
  for (auto& part : refused.says) {
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  }
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(Source, formsOfOtherTools) {
  for (auto& refused : {
           Refused{"ssh://will@h1:2222/x",
                   {"'ssh://will@h1:2222/x' is a URL", "Write will@h1:/x", "'port: 2222'",
                    "a Host of ~/.ssh/config"}},
           {"sftp://will@h1/x", {"URL", "Write will@h1:/x"}},
           {"scp://h1/~/x", {"URL", "Write h1:~/x"}},
           {"SSH://h1", {"URL", "Write h1:~/.pi/agent/sessions"}},
           {"git+ssh://a:secret@[::1]:22/x", {"URL", "Write a@[::1]:/x", "'port: 22'"}},
           {"http://h1/x", {"URL"}},
           {" ssh://h1/x", {"URL"}},
           {"host://x", {"URL"}},
           {"rsync://h1/x", {"rsync daemon", "encrypts nothing", "Write h1:/x"}},
           {"file:///x/y", {"URL", "without 'file:': /x/y"}},
           {"file://localhost/x", {"URL", ": /x"}},
           {"file:/x", {"URL", ": /x"}},
           {"will@h1:2222:~/x", {"a port", "Write will@h1:~/x", "'port: 2222'"}},
           {"will@h1:2222/x", {"a port", "will@h1:/x", "'port: 2222'", "'./2222/x'"}},
           {"h1:2222", {"a port", "'port: 2222'", "'./2222'"}},
           {"h1:022:", {"a port"}},
           {"h1:65535:x", {"a port"}},
           {"[::1]:2222:~/x", {"a port", "Write [::1]:~/x", "'port: 2222'"}},
           {"[h1:2222]:~/x", {"a port", "Write h1:~/x", "'port: 2222'"}},
           {"box::sessions", {"rsync daemon", "Write box:sessions"}},
           {"box:::m", {"rsync daemon", "Write box:m."}},
           {"box:://m", {"rsync daemon", "Write box:/m."}},
           {"box::", {"rsync daemon", "Write box:~/.pi/agent/sessions."}},
           {"ssh:/x", {"like a URL", "user@ssh:/path"}},
           {"HTTP:x", {"like a URL", "user@HTTP:/path"}},
           {"file:sessions", {"like a URL"}},
           {"u@box::m/x", {"rsync daemon", "Write u@box:m/x"}},
           {"fe80::1:~/x", {"IPv6", "Write [fe80::1]:~/x"}},
           {"::1:/x", {"IPv6", "Write [::1]:/x"}},
           {"u@2001:db8::1:path", {"IPv6", "Write u@[2001:db8::1]:path"}},
           {"2001:db8:0:0:0:0:0:1:/x", {"IPv6", "Write [2001:db8:0:0:0:0:0:1]:/x"}},
           {"fe80::1%eth0:~/x", {"IPv6", "Write [fe80::1%eth0]:~/x"}},
           {"fe80::1", {"IPv6", "Write [fe80::1]:~/.pi"}},
           {"C:\\Users\\x", {"Windows"}},
           {"c:/x", {"Windows", "user@h:/path"}},
           {"\\\\server\\x", {"Windows"}},
           {"sftp:user@h1:/x", {"scheme", "Write user@h1:/x"}},
           {"ssh:h1:/x", {"scheme", "Write h1:/x"}},
           {"will:secret@h1:/x", {"password", "Write will@h1:/x"}},
       }) {
    auto status = parseSource(refused.text).status();
    expectRefused(refused, status);
    // The proposed text is a valid source.
    std::string message(status.message());
    auto begin = message.find("Write ");
    auto instead = message.substr(begin + 6, message.find_first_of(" ,", begin + 6) - begin - 6);
    if (instead.ends_with('.')) instead.pop_back();
    bool words = instead == "a" || instead.starts_with("user@host");
    EXPECT_TRUE(words || parseSource(instead).ok()) << instead << "\n" << message;
  }
}

TEST(Source, invalidSources) {
  for (auto& refused : {
           Refused{"", {"user@host:path"}},
           {"relative", {"user@host:path", "write relative:~/.pi/agent/sessions"}},
           {"[::1]", {"write [::1]:~/.pi/agent/sessions"}},
           {"relative/path", {"user@host:path"}},
           {"./x:y", {"user@host:path"}},
           {"~other/x", {"user@host:path"}},
           {"~:x", {"user@host:path"}},
           {"host:", {"nothing after its ':'", "Write host:~/.pi/agent/sessions"}},
           {":path", {"user@host:path"}},
           {"@host:path", {"user@host:path"}},
           {"user@:path", {"user@host:path"}},
           {"a@@host:path", {"user@host:path"}},
           {"@@host:path", {"user@host:path"}},
           {"-oProxyCommand=id:path", {"'-'"}},
           {"user@-host:path", {"'-'"}},
           {"-luser@host:path", {"'-'"}},
           {"[-oX]:path", {"'-'"}},
           {"[]:path", {"user@host:path"}},
           {"[::1]path", {"user@host:path"}},
           {"[fe80::1%$(id)]:path", {"user@host:path"}},
           {"$(id):path", {"user@host:path"}},
           {"my host:path", {"cannot contain blanks"}},
           {"host\u00a0:path", {"cannot contain blanks"}},
           {"\u200bhost:path", {"cannot contain blanks"}},
           {" user@host:path", {"cannot contain blanks"}},
           {"ho\x1bst:path", {"user@host:path"}},
           {"host:a\nb", {"control character"}},
           {"host:a\r", {"control character"}},
           {"/a\nb", {"control character"}},
           {"host: path", {"begins or ends with a blank"}},
           {"host:path ", {"begins or ends with a blank"}},
           {"host:path\u00a0", {"begins or ends with a blank"}},
           {"/path ", {"begins or ends with a blank"}},
       }) {
    expectRefused(refused, parseSource(refused.text).status());
  }
}

TEST(Source, logins) {
  struct Case {
    std::string text, user, host;
  };
  for (auto& [text, user, host] : {Case{"laptop", "", "laptop"},
                                   {"will@laptop.local", "will", "laptop.local"},
                                   {"a@b@h", "a@b", "h"},
                                   {"will@[2001:db8::1]", "will", "2001:db8::1"},
                                   {"[fe80::1%eth0]", "", "fe80::1%eth0"}}) {
    auto login = parseLogin(text);
    ASSERT_TRUE(login.ok()) << text << login.status();
    EXPECT_EQ(login->user, user);
    EXPECT_EQ(login->host, host);
    EXPECT_EQ(login->path, "");
    auto source = parseSource(sourceOf(text, "~/x"));
    ASSERT_TRUE(source.ok()) << text << source.status();
    EXPECT_EQ(source->host, host);
  }
  for (auto& refused : {
           Refused{"ssh://will@h1:2222", {"URL", "Write will@h1,", "'--port 2222'"}},
           {"ssh://will@h1", {"URL", "Write will@h1."}},
           {"will@h1:2222",
            {"a port", "Write will@h1,", "'--port 2222'", "a Host of ~/.ssh/config"}},
           {"[::1]:22", {"a port"}},
           {"[h1]:22", {"a port"}},
           {"will@::1", {"IPv6", "Write will@[::1]."}},
           {"fe80::1", {"IPv6", "Write [fe80::1]."}},
           {"h1:~/x", {"includes a path", "Write h1,", "--root"}},
           {"h1:", {"nothing after its ':'", "Write h1."}},
           {"h1::m", {"rsync daemon", "Write h1."}},
           {"will:secret@h1", {"password", "Write will@h1."}},
           {"will:secret@h1:22", {"password", "Write will@h1."}},
           {"ssh:x", {"like a URL", "user@ssh."}},
           {"C:\\x", {"Windows"}},
           {"", {"user@host"}},
           {"/x", {"user@host"}},
           {"~", {"user@host"}},
           {"-x", {"'-'"}},
           {"a b", {"cannot contain blanks"}},
       }) {
    expectRefused(refused, parseLogin(refused.text).status());
  }
}

TEST(Source, pathsForTheAgent) {
  for (auto path : {"", "/x", "x", "~", "~/x"}) EXPECT_TRUE(checkAgentPath(path).ok()) << path;
  for (auto path : {"~other", "~other/x"}) EXPECT_FALSE(checkAgentPath(path).ok()) << path;
}

}  // namespace
}  // namespace pibrain
