#include "common/text/login-shell.h"

#include <gtest/gtest.h>

#include "common/text/utf8.h"

namespace pibrain {
namespace {

TEST(LoginShell, plainWords) {
  for (std::string word :
       {"a", "Z9", "/usr/bin/pi-brain-agent", "_x", ".hidden", "/a,b@c%d+e:f=g-h"}) {
    EXPECT_TRUE(isPlainWord(word)) << word;
  }
  for (std::string word :
       {"",     "~",    "~/x",  "-x",    "=x",    "%1",    ":x",        ",x",   "@x",
        "+x",   "/a b", "/a'b", "/a\"b", "/a\\b", "/a!b",  "/a~",       "/a^b", "/a#b",
        "/a{b", "/a[b", "/a*",  "/a$b",  "/a`b",  "/a\nb", "/\xc3\xa9", "/\xff"}) {
    EXPECT_FALSE(isPlainWord(word)) << word;
  }
}

TEST(LoginShell, aPlainRootIsWrittenLiterally) {
  for (std::string root : {"/home/me/.pi/agent/sessions", "~", "~/.pi/agent/sessions", "relative",
                           "/a,b@c%41+e:f=g-h", "./bytes:x"}) {
    EXPECT_EQ(rootOption(root), "--root=" + root);
  }
}

TEST(LoginShell, otherRootsAreEncoded) {
  EXPECT_EQ(rootOption("/a b"), "--root=bytes:/a%20b");
  EXPECT_EQ(rootOption("~/a b"), "--root=bytes:%7E/a%20b");
  EXPECT_EQ(rootOption("/100% it's"), "--root=bytes:/100%25%20it%27s");
  EXPECT_EQ(rootOption("/a~b"), "--root=bytes:/a%7Eb");
  EXPECT_EQ(rootOption("~other/x"), "--root=bytes:%7Eother/x");
  EXPECT_EQ(rootOption("bytes:x"), "--root=bytes:bytes%3Ax");
  EXPECT_EQ(rootOption("=x"), "--root=bytes:%3Dx");
  for (int byte = 1; byte < 256; ++byte) {
    auto root = "/a" + std::string(1, char(byte)) + "b";
    auto option = rootOption(root);
    EXPECT_TRUE(isPlainWord(option.substr(7))) << option;
    EXPECT_EQ(readExactPath(option.substr(7)), root);
  }
}

TEST(LoginShell, commands) {
  struct Case {
    std::string program, home, command;
  };
  for (auto& [program, home, command] : {
           Case{"/opt/agent", "/home/me", "/opt/agent"},
           {"/home/me/bin/agent", "/home/me", "/home/me/bin/agent"},
           {"/home/my self/bin/agent", "/home/my self", "~/bin/agent"},
           {"/home/it's \"me\"/agent", "/home/it's \"me\"", "~/agent"},
           {"/home/jos\xc3\xa9/agent", "/home/jos\xc3\xa9", "~/agent"},
           {"/home/me/a b/agent", "/home/me", ""},
           {"/opt/my agent", "/home/me", ""},
           {"/opt/a=b", "/home/me", ""},
           {"/home/my self2/agent", "/home/my self", ""},
           {"/my home/agent", "", ""},
           {"/my home/agent", "my home", ""},
           {"agent", "/home/me", ""},
           // Characters that csh or ksh interpret in a home directory.
           {"/home/a*b/agent", "/home/a*b", ""},
           {"/home/a`id`/agent", "/home/a`id`", ""},
           {"/home/a\\b/agent", "/home/a\\b", ""},
           {"/home/a\nb/agent", "/home/a\nb", ""},
       }) {
    EXPECT_EQ(commandFor(program, home), command) << program;
  }
}

TEST(LoginShell, exactPaths) {
  EXPECT_EQ(readExactPath("/a%20b"), "/a%20b");
  EXPECT_EQ(readExactPath("bytes:/a%20b%FF"), "/a b\xff");
  for (auto text : {"bytes:%", "bytes:/%0", "bytes:/%zz", "bytes:/a%00b"}) {
    EXPECT_EQ(readExactPath(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace pibrain
