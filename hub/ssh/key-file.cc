#include "hub/ssh/key-file.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "hub/ssh/known-hosts.h"

namespace pibrain {

namespace {

constexpr char BEGIN[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr char END[] = "-----END OPENSSH PRIVATE KEY-----";
constexpr size_t MAGIC_LENGTH = sizeof("openssh-key-v1");  // with its NUL

std::optional<std::string> slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

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

void readOpensshHeader(const std::string& text, size_t begin, KeyFile& key) {
  size_t start = begin + sizeof(BEGIN) - 1;
  size_t end = text.find(END, start);
  if (end == std::string::npos) return;
  auto body = absl::StrReplaceAll(text.substr(start, end - start), {{"\n", ""}, {"\r", ""}});
  std::string bytes;
  if (!absl::Base64Unescape(body, &bytes) || bytes.size() < MAGIC_LENGTH) return;
  bytes.erase(0, MAGIC_LENGTH);
  key.encrypted = takeString(bytes) != "none";  // the cipher
  takeString(bytes);                            // the key derivation
  takeString(bytes);                            // and its options
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

KeyFile inspectKeyFile(const std::string& path) {
  KeyFile key;
  key.path = path;
  key.exists = access(path.c_str(), F_OK) == 0;
  auto text = slurp(path);
  if (!text) {
    // The private half may live in an agent only.
    if (auto half = slurp(path + ".pub")) key.publicBlob = publicKeyBlob(*half);
    return key;
  }
  key.readable = true;
  if (auto begin = text->find(BEGIN); begin != std::string::npos) {
    readOpensshHeader(*text, begin, key);
  } else {
    key.encrypted = text->find("ENCRYPTED") != std::string::npos;
  }
  if (key.publicBlob.empty()) {
    // IdentityFile may name a public key, whose private half is in the agent.
    key.publicBlob = publicKeyBlob(*text);
    if (auto half = slurp(path + ".pub"); key.publicBlob.empty() && half) {
      key.publicBlob = publicKeyBlob(*half);
    }
  }
  return key;
}

}  // namespace pibrain
