#include "hub/ssh/known-hosts.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <errno.h>
#include <kj/debug.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>

#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

// '*' matches any characters, '?' any one (ssh_config(5), PATTERNS).
bool wildcardMatch(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*') {
      ++p, ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// Requires the padding, as ssh does.
std::optional<std::string> unbase64(std::string_view text) {
  std::string out;
  if (text.size() % 4 != 0) return std::nullopt;
  if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &out)) return std::nullopt;
  return out;
}

std::string base64(std::string_view bytes) {
  return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

std::string hashName(std::string_view salt, const std::string& name) {
  unsigned char hash[SHA_DIGEST_LENGTH];
  unsigned length = sizeof(hash);
  HMAC(EVP_sha1(), salt.data(), int(salt.size()),
       reinterpret_cast<const unsigned char*>(name.data()), name.size(), hash, &length);
  return std::string(reinterpret_cast<char*>(hash), length);
}

// Matches |1|salt|hash: HMAC-SHA1 of the name, keyed with the salt.
bool hashedMatch(std::string_view field, const std::string& name) {
  field.remove_prefix(3);
  auto bar = field.find('|');
  if (bar == std::string_view::npos) return false;
  auto salt = unbase64(field.substr(0, bar));
  auto hash = unbase64(field.substr(bar + 1));
  return salt && hash && hash->size() == SHA_DIGEST_LENGTH && hashName(*salt, name) == *hash;
}

bool hostMatches(std::string_view patterns, const std::string& name) {
  if (patterns.starts_with("|1|")) return hashedMatch(patterns, name);
  bool matched = false;
  while (!patterns.empty()) {
    auto comma = std::min(patterns.find(','), patterns.size());
    std::string pattern = absl::AsciiStrToLower(std::string(patterns.substr(0, comma)));
    patterns.remove_prefix(std::min(comma + 1, patterns.size()));
    bool negated = pattern.starts_with('!');
    if (negated) pattern.erase(0, 1);
    if (!wildcardMatch(pattern, name)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

std::string_view nextWord(std::string_view& line) {
  auto start = std::min(line.find_first_not_of(" \t"), line.size());
  line.remove_prefix(start);
  auto end = std::min(line.find_first_of(" \t"), line.size());
  auto word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

// Adds the line's key if the line is about `name`.
void readLine(std::string_view line, const std::string& file, int number, const std::string& name,
              KnownHost& host) {
  auto word = nextWord(line);
  if (word.empty() || word[0] == '#') return;
  std::string_view marker;
  if (word[0] == '@') {
    marker = word;
    word = nextWord(line);
  }
  bool isAbout = hostMatches(word, name);
  auto type = nextWord(line);
  auto encoded = nextWord(line);
  auto blob = unbase64(encoded);
  bool markerIsGood = marker.empty() || marker == "@revoked" || marker == "@cert-authority";
  if (!markerIsGood || encoded.empty() || !blob || keyType(*blob) != type) {
    auto place = absl::StrCat(file, ":", number);
    host.warnings.push_back(
        absl::StrCat("line ", number, " of ", file,
                     " is not a valid known_hosts line, so it is ignored; to see it: 'sed -n ",
                     number, "p ", shellQuote(file), "'"));
    if (isAbout)
      host.unread.push_back(place + " cannot be read: it is not a valid known_hosts line");
    return;
  }
  if (!isAbout) return;
  if (marker == "@cert-authority") {
    host.hasCertAuthority = true;
  } else {
    host.keys.push_back({std::string(type), *blob, marker == "@revoked", file, number});
  }
}

}  // namespace

std::string knownHostName(const std::string& host, uint16_t port) {
  auto lower = absl::AsciiStrToLower(host);
  return port == 22 ? lower : absl::StrCat("[", lower, "]:", port);
}

void readKnownHosts(std::string_view text, const std::string& file, const std::string& name,
                    KnownHost& host) {
  for (int number = 1; !text.empty(); ++number) {
    auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // As for ssh, a NUL ends a line.
    line = line.substr(0, line.find('\0'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    readLine(line, file, number, name, host);
  }
}

KnownHost loadKnownHosts(const std::vector<std::string>& files, const std::string& name) {
  KnownHost host;
  for (auto& path : files) {
    if (auto text = readWholeFile(path)) {
      readKnownHosts(*text, path, name, host);
    } else if (errno != ENOENT && errno != ENOTDIR) {
      host.unread.push_back(absl::StrCat(path, " cannot be read: ", whyUnread(errno)));
    }
  }
  return host;
}

std::string knownHostsLine(const std::string& name, std::string_view blob, bool hashed) {
  auto shown = name;
  if (hashed) {
    unsigned char salt[SHA_DIGEST_LENGTH];
    KJ_REQUIRE(RAND_bytes(salt, sizeof(salt)) == 1, "no random numbers");
    std::string_view key(reinterpret_cast<char*>(salt), sizeof(salt));
    shown = absl::StrCat("|1|", base64(key), "|", base64(hashName(key, name)));
  }
  return absl::StrCat(shown, " ", keyType(blob), " ", base64(blob), "\n");
}

HostKeyVerdict hostKeyVerdict(const KnownHost& host, std::string_view blob) {
  bool known = false, other = false;
  for (auto& key : host.keys) {
    if (key.revoked) {
      if (key.blob == blob) return HostKeyVerdict::REVOKED;
    } else if (key.blob == blob) {
      known = true;
    } else {
      other = true;
    }
  }
  return known ? HostKeyVerdict::KNOWN : other ? HostKeyVerdict::CHANGED : HostKeyVerdict::UNKNOWN;
}

std::string fingerprint(std::string_view blob) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(blob.data()), blob.size(), hash);
  auto text = base64({reinterpret_cast<const char*>(hash), sizeof(hash)});
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

std::string keyType(std::string_view blob) {
  if (blob.size() < 4) return "";
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | uint8_t(blob[size_t(i)]);
  return length <= blob.size() - 4 ? std::string(blob.substr(4, length)) : "";
}

std::string ShownKey::text(const std::string& unknown) const {
  if (fingerprint.empty()) return unknown;
  return type.empty() ? fingerprint : absl::StrCat(fingerprint, " (", type, ")");
}

}  // namespace pibrain
