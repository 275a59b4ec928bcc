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
#include "hub/agent/file-receiver.h"
#include "hub/agent/file-transfer.h"
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
  Paths movedFrom() const;
  // The paths of files that are in the mirror now.
  Paths fetched() const;
  // What files may have been that were to be moved and are not at their new place yet.
  Paths unfinishedMoves() const;
  // The mirror's files that stay as they are, though they are not what the spoke has.
  Paths left() const;
  // "path: reason" for files that failed, and their paths.
  const std::vector<std::string>& failures() const { return failures_; }
  const Paths& failed() const { return failed_; }
  // What a person does about those of them that a disk has no room for.
  const std::set<Remedy>& remedies() const { return remedies_; }

 private:
  // The file that is coming.
  struct Answer {
    FileTransfer* file;
    std::unique_ptr<FileReceiver> receiver;  // null: what comes is ignored, the file is dealt with
    bool delta;
    uint64_t mayBring;  // bytes of content, until its end
  };

  void pullBatch(std::vector<FileTransfer*>& files);
  // Adds what is asked of the files that fit in one request; the others are for the next batch.
  std::vector<Want> makeWants(std::vector<FileTransfer*>& files);
  void onEvent(proto::Event::Reader event);
  void onBegin(proto::Begin::Reader begin);
  void onData(proto::Piece::Reader piece);
  void onEnd(Digest hash);
  void onDiffers(uint32_t file);
  void onRefused(proto::Refused::Reader refused);
  FileTransfer& answered(uint32_t file);
  // It is asked for again, by its next method.
  void tryNext(FileTransfer& file);
  // The same of the file that is coming: the rest of that is ignored.
  void giveUpAnswer();
  void fail(FileTransfer& file, const std::string& why,
            const std::optional<Remedy>& remedy = std::nullopt);
  // There is no room for it, but maybe for others.
  void failForRoom(FileTransfer& file, const std::string& why);
  bool isWorthAsking(const FileTransfer& file) const;
  void noteFailure(const std::string& path, const std::string& why,
                   const std::optional<Remedy>& remedy = std::nullopt);
  void defer(FileTransfer& file);
  void failAnswer(const kj::Exception& error);
  // Does something for the file that is coming, unless that is ignored. What goes wrong is the
  // file's alone.
  void forAnswer(kj::FunctionParam<void()> work);
  // Makes what came visible, and counts it: all, or bit by bit, and counted at the end.
  void commit();
  void proceed();
  void recordChange(FileTransfer& file);
  void finish(FileTransfer& file);

  Mirror& mirror_;
  AgentSession& session_;
  bool keepModes_;
  SpokeReport& report_;
  Progress& progress_;
  uint64_t bytesFinished_ = 0;  // of progress_.bytes, those of files that are done with
  Candidates candidates_;
  std::deque<FileTransfer> files_;
  std::vector<std::string> failures_;
  Paths failed_;
  std::set<Remedy> remedies_;
  uint64_t cameInVain_ = 0;  // bytes of files that there was no room for, about

  std::vector<FileTransfer*> retries_;                       // for the next batch
  std::unordered_map<uint32_t, FileTransfer*> outstanding_;  // asked for, not answered yet
  std::optional<Answer> answer_;                             // between begin and end
  // The pull is not worth going on with: what comes is ignored, or there is no room for the rest.
  bool answerInVain_ = false, roomInVain_ = false;
  std::vector<FileTransfer*> received_;           // wait for commit()
  std::vector<Mirror::Uncommitted> uncommitted_;  // of what came and is not counted yet
};

}  // namespace pibrain
