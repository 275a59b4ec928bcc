#include "hub/config/source.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "common/text/escape.h"
#include "common/text/tilde.h"
#include "common/text/utf8.h"
#include "hub/base/failure-status.h"

namespace pibrain {

namespace {

// What kind of value the text should be.
enum class Asked { SOURCE, LOGIN };

const char* formOf(Asked asked) { return asked == Asked::SOURCE ? "user@host:path" : "user@host"; }

// `what`, `cause` and `fix` as those of a Failure; `what` goes on after the text.
absl::Status refuse(const std::string& text, const std::string& what, const std::string& cause,
                    const std::string& fix) {
  return toStatus(Failure(FailureId::USAGE, absl::StrCat(inQuotes(text), " ", what), cause,
                          fix.empty() ? std::vector<Fix>() : std::vector<Fix>{{fix, ""}}));
}

// What the person probably meant. Any part may be empty.
struct Meant {
  std::string user, host, port, path;  // an IPv6 address is in brackets
};

std::string pathOf(const Meant& meant) {
  return meant.path.empty() ? "~/.pi/agent/sessions" : meant.path;
}

std::string writeInstead(Asked asked, const Meant& meant) {
  auto login = absl::StrCat(meant.user, meant.user.empty() ? "" : "@",
                            meant.host.empty() ? "host" : meant.host);
  return "Write " + escapeForTerminal(asked == Asked::SOURCE ? login + ":" + pathOf(meant) : login);
}

// Returns what to write instead, and where the port goes, if there is one.
std::string portAdvice(Asked asked, const Meant& meant) {
  auto instead = writeInstead(asked, meant);
  if (meant.port.empty()) return instead;
  auto port = escapeForTerminal(meant.port);
  return absl::StrCat(instead,
                      asked == Asked::SOURCE ? " and, as a field of the spoke, 'port: "
                                             : ", and the port as '--port ",
                      port, "', or use a Host of ~/.ssh/config that has both");
}

// Returns the port at the beginning of the text, if the end, ':' or '/' follows it; else empty.
std::string leadingPort(const std::string& text) {
  auto port = text.substr(0, text.find_first_of(":/"));
  bool digits = !port.empty() && port.find_first_not_of("0123456789") == port.npos;
  return digits && port.size() <= 5 && stoul(port) <= 65535 ? port : "";
}

// Returns the position of the ':' after the host, which may be an address in brackets; npos: none.
size_t endOfHost(const std::string& text) {
  bool bracketed = text.starts_with('[') || text.find("@[") < text.find_first_of(":/");
  if (!bracketed) return text.find(':');
  auto end = text.find("]:");
  return end == text.npos ? end : end + 1;
}

// Splits "user:password@host:port", in which all but the host are optional.
Meant splitAuthority(std::string text) {
  Meant meant;
  if (auto at = text.rfind('@'); at != text.npos) {
    meant.user = text.substr(0, std::min(at, text.find(':')));
    text.erase(0, at + 1);
  }
  auto colon = endOfHost(text);
  meant.host = text.substr(0, colon);
  if (colon != text.npos) meant.port = text.substr(colon + 1);
  return meant;
}

absl::Status refuseFileUrl(const std::string& text, std::string path) {
  // "file:/path" has no host, "file://host/path" has one.
  if (path.starts_with("//")) path.erase(0, std::min(path.find('/', 2), path.size()));
  return refuse(text, "is a URL", "",
                absl::StrCat("Write a path on this machine without 'file:': ",
                             path.empty() ? "/path" : escapeForTerminal(path)));
}

absl::Status refuseUrl(const std::string& text, Asked asked) {
  auto url = std::string(absl::StripLeadingAsciiWhitespace(text));
  if (absl::StartsWithIgnoreCase(url, "file:/")) return refuseFileUrl(text, url.substr(5));
  auto end = url.find("://");
  bool scheme = end != url.npos && end > 0 && absl::ascii_isalpha(uint8_t(url[0])) &&
                std::all_of(url.begin(), url.begin() + long(end), [](char c) {
                  return absl::ascii_isalnum(uint8_t(c)) || c == '+' || c == '-' || c == '.';
                });
  if (!scheme) return absl::OkStatus();
  auto rest = url.substr(end + 3);
  auto slash = std::min(rest.find('/'), rest.size());
  auto meant = splitAuthority(rest.substr(0, slash));
  meant.path = rest.substr(slash);
  if (meant.path.starts_with("/~")) meant.path.erase(0, 1);
  if (meant.path == "/") meant.path.clear();
  bool daemon = absl::StartsWithIgnoreCase(url, "rsync:");
  return refuse(text, daemon ? "is the URL of an rsync daemon" : "is a URL",
                daemon ? "An rsync daemon encrypts nothing." : "", portAdvice(asked, meant));
}

absl::Status refuseWindowsPath(const std::string& text, Asked asked) {
  bool drive = text.size() > 2 && absl::ascii_isalpha(uint8_t(text[0])) && text[1] == ':' &&
               (text[2] == '\\' || text[2] == '/');
  if (!drive && !text.starts_with("\\\\")) return absl::OkStatus();
  return refuse(text, "looks like a path on Windows", "",
                absl::StrCat("Write ", formOf(asked),
                             asked == Asked::LOGIN
                                 ? ""
                                 : ", or a path on this machine that begins with '/' or '~/'; if "
                                   "the host's name is one letter, write its user too: "
                                   "user@h:/path"));
}

bool isBlankOrControl(uint32_t code) { return code == ' ' || isOddBlank(code) || isControl(code); }

bool blankAtEnds(std::string_view text) {
  if (text.empty()) return false;
  auto last = text.size() - 1;
  while (last > 0 && (uint8_t(text[last]) & 0xc0) == 0x80) --last;
  return anyCharacter(text.substr(0, stepOf(text)), isBlankOrControl) ||
         anyCharacter(text.substr(last), isBlankOrControl);
}

// ssh(1) rejects other characters, since a ProxyCommand passes them to a shell.
bool isHost(std::string_view host) {
  return !host.empty() && host[0] != '-' && host[0] != '~' &&
         host.find_first_of("'`\"$\\;&<>|(){}[]/:") == host.npos &&
         !anyCharacter(host, isBlankOrControl);
}

bool isUser(std::string_view user) {
  return !user.empty() && user[0] != '-' && user[0] != '@' && user.back() != '@' &&
         user.find_first_of("/:[]") == user.npos && !blankAtEnds(user) &&
         !anyCharacter(user, isControl);
}

// The address may have a zone: "fe80::1%eth0".
bool isAddress6(const std::string& text) {
  auto percent = text.find('%');
  in6_addr parsed;
  return inet_pton(AF_INET6, text.substr(0, percent).c_str(), &parsed) == 1 &&
         (percent == text.npos || isHost(text.substr(percent + 1)));
}

// Returns the longest IPv6 address at the beginning of the text, up to a ':' or the end; else
// empty.
std::string leadingAddress6(const std::string& text) {
  auto whole = text.substr(0, text.find('/'));
  for (auto end = whole.size(); end != whole.npos && end > 1; end = whole.rfind(':', end - 1)) {
    if (auto address = whole.substr(0, end); isAddress6(address)) return address;
  }
  return "";
}

absl::Status refuseBareAddress(const std::string& text, Asked asked) {
  auto at = text.substr(0, text.find_first_of(":/")).rfind('@');
  auto user = at == text.npos ? "" : text.substr(0, at);
  auto host = at == text.npos ? text : text.substr(at + 1);
  auto address = leadingAddress6(host);
  if (address.empty()) return absl::OkStatus();
  auto rest = host.substr(address.size());
  if (rest.starts_with(':')) rest.erase(0, 1);
  return refuse(text, "has an IPv6 address without brackets", "",
                writeInstead(asked, {user, "[" + address + "]", "", rest}));
}

// Parses "user@host", which `text` contains.
absl::StatusOr<Source> splitLogin(const std::string& login, const std::string& text, Asked asked) {
  Source source;
  auto at = login.rfind('@');
  bool good = at == login.npos || isUser(login.substr(0, at));
  if (at != login.npos) source.user = login.substr(0, at);
  source.host = at == login.npos ? login : login.substr(at + 1);
  if (source.host.starts_with('[') && source.host.ends_with(']')) {
    source.host = source.host.substr(1, source.host.size() - 2);
    auto colon = source.host.rfind(':');
    if (isAddress6(source.host)) {
      if (good) return source;
    } else if (colon != login.npos && !leadingPort(source.host.substr(colon + 1)).empty()) {
      Meant meant{source.user, source.host.substr(0, colon), source.host.substr(colon + 1),
                  text.substr(std::min(login.size() + 1, text.size()))};
      return refuse(text, "has a port in its brackets", "", portAdvice(asked, meant));
    }
  }
  if (good && isHost(source.host)) return source;
  return refuse(text, absl::StrCat("is not ", formOf(asked)),
                absl::StrCat("A host ", asked == Asked::SOURCE ? "and a path are" : "is",
                             " needed. Neither user nor host can begin with '-', and a host cannot "
                             "contain blanks, invisible characters, quotes or '$&;'."),
                "");
}

// Returns whether other tools use the word as a scheme in front of a host.
bool isScheme(const std::string& host) {
  constexpr const char* SCHEMES[] = {"ssh",   "sftp", "scp",  "rsync", "http",
                                     "https", "ftp",  "ftps", "file"};
  return std::any_of(std::begin(SCHEMES), std::end(SCHEMES),
                     [&](auto* known) { return absl::EqualsIgnoreCase(host, known); });
}

absl::Status refuseScheme(const std::string& text, Asked asked, const Source& login) {
  if (!login.user.empty() || !isScheme(login.host)) return absl::OkStatus();
  auto host = escapeForTerminal(login.host);
  return refuse(
      text, "begins like a URL", "",
      absl::StrCat("Write ", formOf(asked), "; if the host is called '", host,
                   "', write its user too: user@", host, asked == Asked::SOURCE ? ":/path" : ""));
}

// Rejects "sftp:user@host:path" and "user:password@host:path".
absl::Status refuseSecondLogin(const std::string& text, Asked asked, const Source& first,
                               const std::string& path) {
  auto before = path.substr(0, path.find('/'));
  auto at = before.find('@');
  // A login has no path that could contain an '@'.
  bool login = at != path.npos && (asked == Asked::LOGIN || before.find(':', at) != path.npos);
  bool scheme = isScheme(first.host);
  auto end = endOfHost(before);
  if (!login && (end == path.npos || !scheme)) return absl::OkStatus();
  auto meant = splitAuthority(before.substr(0, end));
  if (!scheme && first.user.empty()) meant.user = first.host;
  if (end != path.npos) meant.path = path.substr(end + 1);
  return refuse(text, "has a scheme, a password or a second host before its host", "",
                portAdvice(asked, meant));
}

// Rejects what follows the host's ':' and is not a path.
absl::Status checkBehindHost(const std::string& text, Asked asked, const Source& login,
                             const std::string& path) {
  bool address = login.host.find(':') != login.host.npos;
  Meant meant{login.user, address ? "[" + login.host + "]" : login.host, "", ""};
  if (path.empty()) {
    return refuse(text, "has nothing after its ':'", "", writeInstead(asked, meant));
  }
  if (path.starts_with(':')) {
    // The advice must itself be a valid source.
    meant.path = path.substr(std::min(path.find_first_not_of(':'), path.size()));
    while (meant.path.starts_with("//")) meant.path.erase(0, 1);
    return refuse(text, "names a module of an rsync daemon", "An rsync daemon encrypts nothing.",
                  writeInstead(asked, meant));
  }
  meant.port = leadingPort(path);
  if (meant.port.empty()) {
    auto checked = refuseSecondLogin(text, asked, login, path);
    return checked.ok() ? refuseScheme(text, asked, login) : checked;
  }
  auto behind = path.substr(meant.port.size());
  meant.path = behind.starts_with(':') ? behind.substr(1) : behind;
  auto directory = asked == Asked::LOGIN || behind.starts_with(':')
                       ? ""
                       : absl::StrCat("; if it is a directory, write './", escapeForTerminal(path),
                                      "' after the host");
  return refuse(text, "has a port after its host", "", portAdvice(asked, meant) + directory);
}

absl::Status checkPath(const std::string& text, const std::string& path) {
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return uint8_t(c) < 0x20 || c == 0x7f; })) {
    return refuse(text, "contains a control character", "", "Remove it");
  }
  if (!blankAtEnds(path)) return absl::OkStatus();
  return refuse(text, "has a path that begins or ends with a blank", "",
                "Remove the blank; if it is part of the directory's name, write './' before the "
                "path or '/' after it");
}

// Checks the text as a whole.
absl::Status checkWhole(const std::string& text, Asked asked) {
  for (auto check : {refuseUrl, refuseWindowsPath, refuseBareAddress}) {
    if (auto status = check(text, asked); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Source> parseSource(const std::string& text) {
  if (text.starts_with('/') || beginsWithTilde(text)) {
    auto checked = checkPath(text, text);
    return checked.ok() ? absl::StatusOr<Source>(Source{"", "", text}) : checked;
  }
  if (auto status = checkWhole(text, Asked::SOURCE); !status.ok()) return status;
  auto colon = endOfHost(text);
  if (colon == text.npos || text.find('/') < colon) {
    auto host = text.find('/') == text.npos ? parseLogin(text) : absl::UnknownError("a path");
    return refuse(text, "is neither user@host:path nor a local path that begins with '/' or '~/'",
                  "",
                  host.ok() ? absl::StrCat("If it is a host, write ", escapeForTerminal(text),
                                           ":~/.pi/agent/sessions")
                            : "");
  }
  auto source = splitLogin(text.substr(0, colon), text, Asked::SOURCE);
  if (!source.ok()) return source;
  source->path = text.substr(colon + 1);
  auto checked = checkBehindHost(text, Asked::SOURCE, *source, source->path);
  if (checked.ok()) checked = checkPath(text, source->path);
  return checked.ok() ? source : absl::StatusOr<Source>(checked);
}

absl::StatusOr<Source> parseLogin(const std::string& text) {
  if (auto status = checkWhole(text, Asked::LOGIN); !status.ok()) return status;
  auto colon = endOfHost(text);
  auto login = splitLogin(text.substr(0, colon), text, Asked::LOGIN);
  if (!login.ok() || colon == text.npos) return login;
  auto checked = checkBehindHost(text, Asked::LOGIN, *login, text.substr(colon + 1));
  if (!checked.ok()) return checked;
  return refuse(text, "includes a path, but must be only user@host", "",
                absl::StrCat("Write ", escapeForTerminal(text.substr(0, colon)),
                             ", and the directory with --root"));
}

std::string sourceOf(const std::string& login, const std::string& path) {
  return login + ":" + path;
}

absl::Status checkAgentPath(const std::string& path) {
  if (!path.starts_with('~') || beginsWithTilde(path)) return absl::OkStatus();
  return refuse(path, "is not a path that the agent understands",
                "It expands only '~/…', the home directory of the user who logs in.",
                "Write an absolute path instead");
}

}  // namespace pibrain
