#pragma once
// Fetches the planned files, and tries the cheapest method for each file first: the tail after a
// proved prefix, then a delta against the old version, then one against the parent, then the whole
// file.

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
#include "hub/agent/live-files.h"
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

  // Lets `files` remember what run() fetches.
  void remember(LiveFiles& files) { live_ = &files; }

  // Fetches all files, or throws when the connection is lost or the disk is full. Files that cannot
  // be fetched are counted and described in the report.
  void run(const std::vector<PlannedFile>& files);

  // Returns the old paths of moved files.
  Paths movedFrom() const;
  // Returns the paths of the files that are in the mirror now.
  Paths fetched() const;
  // Returns the files that the spoke is still writing.
  Paths deferred() const;
  // Returns the candidates for moves that are not done yet.
  Paths unfinishedMoves() const;
  // Returns the mirror's files that stay unchanged although they differ from the spoke's.
  Paths left() const;
  // Return "path: reason" of failed files, and their paths.
  const std::vector<std::string>& failures() const { return failures_; }
  const Paths& failed() const { return failed_; }
  // Returns the fixes for files that a disk has no room for.
  const std::set<Remedy>& remedies() const { return remedies_; }

 private:
  // The file that is being received.
  struct Answer {
    FileTransfer* file;
    std::unique_ptr<FileReceiver> receiver;  // null: its content is ignored
    bool delta;
    uint64_t mayBring;  // the most content bytes until its end
    int64_t written;    // the spoke's mtime, ns since the epoch
    bool unsettled;     // so recent that a later change might leave the same
  };

  void pullBatch(std::vector<FileTransfer*>& files);
  // Returns the wants of as many files as fit in one request; the others wait for the next batch.
  std::vector<Want> makeWants(std::vector<FileTransfer*>& files);
  void onEvent(proto::Event::Reader event);
  void onBegin(proto::Begin::Reader begin);
  void onData(proto::Piece::Reader piece);
  void onEnd(Digest hash);
  void rememberLive(const Answer& answer);
  void onDiffers(uint32_t file);
  void onRefused(proto::Refused::Reader refused);
  FileTransfer& answered(uint32_t file);
  // Requests the file again with its next method.
  void tryNext(FileTransfer& file);
  // The same for the file that is being received, whose rest is ignored.
  void giveUpAnswer();
  void fail(FileTransfer& file, const std::string& why,
            const std::optional<Remedy>& remedy = std::nullopt);
  // Called when there is no room for the file, but perhaps for others.
  void failForRoom(FileTransfer& file, const std::string& why);
  bool isWorthAsking(const FileTransfer& file) const;
  void noteFailure(const std::string& path, const std::string& why,
                   const std::optional<Remedy>& remedy = std::nullopt);
  void defer(FileTransfer& file);
  void failAnswer(const kj::Exception& error);
  // Does `work` for the file that is being received, unless that is ignored. An error costs only
  // this file.
  void forAnswer(kj::FunctionParam<void()> work);
  // Makes received files visible and counts them.
  void commit();
  void proceed();
  void recordChange(FileTransfer& file);
  void finish(FileTransfer& file);

  Mirror& mirror_;
  AgentSession& session_;
  bool keepModes_;
  SpokeReport& report_;
  Progress& progress_;
  LiveFiles* live_ = nullptr;
  uint64_t bytesFinished_ = 0;  // the part of progress_.bytes of finished files
  Candidates candidates_;
  std::deque<FileTransfer> files_;
  std::vector<std::string> failures_;
  Paths failed_;
  std::set<Remedy> remedies_;
  uint64_t cameInVain_ = 0;  // estimated bytes of files without room

  std::vector<FileTransfer*> retries_;                       // for the next batch
  std::unordered_map<uint32_t, FileTransfer*> outstanding_;  // requested, not answered yet
  std::optional<Answer> answer_;                             // between begin and end
  // Why the pull is not worth continuing: its content is ignored, or there is no room for the rest.
  bool answerInVain_ = false, roomInVain_ = false;
  std::vector<FileTransfer*> received_;           // waiting for commit()
  std::vector<Mirror::Uncommitted> uncommitted_;  // of received files that are not counted yet
};

}  // namespace pibrain
