#include "hub/ssh/known-hosts.h"

#include <gtest/gtest.h>

#include "hub/base/subprocess.h"
#include "hub/ssh/key-file.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

constexpr std::chrono::seconds PATIENCE{20};

// Two keys that ssh-keygen made: "type base64".
class KnownHosts : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    for (auto name : {"one", "two"}) {
      runProgram({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "c", "-f", *dir_ / name},
                 PATIENCE);
      auto text = dir_->read(std::string(name) + ".pub").value();
      keys_.push_back(text.substr(0, text.rfind(' ')));
      blobs_.push_back(publicKeyBlob(text));
    }
  }
  static void TearDownTestSuite() {
    delete dir_;
    keys_.clear();
    blobs_.clear();
  }

  static KnownHost read(const std::string& text, const std::string& name = "host") {
    KnownHost host;
    readKnownHosts(text, "file", name, host);
    return host;
  }
  static HostKeyVerdict verdict(const std::string& text, const std::string& name = "host") {
    return hostKeyVerdict(read(text, name), blobs_[0]);
  }

  static inline TempDir* dir_ = nullptr;
  static inline std::vector<std::string> keys_;
  static inline std::vector<std::string> blobs_;
};

constexpr auto KNOWN = HostKeyVerdict::KNOWN;
constexpr auto UNKNOWN = HostKeyVerdict::UNKNOWN;
constexpr auto CHANGED = HostKeyVerdict::CHANGED;
constexpr auto REVOKED = HostKeyVerdict::REVOKED;

TEST_F(KnownHosts, names) {
  EXPECT_EQ(knownHostName("Host.Example", 22), "host.example");
  EXPECT_EQ(knownHostName("Host", 2222), "[host]:2222");
  EXPECT_EQ(knownHostName("::1", 22), "::1");
  EXPECT_EQ(knownHostName("::1", 23), "[::1]:23");
}

TEST_F(KnownHosts, patterns) {
  struct Case {
    std::string patterns, name;
    bool matches;
  };
  for (auto& [patterns, name, matches] : {
           Case{"host", "host", true},
           {"HOST", "host", true},
           {"host", "hos", false},
           {"host", "hostx", false},
           {"other,host", "host", true},
           {"host.example,192.0.2.1", "192.0.2.1", true},
           {"*", "host", true},
           {"*.example", "a.b.example", true},
           {"*.example", "example", false},
           {"h?st", "host", true},
           {"h?st", "hst", false},
           {"h*o*t", "hot", true},
           {"**", "host", true},
           {"*a*b", "xaxbxb", true},
           {"*a*b", "xaxbx", false},
           {"*,!host", "host", false},
           {"!host,*", "host", false},
           {"!host,*", "other", true},
           {"!host", "other", false},
           {"*,!*.bad", "x.bad", false},
           {"[host]:2222", "[host]:2222", true},
           {"[host]:2222", "host", false},
           {"host", "[host]:2222", false},
           {"[*]:2222", "[host]:2222", true},
           {"[host]:*", "[host]:2222", true},
           {",", "host", false},
           {"!", "host", false},
       }) {
    EXPECT_EQ(read(patterns + " " + keys_[0], name).keys.size(), matches ? 1u : 0u)
        << patterns << " / " << name;
  }
}

TEST_F(KnownHosts, verdicts) {
  auto own = keys_[0], other = keys_[1];
  struct Case {
    std::string text;
    HostKeyVerdict verdict;
  };
  for (auto& [text, expected] : {
           Case{"", UNKNOWN},
           {"elsewhere " + own, UNKNOWN},
           {"host " + own, KNOWN},
           {"host " + other, CHANGED},
           {"host " + other + "\nhost " + own, KNOWN},
           {"@revoked host " + own, REVOKED},
           {"@revoked * " + own + "\nhost " + own, REVOKED},
           {"host " + own + "\n@revoked * " + own, REVOKED},
           {"@revoked elsewhere " + own + "\nhost " + own, KNOWN},
           {"@revoked host " + other, UNKNOWN},
           {"@revoked host " + other + "\nhost " + own, KNOWN},
           {"@cert-authority host " + own, UNKNOWN},
           {"@cert-authority host " + other + "\nhost " + own, KNOWN},
       }) {
    EXPECT_EQ(int(verdict(text)), int(expected)) << text;
  }
  EXPECT_TRUE(read("@cert-authority *.x,host " + own).hasCertAuthority);
  EXPECT_FALSE(read("@cert-authority *.x " + own).hasCertAuthority);
  EXPECT_EQ(int(verdict("[host]:2222 " + other + "\nhost " + own, "[host]:2222")), int(CHANGED));
}

TEST_F(KnownHosts, formsOfLines) {
  auto own = keys_[0];
  for (auto& text : {"host " + own + "\r\n", "# comment\r\n\r\nhost " + own + " a comment\r\n",
                     "  \thost\t" + own, "\n\n# host\n" + std::string("host ") + own,
                     "host " + own + " # comment"}) {
    auto host = read(text);
    EXPECT_EQ(int(hostKeyVerdict(host, blobs_[0])), int(KNOWN)) << text;
    EXPECT_TRUE(host.warnings.empty()) << text;
  }
  auto host = read("# one\nhost " + own + "\n");
  ASSERT_EQ(host.keys.size(), 1u);
  EXPECT_EQ(host.keys[0].file, "file");
  EXPECT_EQ(host.keys[0].line, 2);
  EXPECT_EQ(host.keys[0].type, "ssh-ed25519");
  EXPECT_EQ(host.keys[0].blob, blobs_[0]);
  EXPECT_EQ(read("#host " + own).keys.size(), 0u);
}

TEST_F(KnownHosts, brokenLinesAreSkippedWithAWarning) {
  auto own = keys_[0];
  auto base64 = own.substr(own.find(' ') + 1);
  for (auto& line :
       {std::string("host"), std::string("host ssh-ed25519"), std::string("host ssh-ed25519 !!!!"),
        "host ssh-rsa " + base64, "host ssh-ed25519 " + base64.substr(0, 8), "@unknown host " + own,
        std::string("@revoked"), "host " + own.substr(0, 20) + std::string(1, '\0'),
        std::string(70'000, 'x')}) {
    auto host = read("first " + own + "\n" + line + "\nhost " + own + "\n");
    EXPECT_EQ(int(hostKeyVerdict(host, blobs_[0])), int(KNOWN)) << line.substr(0, 100);
    EXPECT_EQ(host.keys.size(), 1u);
    ASSERT_EQ(host.warnings.size(), 1u) << line.substr(0, 100);
    EXPECT_TRUE(host.warnings[0].starts_with("line 2 of file is not ")) << host.warnings[0];
  }
}

// Such a line may list or revoke the host's key.
TEST_F(KnownHosts, brokenLinesThatNameTheHostAreReported) {
  auto own = keys_[0];
  for (auto& line :
       {std::string("host"), std::string("other,host ssh-ed25519 !!!!"), "@unknown host " + own,
        "@revoked * 256 " + own, std::string("@revoked *"), "host " + std::string(1, '\0') + own,
        std::string("host ssh-dss AAAAB3NzaC1kc3M"), "host " + own.substr(0, own.size() - 1)}) {
    auto host = read("first " + own + "\n" + line + "\n");
    ASSERT_EQ(host.unread.size(), 1u) << line;
    EXPECT_EQ(host.unread[0], "file:2 cannot be read: it is not a valid known_hosts line");
  }
  for (auto& line : {std::string("other"), "other,!host 256 " + own, "@revoked other 256 " + own}) {
    EXPECT_TRUE(read(line + "\n").unread.empty()) << line;
  }
}

// To ssh, a line may have any length, and a NUL ends it.
TEST_F(KnownHosts, longLinesAndNuls) {
  auto own = keys_[0];
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "some-other-host.example,";
  std::string nul(1, '\0');
  for (auto& patterns : {many + "host", std::string("host")}) {
    for (auto& rest : {std::string(), " " + std::string(20'000, 'x'), " a" + nul + "b", nul}) {
      EXPECT_EQ(int(verdict("@revoked " + patterns + " " + own + rest)), int(REVOKED));
      EXPECT_EQ(int(verdict(patterns + " " + own + rest)), int(KNOWN));
    }
  }
  EXPECT_EQ(int(verdict(nul + "host " + own)), int(UNKNOWN));
}

TEST_F(KnownHosts, hashedLines) {
  dir_->write("known", "host " + keys_[0] + "\n[host]:2222 " + keys_[1] + "\n");
  auto output = runProgram({"ssh-keygen", "-q", "-H", "-f", *dir_ / "known"}, PATIENCE);
  ASSERT_EQ(output.exitStatus, 0) << output.err;
  auto text = dir_->read("known").value();
  ASSERT_EQ(text.find("host"), std::string::npos);
  EXPECT_EQ(int(verdict(text, "host")), int(KNOWN));
  EXPECT_EQ(int(verdict(text, "[host]:2222")), int(CHANGED));
  EXPECT_EQ(int(verdict(text, "other")), int(UNKNOWN));
  EXPECT_TRUE(read(text).warnings.empty());
  for (auto broken : {"|1|", "|1|abc", "|1|||", "|1|!|!", "|1|AAAA|AAAA"}) {
    EXPECT_EQ(read(std::string(broken) + " " + keys_[0]).keys.size(), 0u) << broken;
  }
}

TEST_F(KnownHosts, filesAreReadInOrderAndMayBeMissing) {
  dir_->write("user", "host " + keys_[1] + "\n");
  dir_->write("system", "host " + keys_[0] + "\nbroken\n");
  auto host = loadKnownHosts({*dir_ / "user", *dir_ / "missing", *dir_ / "system"}, "host");
  ASSERT_EQ(host.keys.size(), 2u);
  EXPECT_EQ(host.keys[0].file, *dir_ / "user");
  EXPECT_EQ(host.keys[1].file, *dir_ / "system");
  EXPECT_EQ(int(hostKeyVerdict(host, blobs_[0])), int(KNOWN));
  EXPECT_EQ(host.warnings.size(), 1u);
}

TEST_F(KnownHosts, fingerprintEqualsSshs) {
  auto output = runProgram({"ssh-keygen", "-lf", *dir_ / "one.pub"}, PATIENCE);
  EXPECT_NE(output.out.find(" " + fingerprint(blobs_[0]) + " "), std::string::npos) << output.out;
  EXPECT_NE(fingerprint(blobs_[0]), fingerprint(blobs_[1]));
}

TEST_F(KnownHosts, keyTypeIsReadWithinTheBlob) {
  EXPECT_EQ(keyType(blobs_[0]), "ssh-ed25519");
  EXPECT_EQ(keyType(std::string_view("\0\0\0\3abc", 7)), "abc");
  EXPECT_EQ(keyType(std::string_view("\0\0\0\4abc", 7)), "");
  EXPECT_EQ(keyType(std::string_view("\xff\xff\xff\xff"
                                     "abc",
                                     7)),
            "");
  EXPECT_EQ(keyType(std::string_view("\0\0\0", 3)), "");
  EXPECT_EQ(keyType(""), "");
}

}  // namespace
}  // namespace pibrain
