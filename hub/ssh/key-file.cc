#include "hub/ssh/key-file.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"
#include "hub/ssh/known-hosts.h"

namespace pibrain {

namespace {

constexpr char BEGIN[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr char END[] = "-----END OPENSSH PRIVATE KEY-----";
constexpr size_t MAGIC_LENGTH = sizeof("openssh-key-v1");  // with its NUL

// Takes a length-prefixed string (RFC 4251, section 5) off the front.
std::string takeString(std::string& bytes) {
  if (bytes.size() < 4) return bytes.clear(), "";
  size_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | uint8_t(bytes[size_t(i)]);
  if (length > bytes.size() - 4) return bytes.clear(), "";
  auto value = bytes.substr(4, length);
  bytes.erase(0, 4 + length);
  return value;
}

// OpenSSH takes a key whose lines end as its own do (sshkey.c, private2_uudecode()).
std::optional<KeyProblem> oddLines(const std::string& text, size_t begin, size_t end,
                                   const std::string& path) {
  auto file = escapeForTerminal(shellQuote(path));
  if (text.find('\r', begin) != std::string::npos) {
    return KeyProblem{"has the line ends of Windows, which ssh does not take",
                      {"Give it those of Unix", "sed -i 's/\\r$//' " + file}};
  }
  if (text.compare(end + sizeof(END) - 1, 1, "\n") != 0) {
    return KeyProblem{"has no newline at its end, without which ssh does not take it",
                      {"Put one there", "echo >> " + file}};
  }
  return std::nullopt;
}

void readOpensshHeader(const std::string& text, size_t begin, KeyFile& key) {
  size_t start = begin + sizeof(BEGIN) - 1;
  size_t end = text.find(END, start);
  if (end == std::string::npos) return;
  key.unusable = oddLines(text, begin, end, key.path);
  auto body = absl::StrReplaceAll(text.substr(start, end - start), {{"\n", ""}, {"\r", ""}});
  std::string bytes;
  if (!absl::Base64Unescape(body, &bytes) || bytes.size() < MAGIC_LENGTH) return;
  bytes.erase(0, MAGIC_LENGTH);
  key.cipher = takeString(bytes);
  if (key.cipher == "none") key.cipher.clear();
  key.encrypted = !key.cipher.empty();
  takeString(bytes);  // the key derivation
  takeString(bytes);  // and its options
  if (bytes.size() < 4) return;
  bytes.erase(0, 4);  // the number of keys, which is 1
  key.publicBlob = takeString(bytes);
}

}  // namespace

std::string publicKeyBlob(const std::string& text) {
  std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  std::string blob;
  if (words.size() < 2 || !absl::Base64Unescape(words[1], &blob)) return "";
  return keyType(blob) == words[0] ? blob : "";
}

namespace {

std::string typeOf(EVP_PKEY* key) {
  if (EVP_PKEY_base_id(key) == EVP_PKEY_RSA) return "ssh-rsa";
  if (EVP_PKEY_base_id(key) != EVP_PKEY_EC) return "";
  return absl::StrCat("ecdsa-sha2-nistp", EVP_PKEY_bits(key));
}

// Read from a PEM file, as far as that goes without its passphrase.
std::string pemType(const std::string& text) {
  if (absl::StrContains(text, "-----BEGIN RSA PRIVATE KEY-----")) return "ssh-rsa";
  if (absl::StrContains(text, "ENCRYPTED")) return "";
  BIO* bio = BIO_new_mem_buf(text.data(), int(text.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  auto type = key == nullptr ? std::string() : typeOf(key);
  EVP_PKEY_free(key);
  BIO_free(bio);
  ERR_clear_error();
  return type;
}

void readKey(const std::string& text, KeyFile& key) {
  key.isPrivate = absl::StrContains(text, "PRIVATE KEY-----");
  if (auto begin = text.find(BEGIN); begin != std::string::npos) {
    readOpensshHeader(text, begin, key);
  } else {
    key.encrypted = absl::StrContains(text, "ENCRYPTED");
    key.type = pemType(text);
    // IdentityFile may name a public key, whose private half is in the agent.
    key.publicBlob = publicKeyBlob(text);
  }
}

}  // namespace

bool isCertificateOf(const std::string& path, const std::string& publicBlob) {
  auto text = readWholeFile(path);
  auto certificate = text ? publicKeyBlob(*text) : "";
  auto key = publicBlob;
  if (certificate.empty() || key.empty()) return false;
  // Behind type and nonce, a certificate has what a key has behind its type.
  takeString(certificate);
  takeString(certificate);
  takeString(key);
  return certificate.starts_with(key);
}

KeyFile inspectKeyFile(const std::string& path) {
  KeyFile key;
  key.path = path;
  key.hasCertificate = access((path + "-cert.pub").c_str(), F_OK) == 0;
  struct stat st;
  key.exists = stat(path.c_str(), &st) == 0;
  if (auto text = readWholeFile(path)) {
    key.readable = true;
    readKey(*text, key);
    // As sshkey_perm_ok() of OpenSSH.
    key.exposed = key.exists && st.st_uid == getuid() && (st.st_mode & 077) != 0;
  }
  // The private half may live in an agent only, or be a PEM file, which does not tell.
  if (auto half = readWholeFile(path + ".pub")) {
    auto blob = publicKeyBlob(*half);
    if (key.publicBlob.empty()) key.publicBlob = blob;
    if (!blob.empty() && blob != key.publicBlob && !key.unusable) {
      key.unusable =
          KeyProblem{absl::StrCat("has beside it, in ", escapeForTerminal(path),
                                  ".pub, the public half of another key, by which ssh goes"),
                     {"Put its own public half there",
                      absl::StrCat("ssh-keygen -y -f ", escapeForTerminal(shellQuote(path)), " > ",
                                   escapeForTerminal(shellQuote(path + ".pub")))}};
    }
  }
  if (!key.publicBlob.empty()) key.type = keyType(key.publicBlob);
  return key;
}

std::optional<KeyProblem> whyNoPrivateKey(const KeyFile& file) {
  auto quoted = escapeForTerminal(shellQuote(file.path));
  if (!file.exists) {
    return KeyProblem{"does not exist",
                      {"Correct its name, or make the key", "ssh-keygen -t ed25519 -f " + quoted}};
  }
  if (!file.readable) {
    return KeyProblem{"cannot be read", {"See whose it is", "ls -l " + quoted}};
  }
  if (!file.isPrivate) {
    return KeyProblem{"is not a private key",
                      {"Give the file that 'ssh-keygen' made, without .pub", ""}};
  }
  if (file.unusable || !file.exposed) return file.unusable;
  return KeyProblem{"may be read by others, so ssh does not use it",
                    {"Let its owner alone read it", "chmod 600 " + quoted}};
}

}  // namespace pibrain
