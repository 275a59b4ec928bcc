#pragma once
// What is known of one file on its way into the mirror.

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

// How a file may be got.
enum class Method {
  CONTINUE,  // the rest of what an interrupted run staged
  MOVED,     // the tail after one of the files that it may have been, each in turn
  TAIL,      // the tail after the file in its place
  DELTA,     // what makes it of the file in its place
  NEW,       // the whole, or what makes it of the session that it was forked from
  WHOLE,
};

// The methods for a file, in the order in which they are tried.
using Ladder = kj::ArrayPtr<const Method>;
Ladder ladderFor(const PlannedFile& planned, Mirror& mirror);

// The mirror's files that moved files may have been. One is asked about for one file at a time, and
// is taken once.
struct Candidates {
  Paths asked, taken;
};

class FileTransfer {
 public:
  enum class State {
    QUEUED,
    ASKED,
    RECEIVED,   // proved, and waits for the mirror's commit
    PUBLISHED,  // it is in the mirror
    FAILED,     // it cannot be fetched, or not be written, now
    DEFERRED,   // the spoke is still writing it
    VANISHED,   // it is gone on the spoke
  };

  // `secret` is what hashes are made with. All of it has to outlive this.
  FileTransfer(const PlannedFile& planned, Mirror& mirror, Candidates& candidates,
               FileHasher::Secret secret);

  // What to ask for, by the first method of those left for which there is a basis. None: it has to
  // wait for what becomes of other files.
  std::optional<Want> prepare();
  // A want that prepare() made and that did not fit into its request: the next prepare() returns
  // it.
  void keep(Want want);
  // Nobody answered what was asked for: it is QUEUED again, to be asked for in the same way.
  void requeue() { become(State::QUEUED); }

  // The method, or the candidate, was not the right one.
  void tryNext();
  // It is QUEUED again, to be asked for in the same way. False: it was so often enough.
  bool retry();
  // What was asked for came.
  void received(uint64_t size);
  void published() { become(State::PUBLISHED); }
  // There is no more to be done for it in this run: FAILED, DEFERRED or VANISHED.
  void end(State how);

  const PlannedFile& planned() const { return planned_; }
  const std::string& path() const { return planned_.remote.path; }
  State state() const { return state_; }
  Method method() const { return ladder_[rung_]; }
  // How that is asked for.
  Want::Kind kind() const;
  // What it is made of, while it is ASKED.
  const Basis& basis() const;
  // How much content it will probably need.
  uint64_t expectedBytes() const;

  // Of what came: whether the mirror's file, or the moved one, begins it; whether that was fresh
  // when an earlier run fetched it.
  bool extends() const { return extends_; }
  bool wasFresh() const { return wasFresh_; }
  uint64_t size() const { return size_; }
  // The path that it had, if it moved; empty: it did not.
  std::string movedFrom() const;

 private:
  void become(State next);
  void nextMethod();
  bool prepareBasis();
  bool continueBasis();
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
  std::unique_ptr<Basis> basis_;  // of many files at a time it would take too much
  std::optional<Want> kept_;

  uint64_t size_ = 0;
  bool extends_ = false, wasFresh_ = false;
};

}  // namespace pibrain
