#pragma once

#include <stdint.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/text/exclusions.h"
#include "hub/agent/agent-session.h"
#include "hub/agent/file-receiver.h"
#include "hub/agent/listing.h"
#include "hub/agent/live-files.h"
#include "hub/agent/transfer.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/mirror/mirror.h"
#include "hub/pass/live.h"
#include "hub/pass/progress.h"

namespace pibrain {

// Brings what a watch tells into the mirror. It holds the mirror's lock only while there is
// something to write, and for a second at most: then it flushes, and lets others in. Until the
// flush, a file has a time that makes the next scan look at it again, so a power cut loses nothing
// (P3).
class LiveMirror {
 public:
  // All must outlive this.
  LiveMirror(const Config& config, const SpokeConfig& spoke, Store* store, AgentSession& session,
             LiveFiles& files, LiveObserver& observer);

  // Takes the events of one block, then fetches what they only announce. All functions throw
  // Failure if the hub cannot write, and KJ exceptions if the conversation breaks or the agent
  // breaks the protocol.
  void event(proto::Event::Reader event);
  void endOfBlock();

  // Does what time alone makes due: flushes, proves what was only claimed, and tries again what
  // could not be done. To be called when dueIn() has passed, or earlier.
  void proceed();
  kj::Duration dueIn() const;
  // Flushes, and unlocks the mirror.
  void close();

  // Returns whether only a scan can tell what there is.
  bool needsScan() const { return needsScan_; }

 private:
  using Time = kj::TimePoint;
  struct Tail {
    RemoteFile remote;
    uint64_t from;
    Basis basis;
    std::unique_ptr<FileReceiver> receiver;  // null: it does not fit
  };

  void announced(proto::Directory::Reader directory);
  void begin(proto::Begin::Reader begin);
  void data(proto::Piece::Reader piece);
  void end(Digest hash);
  void watched(proto::Watched::Reader watched);
  // Takes note of what was told of a file that is newer in the mirror by now.
  static void overtaken(LiveFile& file);
  // Prepares to append the tail. Returns false if the mirror's file is not what it continues.
  bool open(Tail& tail, proto::Begin::Reader begin);
  // Does `work` for the tail. If that fails, the file is fetched instead.
  void forTail(kj::FunctionParam<void()> work);
  // Returns the mirror, locked; null: another process has it.
  Mirror* lock();
  void fetchAnnounced();
  void proveClaimed();
  // How much of a file both sides read: what follows the part that both know, or everything.
  enum class Reading { TAIL, WHOLE };
  void fetch(Mirror& mirror, const std::vector<RemoteFile>& files, Reading reading);
  PlannedFile plan(Mirror& mirror, const RemoteFile& remote, Reading reading);
  void tellOfFetched();

  const Config& config_;
  const SpokeConfig& spoke_;
  Store* const store_;
  AgentSession& session_;
  LiveFiles& files_;
  LiveObserver& observer_;
  const Exclusions leftOut_;

  std::optional<Mirror> mirror_;                     // nullopt: not locked
  Time locked_ = kj::origin<Time>();                 // when
  Time busyUntil_ = kj::origin<Time>();              // when to try to lock it again
  Time free_ = kj::origin<Time>();                   // others may lock it until then
  std::unordered_map<uint32_t, std::string> paths_;  // by id
  std::map<std::string, RemoteFile> toFetch_;        // by path
  std::multimap<Time, RemoteFile> later_;            // deferred files, by when to try again
  std::unique_ptr<Tail> tail_;                       // between begin and end
  bool needsScan_ = false;
  WireBytes wire_;  // of the session, at the last flush
  SpokeReport report_;
  Progress unseen_;
};

}  // namespace pibrain
