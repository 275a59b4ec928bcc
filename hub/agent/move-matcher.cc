#include "hub/agent/move-matcher.h"

#include <kj/debug.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>

#include "common/fs/file-io.h"
#include "hub/agent/move-finder.h"

namespace pibrain {

namespace {

// A session's first line contains its id.
constexpr uint64_t BEGINNING = 4096;

class Matcher {
 public:
  Matcher(Plan& plan, Mirror& mirror, AgentSession& session)
      : plan_(plan), mirror_(mirror), session_(session) {}

  void run() {
    lengths_.resize(plan_.moveGroups.size());
    for (auto& file : plan_.files) {
      if (file.moveGroup != NO_MOVE_GROUP && isAsked(file)) ask(file);
    }
    if (asks_.empty()) return;
    receive();
    hashCandidates();
    for (bool exact : {true, false}) {
      for (auto& [file, hashes] : answers_) {
        if (isExact(*file) == exact) match(*file, hashes);
      }
    }
  }

 private:
  // Files with the same beginning, the largest first.
  struct Bucket {
    std::vector<std::pair<uint64_t, std::string>> files;  // sizes and paths
    size_t next = 0;
  };
  using Key = std::tuple<uint32_t, uint64_t, uint64_t, uint64_t>;  // group, length, hash
  using Hashes = std::vector<std::pair<uint64_t, Digest>>;         // lengths first
  struct Ask {
    PlannedFile* file;
    uint64_t length;
  };

  bool isExact(const PlannedFile& file) const { return plan_.moveGroups[file.moveGroup].exact; }

  // An agent that hashes only whole files can distinguish only exact candidates.
  bool isAsked(const PlannedFile& file) const {
    return isExact(file) || session_.hashesBeginnings();
  }

  uint64_t lengthFor(uint32_t group, uint64_t size) const {
    return plan_.moveGroups[group].exact ? size : beginningOf(size);
  }

  void ask(PlannedFile& file) {
    auto& lengths = lengths_[file.moveGroup];
    if (lengths.empty()) {
      for (auto& [path, size] : plan_.moveGroups[file.moveGroup].files) {
        lengths.insert(lengthFor(file.moveGroup, size));
      }
    }
    for (uint64_t length : lengths) {
      if (length <= file.remote.size) asks_.push_back({&file, length});
    }
  }

  void receive() {
    std::vector<uint32_t> ids;
    std::vector<uint64_t> lengths;
    for (auto& [file, length] : asks_) {
      ids.push_back(file->remote.id);
      lengths.push_back(length);
    }
    size_t next = 0;
    auto take = [&](proto::Event::Reader event) {
      KJ_REQUIRE(next < asks_.size() && (event.isDigest() || event.isRefused()),
                 "an event that does not belong in digests");
      auto [file, length] = asks_[next++];
      uint32_t id = event.isDigest() ? event.getDigest().getFile() : event.getRefused().getFile();
      KJ_REQUIRE(id == file->remote.id, "a digest that was not requested", id);
      auto& hashes = answers_[file];
      if (!event.isDigest() || event.getDigest().getSize() != length) return;
      hashes.emplace_back(length, Digest::from(event.getDigest().getHash()));
    };
    session_.digests(kj::arrayPtr(ids.data(), ids.size()), take,
                     kj::arrayPtr(lengths.data(), lengths.size()));
    KJ_REQUIRE(next == asks_.size(), "the agent did not answer about every file");
  }

  void hashCandidates() {
    for (uint32_t group = 0; group < plan_.moveGroups.size(); ++group) {
      if (lengths_[group].empty()) continue;
      for (auto& [path, size] : plan_.moveGroups[group].files) {
        uint64_t length = lengthFor(group, size);
        KJ_IF_MAYBE(file, mirror_.openFile(path)) {
          if (mirror_.endedUncleanly()) mirror_.readFromDisk(*file);
          FileHasher hasher(session_.secret());
          if (file->size != size || hashPrefix(file->fd, length, hasher) != length) continue;
          auto hash = hasher.digest();
          buckets_[{group, length, hash.low, hash.high}].files.emplace_back(size, path);
        }
      }
    }
    for (auto& [key, bucket] : buckets_) {
      std::sort(bucket.files.begin(), bucket.files.end(), std::greater<>());
    }
  }

  void match(PlannedFile& file, const Hashes& hashes) {
    std::vector<std::string> found;
    uint64_t size = 0;
    for (auto one = hashes.rbegin(); one != hashes.rend(); ++one) {
      auto& [length, hash] = *one;
      auto bucket = buckets_.find({file.moveGroup, length, hash.low, hash.high});
      if (bucket == buckets_.end()) continue;
      for (auto& [candidateSize, path] : take(bucket->second, file.remote.size)) {
        if (found.size() == MoveFinder::MAX_CANDIDATES || spent_.contains(path)) continue;
        if (found.empty()) size = candidateSize;
        found.push_back(path);
      }
    }
    if (isExact(file)) {
      found.resize(std::min<size_t>(found.size(), 1));
      spent_.insert(found.begin(), found.end());
    }
    file.kind = found.empty() ? ChangeKind::NEW : ChangeKind::MOVE;
    file.basisSize = size;
    file.candidates = std::move(found);
  }

  // Takes some files that are not larger. Rotates them, so that each comes first once and most are
  // found at the first try.
  static std::vector<std::pair<uint64_t, std::string>> take(Bucket& bucket, uint64_t size) {
    auto fits = std::partition_point(bucket.files.begin(), bucket.files.end(),
                                     [&](auto& one) { return one.first > size; });
    size_t count = size_t(bucket.files.end() - fits);
    std::vector<std::pair<uint64_t, std::string>> some;
    for (size_t i = 0; i < std::min(count, MoveFinder::MAX_CANDIDATES); ++i) {
      some.push_back(fits[ptrdiff_t((bucket.next + i) % count)]);
    }
    ++bucket.next;
    return some;
  }

  Plan& plan_;
  Mirror& mirror_;
  AgentSession& session_;
  std::vector<std::set<uint64_t>> lengths_;  // lengths that are requested, by group
  std::vector<Ask> asks_;
  std::map<PlannedFile*, Hashes> answers_;
  std::map<Key, Bucket> buckets_;
  Paths spent_;
};

}  // namespace

uint64_t beginningOf(uint64_t size) { return size >= BEGINNING ? BEGINNING : std::bit_floor(size); }

void matchMoves(Plan& plan, Mirror& mirror, AgentSession& session) {
  Matcher(plan, mirror, session).run();
}

}  // namespace pibrain
