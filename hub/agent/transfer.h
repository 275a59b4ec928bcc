#pragma once
// Fetches what is planned, file by file trying the cheapest way first: the tail after a proved
// prefix, then a delta against the old version, then one against the parent, then the whole.

#include <stdint.h>

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "hub/agent/agent-session.h"
#include "hub/agent/incoming.h"
#include "hub/agent/plan.h"
#include "hub/mirror/mirror.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

class Transfer {
 public:
  Transfer(Mirror& mirror, AgentSession& session, bool keepModes, SpokeReport& report,
           Progress& progress)
      : mirror_(mirror),
        session_(session),
        keepModes_(keepModes),
        report_(report),
        progress_(progress) {}

  // Fetches all, or throws when the connection is lost or the disk is full. Files that cannot be
  // had are counted and described in the report.
  void run(const std::vector<PlannedFile>& files);

  // The old paths of files that were moved.
  const Paths& movedFrom() const { return movedFrom_; }
  // The paths of files that are in the mirror now.
  Paths fetched() const;
  // What files may have been that were to be moved and are not at their new place yet.
  Paths unfinishedMoves() const;
  // The mirror's files that stay as they are, though they are not what the spoke has.
  Paths left() const;
  // "path: reason" for files that failed, and their paths.
  const std::vector<std::string>& failures() const { return failures_; }
  const Paths& failed() const { return failed_; }
  // What a person does about those of them that a disk has no room for: sentences.
  const std::set<std::string>& remedies() const { return remedies_; }

 private:
  // The ways to get a file, in the order in which they are tried.
  enum class Way { CONTINUE, TAIL, DELTA, NEW, WHOLE };
  struct Job {
    const PlannedFile* planned;
    Way way;
    std::string basisPath;         // in the mirror; empty: none
    size_t nextCandidate = 0;      // of a MOVE's
    std::unique_ptr<Basis> basis;  // while it is asked for
    std::optional<Want> prepared;  // with a signature, for the next round
    int retries = 0;               // because the file was changing
    // Of the file that came: its size, whether the mirror's begins it, and whether it was fresh
    // when an earlier run fetched it.
    uint64_t size = 0;
    bool extends = false, again = false;
    bool done = false;  // it is in the mirror
  };

  static Want::Kind kindFor(Way way);
  Way firstWay(const PlannedFile& planned);
  // Fills the want, falling back where there is no basis for the way. None: it has to wait for what
  // becomes of other files.
  std::optional<Want> prepare(Job& job);
  bool prepareBasis(Job& job);
  // Whether it is tried whether the file was one of its candidates.
  static bool isMove(const Job& job);
  // Takes the next candidate. False if there is none; `wait`: but others try one that is left.
  bool nextCandidate(Job& job, bool& wait);
  // The way, or the candidate, is not the right one.
  void fallBack(Job& job);
  bool hashBasis(const Mirror::File& file, Basis& basis);
  void round(std::vector<Job*>& jobs);
  void onEvent(proto::Event::Reader event);
  void onBegin(proto::Begin::Reader begin);
  void onData(proto::Piece::Reader piece);
  void onEnd(Digest hash);
  void onRefused(proto::Refused::Reader refused);
  Job& jobFor(uint32_t file);
  void tryNextWay(Job& job);
  void fail(Job& job, const std::string& why, const std::string& remedy = "");
  // There is no room for it, but maybe for others.
  void failForRoom(Job& job, const std::string& why);
  bool isWorthAsking(const Job& job) const;
  void noteFailure(const std::string& path, const std::string& why, const std::string& remedy = "");
  void defer(Job& job);
  void failCurrent(const kj::Exception& error);
  void guarded(kj::FunctionParam<void()> work);
  // Makes what came visible, and counts it: all, or bit by bit, and counted at the end.
  void commit();
  void proceed();
  void count(Job& job);
  void finish(Job& job);

  Mirror& mirror_;
  AgentSession& session_;
  bool keepModes_;
  SpokeReport& report_;
  Progress& progress_;
  uint64_t bytesFinished_ = 0;  // of progress_.bytes, those of files that are done with
  Paths movedFrom_;
  std::deque<Job> jobs_;
  Paths trying_, spent_;  // candidates that are asked about, and those that were moved
  std::vector<std::string> failures_;
  Paths failed_;
  std::set<std::string> remedies_;
  uint64_t cameInVain_ = 0;  // bytes of files that there was no room for, about
  bool askAnew_ = false;     // so many of them that the pull is not worth going on with

  std::vector<Job*> received_;               // waits for commit()
  std::vector<Job*> again_;                  // for the next round
  std::unordered_map<uint32_t, Job*> open_;  // asked for, not answered yet
  Job* current_ = nullptr;                   // between begin and end
  bool currentIsDelta_ = false;
  uint64_t currentMayBring_ = 0;                  // bytes of content, until its end
  std::unique_ptr<Incoming> incoming_;            // null: its pieces are to be ignored
  std::vector<Mirror::Uncommitted> uncommitted_;  // of what came and is not counted yet
  bool abandoned_ = false;  // so many of them that the pull is not worth going on with
};

}  // namespace pibrain
