#pragma once
// The state of one file on its way into the mirror.

#include <kj/array.h>
#include <stdint.h>

#include <memory>
#include <optional>
#include <string>

#include "hub/agent/file-receiver.h"
#include "hub/agent/plan.h"
#include "hub/agent/want.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// How a file can be fetched.
enum class Method {
  CONTINUE,  // the rest of what an interrupted run staged
  MOVED,     // the tail after one of the files that it may have been, one after the other
  FOLLOW,    // the tail after what this session knows of the existing file
  TAIL,      // the tail after the existing file
  DELTA,     // a delta against the existing file
  NEW,       // the whole file, or a delta against the session that it was forked from
  WHOLE,
};

// The methods for a file, in the order in which they are tried.
using Ladder = kj::ArrayPtr<const Method>;
Ladder ladderFor(const PlannedFile& planned, Mirror& mirror);

// The mirror's files that moved files may have been. Each is tried for one file at a time, and used
// once.
struct Candidates {
  Paths asked, taken;
};

class FileTransfer {
 public:
  enum class State {
    QUEUED,
    ASKED,
    RECEIVED,   // checked, waits for the mirror's commit
    PUBLISHED,  // in the mirror
    FAILED,     // it cannot be fetched or written in this run
    DEFERRED,   // the spoke is still writing it
    VANISHED,   // it is gone on the spoke
  };

  // `secret`: the secret of the hashes. Everything passed must outlive this.
  FileTransfer(const PlannedFile& planned, Mirror& mirror, Candidates& candidates,
               FileHasher::Secret secret);

  // Returns what to request by the first remaining method that has a basis. nullopt: the file must
  // wait for the results of other files.
  std::optional<Want> prepare();
  // Takes back a want that did not fit into the request; the next prepare() returns it.
  void keep(Want want);
  // Called if the request was not answered: the file is QUEUED again with the same method.
  void requeue() { become(State::QUEUED); }

  // Called when the method or the candidate did not work: moves on to the next.
  void tryNext();
  // Makes the file QUEUED again with the same method. Returns false if it was retried too often.
  bool retry();
  // Called when the file came.
  void received(uint64_t size);
  void published() { become(State::PUBLISHED); }
  // Ends the work on it in this run: FAILED, DEFERRED or VANISHED.
  void end(State how);

  const PlannedFile& planned() const { return planned_; }
  const std::string& path() const { return planned_.remote.path; }
  State state() const { return state_; }
  Method method() const { return ladder_[rung_]; }
  // Returns the kind of the request.
  Want::Kind kind() const;
  // Returns the basis, while the file is ASKED.
  const Basis& basis() const;
  // Returns how much content it will probably need.
  uint64_t expectedBytes() const;

  // Of a received file: whether it extends the mirror's file or the moved one; whether that was
  // fresh when an earlier run fetched it.
  bool extends() const { return extends_; }
  bool wasFresh() const { return wasFresh_; }
  uint64_t size() const { return size_; }
  // Returns its old path; empty: it did not move.
  std::string movedFrom() const;

 private:
  void become(State next);
  void nextMethod();
  bool prepareBasis();
  bool continueBasis();
  bool knownBasis();
  bool prefixBasis(const std::string& path);
  bool deltaBasis();
  bool hash(const Mirror::File& file);
  enum class Candidate { TAKEN, BUSY, NONE };
  Candidate nextCandidate();
  kj::Array<kj::byte> signature();

  const PlannedFile& planned_;
  Mirror& mirror_;
  Candidates& candidates_;
  const FileHasher::Secret secret_;
  const Ladder ladder_;
  size_t rung_ = 0;  // in ladder_
  State state_ = State::QUEUED;
  int retries_ = 0;  // because the file was changing
  std::string candidate_;
  size_t nextCandidate_ = 0;
  std::unique_ptr<Basis>
      basis_;  // allocated separately, since many files at a time would take too much memory
  std::optional<Want> kept_;

  uint64_t size_ = 0;
  bool extends_ = false, wasFresh_ = false;
};

}  // namespace pibrain
