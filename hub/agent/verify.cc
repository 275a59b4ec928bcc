#include "hub/agent/verify.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <kj/debug.h>

#include <algorithm>
#include <unordered_map>

#include "common/delta/delta.h"
#include "common/fs/file-io.h"
#include "common/text/escape.h"
#include "hub/agent/agent-session.h"
#include "hub/agent/greeting.h"
#include "hub/agent/plan.h"
#include "hub/agent/reporting.h"
#include "hub/agent/transfer.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/base/parallel.h"
#include "hub/base/reason.h"
#include "hub/connect/connector.h"
#include "hub/mirror/deletion.h"
#include "hub/mirror/open-mirror.h"
#include "hub/mirror/readable.h"

namespace pibrain {

namespace {

// For how many files the differing block is located.
constexpr size_t MAX_LOCATED = 100;
constexpr size_t MAX_UNREAD_DESCRIBED = 5;

// A file on both sides.
struct Pair {
  RemoteFile remote;
  Tree::File mirror;
  kj::Maybe<Digest> ours;  // null: the mirror's file changed while it was read
  std::string failed;      // … or why it could not be read
};

bool looksTheSame(const RemoteFile& remote, const Tree::File& mirror, const StoredTimes& times) {
  if (remote.size != mirror.size) return false;
  if (mirror.mtime == times.stored(remote.mtime)) return true;
  // A file that was fresh when it was fetched has a time 1 ns earlier (FileReceiver). With a
  // coarser grain it may have another time, and the next run looks at it.
  return times.grain <= 1 && mirror.mtime < INT64_MAX && remote.mtime == mirror.mtime + 1;
}

class SpokeVerify {
 public:
  SpokeVerify(const Config& config, const SpokeConfig& spoke, const VerifyOptions& options,
              Store* store, Verification& result)
      : config_(config),
        spoke_(spoke),
        passphrases_(options.passphrases),
        store_(store),
        result_(result),
        io_(kj::setupAsyncIo()),
        exclusions_(spoke.exclude) {}

  void run(bool repair) {
    auto mirror =
        openMirror(config_, spoke_, store_, repair ? Mirror::Access::WRITE : Mirror::Access::READ,
                   result_.report.started);
    auto tree = mirror.walk();
    mirror.walked(tree);
    if (repair) mirror.noteEdits(tree);
    requireReadable(spoke_, tree, result_.report.warnings);
    for (auto& problem : tree.problems) unreadHere_.insert(problem.path);
    auto connector = connectorTo(spoke_, store_);
    AgentSession session(spoke_, *connector, reportingTo(result_.report, passphrases_), io_,
                         AgentSession::limitsOf(spoke_, config_.hub));
    KJ_DEFER(result_.report.wire = session.wire());
    session.converse([&]() {
      // An empty summary makes the agent list everything.
      MirrorSummary nothing;
      nothing.tree = treeDigest(std::vector<uint64_t>());
      nothing.leaveOut = &exclusions_;
      auto listing = session.scan(nothing, [&](const AgentInfo& agent) {
        validateHello(spoke_, agent, session.noise(), result_.report.warnings);
        mirror.archive().clockShows(agent.clock);
      });
      match(tree, listing);
      compare(mirror, session);
      if (repair) fetch(mirror, session, pathsOf(nothing, listing));
    });
  }

 private:
  void match(const Tree& tree, const Listing& listing) {
    for (auto& remote : listing.listed) {
      KJ_IF_MAYBE(id, tree.idOf(remote.path)) {
        pairs_.push_back({remote, KJ_ASSERT_NONNULL(tree.find(*id)).file, nullptr, ""});
      } else {
        differ(remote, Difference::Kind::MISSING, 0);
      }
    }
    // What the mirror has there may be right or wrong.
    std::erase_if(result_.differences, [&](auto& one) {
      if (one.kind != Difference::Kind::MISSING || !isWithin(one.path, unreadHere_)) return false;
      ++result_.unread;
      return true;
    });
    result_.extra = tree.files - uint32_t(pairs_.size());
    if (listing.listed.empty() && result_.extra > 0) {
      warn(rootEmpty(spoke_.source.path, result_.extra).what());
    }
    for (auto& [path, reason] : listing.problems) unread(path.empty() ? "." : path, reason);
    if (!listing.complete && listing.problems.empty()) unread(".", proto::Reason::IO_ERROR);
  }

  void compare(Mirror& mirror, AgentSession& session) {
    auto hashing = startInBackground([&]() {
      for (auto& pair : pairs_) {
        // An exception must not cross threads, since KJ counts them per thread.
        KJ_IF_MAYBE(e, kj::runCatchingExceptions(
                           [&]() { pair.ours = digestOf(mirror, pair, session.secret()); })) {
          pair.failed = messageOf(*e);
        }
      }
    });
    auto theirs = askDigests(session);
    hashing.get();
    for (auto& pair : pairs_) {
      auto found = theirs.find(pair.remote.id);
      if (found == theirs.end()) continue;
      auto& [size, hash] = found->second;
      ++result_.files;
      result_.bytes += size;
      bool same = false;
      KJ_IF_MAYBE(ours, pair.ours) same = size == pair.mirror.size && hash == *ours;
      // Another time alone does not make the content differ.
      if (same) continue;
      if (!pair.failed.empty()) {
        warn(absl::StrCat("'", escapeForTerminal(spoke_.path + "/" + pair.remote.path),
                          "' cannot be read: ", pair.failed));
      }
      bool unnoticed = looksTheSame(pair.remote, pair.mirror, mirror.traits().times) &&
                       size == pair.remote.size && (pair.ours != nullptr || !pair.failed.empty());
      differ(pair.remote, unnoticed ? Difference::Kind::CONTENT : Difference::Kind::CHANGED,
             pair.mirror.size);
    }
    locate(mirror, session);
    std::sort(result_.differences.begin(), result_.differences.end(),
              [](auto& a, auto& b) { return a.path < b.path; });
  }

  static kj::Maybe<Digest> digestOf(Mirror& mirror, const Pair& pair, FileHasher::Secret secret) {
    KJ_IF_MAYBE(file, mirror.openFile(pair.remote.path)) {
      FileHasher hasher(secret);
      mirror.readFromDisk(*file);  // verifies the disk, not the cache
      if (file->size == pair.mirror.size && file->mtime == pair.mirror.mtime &&
          hashPrefix(file->fd, file->size, hasher) == file->size) {
        return hasher.digest();
      }
    }
    return nullptr;
  }

  // Returns size and hash of the files that the agent could read, by id.
  std::unordered_map<uint32_t, std::pair<uint64_t, Digest>> askDigests(AgentSession& session) {
    std::unordered_map<uint32_t, const Pair*> asked;
    std::vector<uint32_t> ids;
    for (auto& pair : pairs_) {
      asked.emplace(pair.remote.id, &pair);
      ids.push_back(pair.remote.id);
    }
    auto answered = [&](uint32_t id) {
      auto found = asked.find(id);
      KJ_REQUIRE(found != asked.end(), "an answer that was not requested", id);
      auto* pair = found->second;
      asked.erase(found);
      return pair;
    };
    std::unordered_map<uint32_t, std::pair<uint64_t, Digest>> digests;
    session.digests(kj::arrayPtr(ids.data(), ids.size()), [&](proto::Event::Reader event) {
      if (event.isRefused()) {
        auto refused = event.getRefused();
        auto* pair = answered(refused.getFile());
        bool gone = refused.getReason() == proto::Reason::VANISHED;
        if (!gone) unread(pair->remote.path, refused.getReason());
        return;
      }
      KJ_REQUIRE(event.isDigest(), "an event that does not belong among digests");
      auto digest = event.getDigest();
      answered(digest.getFile());
      digests[digest.getFile()] = {digest.getSize(), Digest::from(digest.getHash())};
    });
    KJ_REQUIRE(asked.empty(), "the agent did not answer for every file");
    return digests;
  }

  void differ(const RemoteFile& remote, Difference::Kind kind, uint64_t mirrorSize) {
    result_.differences.push_back({kind, remote.path, remote.size, mirrorSize, std::nullopt, 0});
    differing_.push_back(remote);
  }

  // Finds the first differing block of the first differing files.
  void locate(Mirror& mirror, AgentSession& session) {
    size_t located = 0;
    for (size_t i = 0; i < differing_.size() && located < MAX_LOCATED; ++i) {
      auto& difference = result_.differences[i];
      if (difference.kind == Difference::Kind::MISSING) continue;
      ++located;
      auto theirs = session.signature(differing_[i].id);
      auto opened = mirror.openFile(difference.path);
      if (theirs.size() == 0 || opened == nullptr) continue;
      auto& file = KJ_ASSERT_NONNULL(opened);
      auto lengths = lengthsIn(theirs);
      KJ_REQUIRE(file.size / lengths.block <= Signature::MAX_BLOCKS,
                 "a signature of blocks that are too short", lengths.block);
      kj::Vector<kj::byte> ours;
      makeSignature(file.fd, file.size, lengths.block, lengths.strong,
                    [&](kj::ArrayPtr<const kj::byte> bytes) { ours.addAll(bytes); });
      difference.offset = std::min(
          {commonBlocks(ours, theirs) * lengths.block, difference.size, difference.mirrorSize});
      difference.blockLength = lengths.block;
    }
  }

  void fetch(Mirror& mirror, AgentSession& session, const Paths& onSpoke) {
    if (differing_.empty()) return;
    mirror.archiveAs(ArchiveReason::REPAIRED);
    mirror.spokeHas([&](const std::string& path) { return onSpoke.contains(path); });
    std::vector<PlannedFile> files;
    std::unordered_map<std::string, uint64_t> mirrored;
    for (auto& pair : pairs_) mirrored.emplace(pair.remote.path, pair.mirror.size);
    for (auto& remote : differing_) {
      auto found = mirrored.find(remote.path);
      if (found == mirrored.end()) {
        files.push_back({remote, ChangeKind::NEW, "", 0, {}});
      } else {
        files.push_back({remote, ChangeKind::REWRITE, remote.path, found->second, {}});
      }
    }
    Progress unseen;
    Transfer transfer(mirror, session, mirror.keepsModes(), result_.report, unseen);
    transfer.run(files);
    mirror.finish({transfer.left(), result_.unread > 0});
    if (!transfer.failures().empty()) {
      auto& remedies = transfer.remedies();
      throw Failure(idOf(remedies),
                    absl::StrCat(transfer.failures().size(), " of ", files.size(),
                                 " files could not be repaired"),
                    absl::StrCat("The first one: ", transfer.failures().front(), "."),
                    fixesOf(remedies));
    }
    result_.repaired = true;
  }

  void unread(const std::string& path, proto::Reason reason) {
    if (++result_.unread > MAX_UNREAD_DESCRIBED) return;
    warn(absl::StrCat("'", escapeForTerminal(path),
                      "' on the spoke was not compared: ", describe(reason)));
  }

  void warn(std::string text) { result_.report.warnings.push_back(std::move(text)); }

  Paths unreadHere_;  // what the hub cannot read
  const Config& config_;
  const SpokeConfig& spoke_;
  const std::shared_ptr<Passphrases> passphrases_;
  Store* store_;
  Verification& result_;
  kj::AsyncIoContext io_;
  const Exclusions exclusions_;
  std::vector<Pair> pairs_;
  std::vector<RemoteFile> differing_;  // in the order of result_.differences before sorting
};

}  // namespace

void verifyByAgent(const Config& config, const SpokeConfig& spoke, const VerifyOptions& options,
                   Store* store, Verification& result) {
  SpokeVerify(config, spoke, options, store, result).run(options.repair);
}

}  // namespace pibrain
