#include "hub/agent/listing.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <kj/debug.h>

#include <algorithm>
#include <unordered_set>

#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/wire/data.h"
#include "common/wire/protocol.h"
#include "hub/base/failure.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

namespace {

// The measured memory for each file besides its path, which the plan copies.
constexpr size_t PER_FILE = 400;
constexpr size_t PER_ITEM = 100;

// Throws that the spoke sent `text`, which is `what`.
[[noreturn]] void refuse(const char* what, std::string_view text) {
  constexpr size_t MAX_SHOWN = 100;
  std::string shown(headOf(text, MAX_SHOWN));
  for (auto& c : shown) c = c == '\0' ? '?' : c;  // a NUL would end the text
  kj::throwFatalException(
      kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                    kj::str(what, ": '", shown.c_str(), text.size() > MAX_SHOWN ? "…'" : "'")));
}

}  // namespace

bool Listing::sameFiles(const Listing& other) const {
  return files == other.files && bytes == other.bytes && missingOnSpoke == other.missingOnSpoke &&
         listed == other.listed;
}

// Ignores case, as the mirror's filesystem may do.
bool isReserved(const std::string& path) {
  return absl::EqualsIgnoreCase(path.substr(0, path.find('/')), std::string(Mirror::STAGING));
}

void ListingReader::event(proto::Event::Reader event) {
  KJ_REQUIRE(summarized_ != event.isSummary(), "a listing begins with its summary");
  switch (event.which()) {
    case proto::Event::SUMMARY: {
      auto summary = event.getSummary();
      summarized_ = true;
      listing_.state = summary.getState();
      KJ_REQUIRE(listing_.state <= proto::Summary::State::LISTED, "a summary of an unknown kind");
      if (listing_.state == proto::Summary::State::LISTED) {
        // These were not sent to the agent, so it did not say whether it has them.
        for (size_t i = MAX_KNOWN; i < known_.digests.size(); ++i) {
          missingOnSpoke_[i] = true;
          listing_.missingOnSpoke.push_back(uint32_t(i));
        }
      }
      listing_.complete = summary.getComplete();
      listing_.files = summary.getFiles();
      listing_.bytes = summary.getBytes();
      listing_.symlinksSkipped = summary.getSymlinksSkipped();
      listing_.specialsSkipped = summary.getSpecialsSkipped();
      listing_.rest = summary.getRest();
      KJ_REQUIRE(listing_.rest <= proto::Summary::Rest::CHANGING, "a summary of an unknown kind");
      break;
    }
    case proto::Event::DIRECTORY:
      directory(event.getDirectory());
      break;
    case proto::Event::ENTRY:
      entry(event.getEntry());
      break;
    case proto::Event::UNSEEN:
      missingOnSpoke(event.getUnseen());
      break;
    case proto::Event::PROBLEM:
      problem(event.getProblem());
      break;
    case proto::Event::SKIPPED:
      skipped(event.getSkipped());
      break;
    default:
      KJ_FAIL_REQUIRE("an event that does not belong in a listing", uint(event.which()));
  }
}

void ListingReader::chargeMemory(size_t bytes) {
  held_ += bytes;
  if (held_ <= maxHeld_) return;
  throw Failure(
      FailureId::LISTING_TOO_LARGE,
      absl::StrCat("the spoke lists so many files that their names and sizes need more than the ",
                   maxHeld_ >> 20, " MiB of memory that the hub allows for them"),
      "Nothing was changed on the hub.",
      {{"If the spoke really has so many files, raise 'listing_mb' in the 'hub' section of the "
        "config",
        ""}});
}

void ListingReader::problem(proto::Problem::Reader problem) {
  KJ_REQUIRE(listing_.problems.size() < MAX_PROBLEMS, "too many problems");
  auto path = textOf(problem.getPath());
  // The problem may be the length of the path.
  bool tooLong = problem.getReason() == proto::Reason::NAME_TOO_LONG;
  if (!path.empty() && !tooLong && !isSafePath(path)) refuse("not a path", path);
  chargeMemory(PER_ITEM + path.size());
  listing_.problems.emplace_back(std::move(path), problem.getReason());
}

void ListingReader::skipped(capnp::Data::Reader data) {
  KJ_REQUIRE(listing_.skipped.size() < known_.maxSkipped,
             "more skipped entries than were requested");
  auto path = textOf(data);
  KJ_REQUIRE(!path.empty(), "a skipped entry without a name");
  chargeMemory(PER_ITEM + path.size());
  listing_.skipped.push_back(std::move(path));
}

void ListingReader::missingOnSpoke(capnp::List<uint32_t>::Reader indexes) {
  KJ_REQUIRE(indexes.size() > 0, "an event that says nothing");
  KJ_REQUIRE(indexes.size() <= known_.digests.size() - listing_.missingOnSpoke.size(),
             "more directories than were sent");
  for (uint32_t index : indexes) {
    KJ_REQUIRE(index < known_.digests.size(), "an index beyond what was sent");
    KJ_REQUIRE(!missingOnSpoke_[index], "a directory twice", index);
    missingOnSpoke_[index] = true;
    listing_.missingOnSpoke.push_back(index);
  }
}

void ListingReader::directory(proto::Directory::Reader directory) {
  auto path = textOf(directory.getPath());
  if (!path.empty() && !isSafePath(path)) refuse("not a path", path);
  if (listing_.directories.empty() || listing_.directories.back() != path) {
    chargeMemory(PER_ITEM + path.size());
    listing_.directories.push_back(path);
  }
  // Read once, because each get counts against the message's traversal limit.
  auto fingerprints = directory.getFingerprints();
  auto entries = directory.getEntries();
  size_t left = listing_.files - listing_.listed.size() - listing_.leftOut.size() -
                listing_.reserved.size() - unknown_.size();
  KJ_REQUIRE(fingerprints.size() > 0 && fingerprints.size() <= left,
             "more files than were announced");
  uint32_t id = directory.getFirstFile();
  uint32_t next = 0;
  for (uint64_t one : fingerprints) {
    if (one != 0) {
      fingerprint(id++, one);
      continue;
    }
    KJ_REQUIRE(next < entries.size(), "fewer entries than files without a fingerprint");
    auto entry = entries[next++];
    auto name = entry.getName().asChars();
    file(id++, listing_.directories.size() - 1, {name.begin(), name.size()}, entry.getSize(),
         entry.getMtime(), entry.getMode());
  }
  KJ_REQUIRE(next == entries.size(), "more entries than files without a fingerprint");
}

void ListingReader::fingerprint(uint32_t id, uint64_t fingerprint) {
  if (mirror_.empty()) indexMirror();
  auto found = mirror_.find(fingerprint);
  if (found == mirror_.end()) {
    chargeMemory(PER_ITEM);
    KJ_REQUIRE(unknown_.emplace(id, listing_.directories.size() - 1).second, "a file twice", id);
    return;
  }
  auto& [where, what] = found->second;
  file(id, listing_.directories.size() - 1, where.name(what), what.size, what.mtime, what.mode);
}

// An unchanged file is listed if something else changed in its directory, or it moved from another
// one.
void ListingReader::indexMirror() {
  for (uint32_t index : listing_.missingOnSpoke) {
    auto& directory = *known_.directories[index];
    for (auto& file : directory.files) {
      mirror_.emplace(fingerprintOf(directory, file, known_.options), Tree::Found{directory, file});
    }
  }
}

void ListingReader::entry(proto::FileEntry::Reader entry) {
  auto found = unknown_.find(entry.getFile());
  KJ_REQUIRE(found != unknown_.end(), "an entry that was not requested", entry.getFile());
  size_t directory = found->second;
  unknown_.erase(found);
  auto about = entry.getEntry();
  auto name = about.getName().asChars();
  file(entry.getFile(), directory, {name.begin(), name.size()}, about.getSize(), about.getMtime(),
       about.getMode());
}

void ListingReader::file(uint32_t id, size_t directory, std::string_view name, uint64_t size,
                         int64_t mtime, uint16_t mode) {
  if (!isSafeName(name)) refuse("not a file name", name);
  KJ_REQUIRE(size <= uint64_t(INT64_MAX), "not a size", size);
  auto path = joinPath(listing_.directories[directory], name);
  if (!isSafePath(path)) refuse("a path that is too deep", path);
  chargeMemory(PER_FILE + 2 * path.size());
  if (isReserved(path)) {
    listing_.reserved.push_back(std::move(path));
  } else if (known_.leaveOut != nullptr && known_.leaveOut->coverFile(path)) {
    listing_.leftOut.push_back({id, std::move(path), size, mtime, mode});
  } else {
    listing_.listed.push_back({id, std::move(path), size, mtime, mode});
  }
}

std::vector<uint32_t> ListingReader::unresolved() const {
  std::vector<uint32_t> ids;
  for (auto& [id, directory] : unknown_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

Listing ListingReader::finish() {
  KJ_REQUIRE(summarized_, "a listing without a summary");
  KJ_REQUIRE(unknown_.empty(), "a file without an entry");
  std::unordered_set<std::string_view> paths;
  for (auto& file : listing_.listed) {
    if (!paths.insert(file.path).second) refuse("a file twice", file.path);
  }
  return std::move(listing_);
}

}  // namespace pibrain
