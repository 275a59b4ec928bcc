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

// Removes a length-prefixed string (RFC 4251, section 5) from the front and returns it.
std::string takeString(std::string& bytes) {
  if (bytes.size() < 4) return bytes.clear(), "";
  size_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | uint8_t(bytes[size_t(i)]);
  if (length > bytes.size() - 4) return bytes.clear(), "";
  auto value = bytes.substr(4, length);
  bytes.erase(0, 4 + length);
  return value;
}

// Returns what is wrong with the line ends: OpenSSH accepts only its own (sshkey.c,
// private2_uudecode()).
std::optional<KeyProblem> oddLines(const std::string& text, size_t begin, size_t end,
                                   const std::string& path) {
  auto file = escapeForTerminal(shellQuote(path));
  if (text.find('\r', begin) != std::string::npos) {
    return KeyProblem{"has Windows line ends, which ssh does not accept",
                      {"Convert them to Unix line ends", "sed -i 's/\\r$//' " + file}};
  }
  if (text.compare(end + sizeof(END) - 1, 1, "\n") != 0) {
    return KeyProblem{"has no newline at its end, which ssh needs", {"Add one", "echo >> " + file}};
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
  takeString(bytes);  // the key derivation function
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

// Returns the key type in a PEM file, as far as it can be read without a passphrase.
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
    // IdentityFile can name a public key whose private half is in the agent.
    key.publicBlob = publicKeyBlob(text);
  }
}

}  // namespace

bool isCertificateOf(const std::string& path, const std::string& publicBlob) {
  auto text = readWholeFile(path);
  auto certificate = text ? publicKeyBlob(*text) : "";
  auto key = publicBlob;
  if (certificate.empty() || key.empty()) return false;
  // A certificate has the key's fields after its type and nonce.
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
    // Like OpenSSH's sshkey_perm_ok().
    key.exposed = key.exists && st.st_uid == getuid() && (st.st_mode & 077) != 0;
  }
  // The private half may be only in an agent, or a PEM file, which does not tell.
  if (auto half = readWholeFile(path + ".pub")) {
    auto blob = publicKeyBlob(*half);
    if (key.publicBlob.empty()) key.publicBlob = blob;
    if (!blob.empty() && blob != key.publicBlob && !key.unusable) {
      key.unusable =
          KeyProblem{absl::StrCat("has the public half of another key beside it, in ",
                                  escapeForTerminal(path), ".pub, which ssh uses"),
                     {"Replace it with the key's own public half",
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
    return KeyProblem{
        "does not exist",
        {"Correct the name, or create the key", "ssh-keygen -t ed25519 -N '' -f " + quoted},
        FailureId::KEY_MISSING};
  }
  if (!file.readable) {
    return KeyProblem{"cannot be read", {"See its owner and mode", "ls -l " + quoted}};
  }
  if (!file.isPrivate) {
    return KeyProblem{"is not a private key",
                      {"Use the file that 'ssh-keygen' created without .pub", ""}};
  }
  if (file.unusable || !file.exposed) return file.unusable;
  return KeyProblem{"is readable by other users, so ssh ignores it",
                    {"Make it readable only by its owner", "chmod 600 " + quoted}};
}

}  // namespace pibrain
