#include "hub/ssh/host-trust.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "hub/base/failure.h"
#include "hub/base/parallel.h"
#include "hub/base/subprocess.h"
#include "hub/ssh/key-file.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

class HostTrust : public testing::Test {
 protected:
  HostTrust() {
    target_.alias = target_.host = "laptop.example";
    target_.userKnownHostsFiles = {dir_ / "ssh/known_hosts"};
    one_ = makeKey("one");
    two_ = makeKey("two");
  }

  std::string makeKey(const std::string& name) {
    runProgram({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", dir_ / name},
               std::chrono::seconds(20));
    return publicKeyBlob(dir_.read(name + ".pub").value());
  }

  // Returns why the key is not trusted; empty if it is.
  std::string judgeKey(const std::string& blob) {
    try {
      verifyHostKey(target_, knownTargetOf(target_), blob,
                    [this](std::string text) { warnings_.push_back(text); });
      return "";
    } catch (const Failure& e) {
      return e.what();
    }
  }

  std::string known() { return dir_.read("ssh/known_hosts").value_or("(none)"); }

  TempDir dir_;
  SshTarget target_;
  std::string one_, two_;
  std::vector<std::string> warnings_;
};

TEST_F(HostTrust, unknownKeysAreAcceptedOnlyOnRequest) {
  EXPECT_NE(judgeKey(one_).find("is not in known_hosts"), std::string::npos);
  EXPECT_EQ(known(), "(none)");
  target_.acceptNewHostKeys = true;
  EXPECT_EQ(judgeKey(one_), "");
  EXPECT_EQ(known(), knownHostsLine("laptop.example", one_, false));
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find(fingerprint(one_)), std::string::npos);
  // The directory and the file are private.
  struct stat st;
  ASSERT_EQ(stat((dir_ / "ssh").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  ASSERT_EQ(stat((dir_ / "ssh/known_hosts").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);

  EXPECT_EQ(judgeKey(one_), "");
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_NE(judgeKey(two_).find("HOST KEY CHANGED"), std::string::npos);
  EXPECT_EQ(known(), knownHostsLine("laptop.example", one_, false));
}

TEST_F(HostTrust, hashedNamesAreRecognized) {
  target_.acceptNewHostKeys = target_.hashKnownHosts = true;
  target_.port = 2222;
  EXPECT_EQ(judgeKey(one_), "");
  EXPECT_TRUE(known().starts_with("|1|")) << known();
  EXPECT_EQ(known().find("laptop"), std::string::npos);
  target_.acceptNewHostKeys = false;
  EXPECT_EQ(judgeKey(one_), "");
  target_.port = 2223;
  EXPECT_NE(judgeKey(one_), "");
  // The salt differs each time.
  EXPECT_NE(knownHostsLine("a", one_, true), knownHostsLine("a", one_, true));
}

TEST_F(HostTrust, concurrentRunsAddTheKeyOnce) {
  target_.acceptNewHostKeys = true;
  std::atomic<int> trusted = 0;
  forEachInParallel(16, 16, [&](size_t) {
    auto target = target_;
    verifyHostKey(target, KnownTarget(), one_, [](std::string) {});
    ++trusted;
  });
  EXPECT_EQ(trusted, 16);
  EXPECT_EQ(known(), knownHostsLine("laptop.example", one_, false));
}

TEST_F(HostTrust, aKeyAddedMeanwhileCounts) {
  target_.acceptNewHostKeys = true;
  dir_.write("ssh/known_hosts", knownHostsLine("laptop.example", two_, false));
  // As if the file had been read before.
  EXPECT_THROW(verifyHostKey(target_, KnownTarget(), one_, [](std::string) {}), Failure);
  EXPECT_EQ(known(), knownHostsLine("laptop.example", two_, false));
}

// A file that cannot be read may have this key or another, so the key is neither unknown nor
// accepted.
TEST_F(HostTrust, unreadableFiles) {
  std::filesystem::create_directory(dir_ / "unreadable");
  target_.globalKnownHostsFiles = {dir_ / "unreadable"};
  for (bool accept : {false, true}) {
    target_.acceptNewHostKeys = accept;
    auto error = judgeKey(one_);
    EXPECT_NE(error.find("unreadable cannot be read: Is a directory"), std::string::npos) << error;
    EXPECT_EQ(error.find("is not in known_hosts"), std::string::npos) << error;
    EXPECT_FALSE(dir_.read("ssh/known_hosts"));
  }
  // The same if that shows only when the key is about to be added.
  EXPECT_THROW(verifyHostKey(target_, KnownTarget(), one_, [](std::string) {}), Failure);
  EXPECT_EQ(dir_.read("ssh/known_hosts").value_or(""), "");
  dir_.write("ssh/known_hosts", knownHostsLine("laptop.example", one_, false));
  EXPECT_EQ(judgeKey(one_), "");
}

TEST_F(HostTrust, filesThatCannotBeExtended) {
  target_.acceptNewHostKeys = true;
  // ssh accepts no new key then, either.
  target_.userKnownHostsFiles.clear();
  EXPECT_NE(judgeKey(one_).find("set a UserKnownHostsFile"), std::string::npos);
  target_.userKnownHostsFiles = {"/dev/null/known_hosts"};
  EXPECT_EQ(judgeKey(one_), "");
  EXPECT_NE(warnings_.at(0).find("cannot be added"), std::string::npos);
}

// A line that names the host may have its key.
TEST_F(HostTrust, unreadableLines) {
  target_.acceptNewHostKeys = true;
  dir_.write("ssh/known_hosts", "@revoked laptop.example ssh-ed25519 AAAA\n");
  EXPECT_NE(judgeKey(one_).find("known_hosts:1 cannot be read"), std::string::npos);
  dir_.write("ssh/known_hosts", "@revoked other ssh-ed25519 AAAA\n");
  EXPECT_EQ(judgeKey(one_), "");
}

TEST_F(HostTrust, keysRevokedForTheStandardPort) {
  target_.acceptNewHostKeys = true;
  target_.port = 2222;
  auto revoked = [](const std::string& names, const std::string& blob) {
    return "@revoked " + knownHostsLine(names, blob, false);
  };
  dir_.write("ssh/known_hosts", revoked("laptop.example", one_));
  EXPECT_NE(judgeKey(one_).find("HOST KEY REVOKED"), std::string::npos);
  EXPECT_NE(judgeKey(two_).find("is not in known_hosts"), std::string::npos);
  // ssh notices by itself a key that is revoked for this port.
  dir_.write("ssh/known_hosts", revoked("laptop.example,[laptop.example]:2222", one_));
  EXPECT_NE(judgeKey(one_).find("HOST KEY REVOKED"), std::string::npos);
  EXPECT_EQ(judgeKey(two_), "");
}

TEST_F(HostTrust, knownTypesComeFirst) {
  using Names = std::vector<std::string>;
  target_.port = 2222;
  target_.hostKeyAlgorithms = {"ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256",
                               "ssh-ed25519", "rsa-sha2-512"};
  auto order = [&]() { return orderedHostKeyAlgorithms(target_, knownTargetOf(target_)); };
  EXPECT_EQ(order(), target_.hostKeyAlgorithms);
  Names first{"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256",
              "rsa-sha2-512"};
  for (auto name : {"laptop.example", "[laptop.example]:2222"}) {
    dir_.write("ssh/known_hosts", knownHostsLine(name, one_, false));
    EXPECT_EQ(order(), first) << name;
  }
  dir_.write("ssh/known_hosts", "@revoked " + knownHostsLine("*", one_, false));
  EXPECT_EQ(order(), target_.hostKeyAlgorithms);
  // A certificate is accepted whatever key is known.
  auto authority = "@cert-authority " + knownHostsLine("*", two_, false);
  dir_.write("ssh/known_hosts", authority + knownHostsLine("[laptop.example]:2222", one_, false));
  EXPECT_EQ(order(), (Names{"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519",
                            "ecdsa-sha2-nistp256", "rsa-sha2-512"}));
  dir_.write("ssh/known_hosts", knownHostsLine("[laptop.example]:2222", one_, false));
  target_.hostKeyAlgorithms.clear();
  EXPECT_EQ(order(), Names{"ssh-ed25519"});
}

TEST_F(HostTrust, messagesOfSshAboutANewKey) {
  target_.acceptNewHostKeys = true;
  target_.port = 2222;
  auto before = knownTargetOf(target_);
  std::string added =
      "Warning: Permanently added '[laptop.example]:2222' (ED25519) to the list of known "
      "hosts.\r\n";
  EXPECT_EQ(newKeyBySsh(target_, before, ""), "");
  // Of a hop.
  EXPECT_EQ(newKeyBySsh(target_, before, "Permanently added '[laptop.example]:22220' (X) to"), "");
  // The same text, whichever program added the key.
  EXPECT_EQ(judgeKey(one_), "");
  EXPECT_EQ(newKeyBySsh(target_, before, added), warnings_.at(0));
  EXPECT_EQ(newKeyBySsh(target_, knownTargetOf(target_), added), "");

  target_.userKnownHostsFiles = {"/dev/null/known_hosts"};
  EXPECT_EQ(judgeKey(one_), "");
  auto failed = absl::StrCat("debug1: Server host key: ssh-ed25519 ", fingerprint(one_),
                             "\r\nFailed to add the host to the list of known hosts (",
                             target_.userKnownHostsFiles[0], ").\r\n");
  EXPECT_EQ(newKeyBySsh(target_, before, failed), warnings_.at(1));
  target_.userKnownHostsFiles = {"/dev/null"};
  EXPECT_EQ(newKeyBySsh(target_, before, added), "");
}

TEST_F(HostTrust, revokedKeys) {
  dir_.write("ssh/known_hosts", knownHostsLine("laptop.example", one_, false));
  target_.revokedHostKeys = dir_ / "revoked";
  EXPECT_NE(judgeKey(one_).find("cannot be read"), std::string::npos);
  dir_.write("revoked", "# two\n" + *dir_.read("two.pub"));
  EXPECT_EQ(judgeKey(one_), "");
  for (auto line :
       {"garbage", "@revoked * ssh-ed25519 AAAA", "SHA256:abc", "laptop ssh-ed25519 AAAA"}) {
    dir_.write("revoked", *dir_.read("two.pub") + "\n" + line + "\n");
    EXPECT_NE(judgeKey(one_).find("revoked:3: "), std::string::npos) << line;
  }
  dir_.write("revoked", *dir_.read("two.pub") + *dir_.read("one.pub"));
  EXPECT_NE(judgeKey(one_).find("HOST KEY REVOKED"), std::string::npos);
  EXPECT_FALSE(isRevocationList(dir_ / "revoked"));
  runProgram({"ssh-keygen", "-q", "-k", "-f", dir_ / "list", dir_ / "one.pub"},
             std::chrono::seconds(20));
  EXPECT_TRUE(isRevocationList(dir_ / "list"));
  EXPECT_FALSE(isRevocationList(dir_ / "missing"));
}

TEST_F(HostTrust, anAliasReplacesHostAndPort) {
  dir_.write("ssh/known_hosts", knownHostsLine("alias", one_, false));
  target_.hostKeyAlias = "Alias";
  target_.port = 2222;
  EXPECT_EQ(knownHostsNameOf(target_), "alias");
  EXPECT_EQ(judgeKey(one_), "");
}

}  // namespace
}  // namespace pibrain
