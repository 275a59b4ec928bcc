#include "hub/sync/listing.h"

#include <kj/debug.h>

#include <algorithm>
#include <unordered_set>

#include "common/protocol.h"
#include "common/rooted-dir.h"
#include "common/text.h"
#include "hub/sync/mirror.h"

namespace pibrain {

namespace {

std::string textOf(capnp::Data::Reader data) {
  return std::string(reinterpret_cast<const char*>(data.begin()), data.size());
}

bool isReserved(const std::string& path) {
  return path.substr(0, path.find('/')) == Mirror::STAGING;
}

}  // namespace

void ListingReader::event(proto::Event::Reader event) {
  KJ_REQUIRE(summarized_ != event.isSummary(), "a listing begins with its summary");
  switch (event.which()) {
    case proto::Event::SUMMARY: {
      auto summary = event.getSummary();
      summarized_ = true;
      listing_.state = summary.getState();
      listing_.complete = summary.getComplete();
      listing_.files = summary.getFiles();
      listing_.bytes = summary.getBytes();
      listing_.symlinksSkipped = summary.getSymlinksSkipped();
      listing_.specialsSkipped = summary.getSpecialsSkipped();
      break;
    }
    case proto::Event::DIRECTORY:
      directory(event.getDirectory());
      break;
    case proto::Event::UNSEEN:
      unseen(event.getUnseen());
      break;
    case proto::Event::PROBLEM:
      KJ_REQUIRE(listing_.problems.size() < MAX_PROBLEMS, "too many problems");
      listing_.problems.emplace_back(textOf(event.getProblem().getPath()),
                                     event.getProblem().getReason());
      break;
    default:
      KJ_FAIL_REQUIRE("an event that does not belong in a listing", uint(event.which()));
  }
}

void ListingReader::unseen(capnp::List<uint32_t>::Reader indexes) {
  KJ_REQUIRE(indexes.size() <= known_ - listing_.unseen.size(), "more directories than were sent");
  for (uint32_t index : indexes) {
    KJ_REQUIRE(index < known_, "an index beyond what was sent");
    listing_.unseen.push_back(index);
  }
}

void ListingReader::directory(proto::Directory::Reader directory) {
  auto path = textOf(directory.getPath());
  KJ_REQUIRE(path.empty() || isSafePath(path), "not a path", escapeForTerminal(path).c_str());
  if (listing_.directories.empty() || listing_.directories.back() != path) {
    listing_.directories.push_back(path);
  }
  // Each get counts against the message's traversal limit: once.
  auto entries = directory.getEntries();
  size_t left = listing_.files - listing_.listed.size() - listing_.reserved.size();
  KJ_REQUIRE(entries.size() > 0 && entries.size() <= left, "more files than were announced");
  uint32_t id = directory.getFirstFile();
  for (auto entry : entries) {
    auto name = textOf(entry.getName());
    KJ_REQUIRE(isSafeName(name), "not a file name", escapeForTerminal(name).c_str());
    KJ_REQUIRE(entry.getSize() <= uint64_t(INT64_MAX), "not a size", entry.getSize());
    auto whole = path.empty() ? name : path + "/" + name;
    KJ_REQUIRE(isSafePath(whole), "a path that is too deep");
    if (isReserved(whole)) {
      listing_.reserved.push_back(whole);
    } else {
      listing_.listed.push_back({id, whole, entry.getSize(), entry.getMtime()});
    }
    ++id;
  }
}

Listing ListingReader::take() {
  KJ_REQUIRE(summarized_, "a listing without a summary");
  std::unordered_set<std::string_view> paths;
  for (auto& file : listing_.listed) {
    KJ_REQUIRE(paths.insert(file.path).second, "a file twice",
               escapeForTerminal(file.path).c_str());
  }
  return std::move(listing_);
}

const char* describe(proto::Reason reason) {
  switch (reason) {
    case proto::Reason::VANISHED:
      return "it is gone";
    case proto::Reason::DENIED:
      return "permission denied on the spoke";
    case proto::Reason::NOT_REGULAR:
      return "it is no longer a regular file";
    case proto::Reason::CHANGING:
      return "it is being rewritten";
    case proto::Reason::UNFINISHED_LINE:
      return "its first line is still being written";
    case proto::Reason::TOO_DEEP:
      return "it is nested too deeply";
    case proto::Reason::TOO_MANY:
      return "there are too many files";
    case proto::Reason::IO_ERROR:
      return "reading it failed on the spoke";
    case proto::Reason::BAD_REQUEST:
      return "the agent did not understand the request";
  }
  return "a reason that this version does not know";
}

}  // namespace pibrain
