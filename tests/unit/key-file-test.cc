#include "hub/ssh/key-file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "hub/base/subprocess.h"
#include "hub/ssh/known-hosts.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

class KeyFileTest : public testing::Test {
 protected:
  // Few bits, since a large RSA key takes a second to find.
  static std::string bits(const std::string& type) { return type == "rsa" ? "1024" : "256"; }

  // Makes a key, and returns the blob of its public half by ssh-keygen.
  std::string make(const std::string& name, std::vector<std::string> options,
                   const std::string& passphrase = "") {
    options.insert(options.begin(), {"ssh-keygen", "-q", "-N", passphrase, "-f", dir_ / name});
    auto output = runProgram(options, std::chrono::seconds(60));
    EXPECT_EQ(output.exitStatus, 0) << output.err;
    auto blob = publicKeyBlob(dir_.read(name + ".pub").value_or(""));
    EXPECT_FALSE(keyType(blob).empty());
    return blob;
  }
  void removePublic(const std::string& name) { unlink((dir_ / name + ".pub").c_str()); }

  TempDir dir_;
};

TEST_F(KeyFileTest, opensshFormatHasThePublicHalf) {
  struct Case {
    std::vector<std::string> options;
    std::string passphrase;
  };
  for (auto& [options, passphrase] : {
           Case{{"-t", "ed25519"}, ""},
           {{"-t", "ed25519", "-a", "1"}, "secret"},
           {{"-t", "ecdsa"}, ""},
           {{"-t", "rsa", "-b", "2048"}, ""},
       }) {
    auto blob = make("key", options, passphrase);
    removePublic("key");
    auto key = inspectKeyFile(dir_ / "key");
    EXPECT_EQ(key.path, dir_ / "key");
    EXPECT_TRUE(key.exists);
    EXPECT_TRUE(key.readable);
    EXPECT_EQ(key.encrypted, !passphrase.empty());
    EXPECT_TRUE(key.publicBlob == blob);
    unlink((dir_ / "key").c_str());
  }
}

TEST_F(KeyFileTest, pemShowsWhetherItIsEncrypted) {
  struct Case {
    std::string type, format, passphrase;
  };
  int number = 0;
  for (auto& [type, format, passphrase] : {
           Case{"rsa", "PEM", ""},
           {"rsa", "PEM", "secret"},
           {"ecdsa", "PEM", ""},
           {"ecdsa", "PKCS8", ""},
           {"ecdsa", "PKCS8", "secret"},
       }) {
    auto name = "key" + std::to_string(++number);
    auto blob = make(name, {"-t", type, "-b", bits(type), "-m", format}, passphrase);
    auto key = inspectKeyFile(dir_ / name);
    EXPECT_EQ(key.encrypted, !passphrase.empty()) << type << format;
    EXPECT_TRUE(key.publicBlob == blob) << type << format << ": it is in FILE.pub";
    removePublic(name);
    EXPECT_EQ(inspectKeyFile(dir_ / name).publicBlob, "") << type << format << ": unknown";
  }
}

TEST_F(KeyFileTest, typesAreKnownWithoutThePublicHalf) {
  struct Case {
    std::string type, format, passphrase, known;
  };
  int number = 0;
  for (auto& [type, format, passphrase, known] : {
           Case{"rsa", "PEM", "", "ssh-rsa"},
           {"rsa", "PEM", "secret", "ssh-rsa"},
           {"rsa", "PKCS8", "", "ssh-rsa"},
           {"rsa", "RFC4716", "", "ssh-rsa"},
           {"rsa", "PKCS8", "secret", ""},
           {"ecdsa", "PKCS8", "", "ecdsa-sha2-nistp256"},
           {"ecdsa", "PEM", "", "ecdsa-sha2-nistp256"},
           {"ecdsa", "PEM", "secret", ""},
           {"ed25519", "RFC4716", "secret", "ssh-ed25519"},
       }) {
    auto name = "key" + std::to_string(++number);
    make(name, {"-t", type, "-b", bits(type), "-m", format}, passphrase);
    removePublic(name);
    EXPECT_EQ(inspectKeyFile(dir_ / name).type, known) << type << format << passphrase;
  }
}

TEST_F(KeyFileTest, cipherOfTheOpensshFormat) {
  for (auto cipher : {"aes256-ctr", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"}) {
    make(cipher, {"-t", "ed25519", "-Z", cipher, "-a", "1"}, "secret");
    EXPECT_EQ(inspectKeyFile(dir_ / cipher).cipher, cipher);
  }
  make("plain", {"-t", "ed25519"});
  EXPECT_EQ(inspectKeyFile(dir_ / "plain").cipher, "");
}

TEST_F(KeyFileTest, filesThatOthersCanReadAreExposed) {
  make("key", {"-t", "ed25519"});
  EXPECT_FALSE(inspectKeyFile(dir_ / "key").exposed);
  chmod((dir_ / "key").c_str(), 0640);
  EXPECT_TRUE(inspectKeyFile(dir_ / "key").exposed);
  EXPECT_TRUE(inspectKeyFile(dir_ / "key").isPrivate);
  EXPECT_FALSE(inspectKeyFile(dir_ / "key.pub").isPrivate);
}

TEST_F(KeyFileTest, certificatesAreBesideTheirKeys) {
  make("key", {"-t", "ed25519"});
  EXPECT_FALSE(inspectKeyFile(dir_ / "key").hasCertificate);
  dir_.write("key-cert.pub", "");
  EXPECT_TRUE(inspectKeyFile(dir_ / "key").hasCertificate);
}

TEST_F(KeyFileTest, publicHalves) {
  auto blob = make("key", {"-t", "ed25519"});
  auto given = inspectKeyFile(dir_ / "key.pub");
  EXPECT_TRUE(given.publicBlob == blob) << "IdentityFile may name the public half";
  EXPECT_FALSE(given.encrypted);
  unlink((dir_ / "key").c_str());
  auto onlyPublic = inspectKeyFile(dir_ / "key");
  EXPECT_FALSE(onlyPublic.exists);
  EXPECT_FALSE(onlyPublic.readable);
  EXPECT_TRUE(onlyPublic.publicBlob == blob);
}

TEST_F(KeyFileTest, missingAndDamagedFiles) {
  auto missing = inspectKeyFile(dir_ / "missing");
  EXPECT_FALSE(missing.exists);
  EXPECT_EQ(missing.publicBlob, "");

  make("key", {"-t", "ed25519"});
  removePublic("key");
  auto text = dir_.read("key").value();
  auto body = text.find('\n') + 1;
  auto end = text.find("-----END");
  struct Case {
    const char* what;
    std::string content;
  };
  for (auto& [what, content] : {
           Case{"empty", ""},
           {"no end", text.substr(0, end)},
           {"no body", text.substr(0, body) + text.substr(end)},
           {"cut short", text.substr(0, body + 24) + "\n" + text.substr(end)},
           {"not base64", text.substr(0, body) + "!!!!\n" + text.substr(end)},
           {"a length beyond the end",
            text.substr(0, body) + "b3BlbnNzaC1rZXktdjEA/////w==\n" + text.substr(end)},
           {"something else", "hello"},
       }) {
    dir_.write("key", content);
    auto key = inspectKeyFile(dir_ / "key");
    EXPECT_TRUE(key.readable);
    EXPECT_EQ(key.publicBlob, "") << what;
  }
}

TEST(PublicKeyBlob, isTheSecondWordIfItContainsTheFirst) {
  const std::string blob("\0\0\0\4typehello", 13);
  EXPECT_EQ(publicKeyBlob("type AAAABHR5cGVoZWxsbw== comment"), blob);
  EXPECT_EQ(publicKeyBlob("type\tAAAABHR5cGVoZWxsbw==\r\n"), blob);
  for (auto text : {"", "type", "type !!!", "\n", "other AAAABHR5cGVoZWxsbw==", "type aGVsbG8="}) {
    EXPECT_EQ(publicKeyBlob(text), "") << text;
  }
}

}  // namespace
}  // namespace pibrain
