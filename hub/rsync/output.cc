#include "hub/rsync/output.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/strip.h>

namespace pibrain {

namespace {

constexpr size_t ITEM_LENGTH = 11;  // of "%i", which begins YX: kind of update, kind of file

bool takeNumber(absl::string_view& text, uint64_t& value) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(uint8_t(text[digits]))) ++digits;
  if (!absl::SimpleAtoi(text.substr(0, digits), &value)) return false;
  text.remove_prefix(digits);
  return true;
}

}  // namespace

std::string unescapeRsync(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto octal = [&](size_t k) {
      return i + k < text.size() && text[i + k] >= '0' && text[i + k] <= '7';
    };
    if (text.substr(i, 2) == "\\#" && octal(2) && octal(3) && octal(4)) {
      out += char((text[i + 2] - '0') * 64 + (text[i + 3] - '0') * 8 + (text[i + 4] - '0'));
      i += 4;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool RsyncOutput::item(std::string_view view) {
  absl::string_view text(view.data(), view.size());
  bool deleted = absl::ConsumePrefix(&text, "*deleting");
  auto what = deleted ? absl::string_view() : text.substr(0, ITEM_LENGTH);
  if (!deleted) {
    bool update = what.size() == ITEM_LENGTH && absl::StrContains("<>c.h", what.substr(0, 1)) &&
                  what[1] == 'f' && text.size() > ITEM_LENGTH && text[ITEM_LENGTH] == ' ';
    if (!update) return false;
    text.remove_prefix(ITEM_LENGTH);
  }
  text = absl::StripLeadingAsciiWhitespace(text);
  uint64_t size = 0;
  if (!takeNumber(text, size) || !absl::ConsumePrefix(&text, " ") || text.empty()) return false;
  auto path = unescapeRsync({text.data(), text.size()});
  if (deleted) {
    if (!path.ends_with('/')) items_.push_back({Kind::DELETED, std::move(path), 0});
    return true;
  }
  auto kind = absl::StrContains(what, "+++") ? Kind::NEW
              : what[0] == '.'               ? Kind::TOUCHED
                                             : Kind::CHANGED;
  // A mirror ignores changed modes and owners.
  if (kind == Kind::TOUCHED && what[4] != 't' && what[4] != 'T') return true;
  bool unlike = what[3] != '.' || what[4] != '.';
  items_.push_back({kind, std::move(path), size, kind == Kind::CHANGED && unlike});
  return true;
}

bool RsyncOutput::directory(std::string_view view) {
  absl::string_view text(view.data(), view.size());
  auto what = text.substr(0, ITEM_LENGTH);
  bool update = what.size() == ITEM_LENGTH && absl::StrContains(".c", what.substr(0, 1)) &&
                what[1] == 'd' && text.size() > ITEM_LENGTH && text[ITEM_LENGTH] == ' ';
  if (!update) return false;
  text.remove_prefix(ITEM_LENGTH + 1);
  uint64_t size = 0;
  if (!takeNumber(text, size) || !absl::ConsumePrefix(&text, " ")) return false;
  if (what[0] == '.' && what[4] != 't' && what[4] != 'T') return true;
  auto path = unescapeRsync({text.data(), text.size()});
  if (path.ends_with('/')) path.pop_back();
  directories_.push_back(path == "." ? "" : path);
  return true;
}

// Parses "   1234  45%   12.34MB/s    0:00:01 (xfr#3, to-chk=5/10)", with "ir-chk" while rsync is
// still searching directories. The brackets are missing during a file; when the list is complete,
// rsync reports the same file again.
bool RsyncOutput::progress(std::string_view view) {
  absl::string_view text(view.data(), view.size());
  if (!absl::ConsumePrefix(&text, " ")) return false;
  text = absl::StripLeadingAsciiWhitespace(text);
  uint64_t number = 0;
  if (!takeNumber(text, number) || !absl::StrContains(text, "% ")) return false;
  bytesDone = number;
  auto brackets = text.find("(xfr#");
  if (brackets == absl::string_view::npos) return true;
  text.remove_prefix(brackets + 5);
  uint64_t transfer = 0, left = 0, all = 0;
  if (!takeNumber(text, transfer) || transfer == lastTransfer_) return true;
  lastTransfer_ = transfer;
  if (absl::ConsumePrefix(&text, ", to-chk=") && takeNumber(text, left) &&
      absl::ConsumePrefix(&text, "/") && takeNumber(text, all) && left <= all &&
      all <= UINT32_MAX) {
    entries = uint32_t(all);
    entriesDone = uint32_t(all - left);
  }
  return true;
}

void RsyncOutput::line(std::string_view view) {
  if (item(view) || directory(view) || progress(view)) return;
  absl::string_view text(view.data(), view.size());
  uint64_t number = 0;
  auto after = [&](absl::string_view words) {
    return absl::ConsumePrefix(&text, words) && takeNumber(text, number);
  };
  if (absl::StartsWith(text, "skipping non-regular file ")) {
    ++skipped;
  } else if (after("Number of files: ")) {
    ended = true;
    // "12 (reg: 10, dir: 2)"; without regular files, "reg" is missing.
    auto regular = text.find("reg: ");
    files = 0;
    if (regular == absl::string_view::npos) return;
    text.remove_prefix(regular);
    if (after("reg: ")) files = uint32_t(number);
  } else if (after("Total file size: ")) {
    bytes = number;
  } else if (after("Literal data: ")) {
    bytesLiteral = number;
  } else if (after("Total bytes sent: ")) {
    bytesSent = number;
  } else if (after("Total bytes received: ")) {
    bytesReceived = number;
  }
}

}  // namespace pibrain
