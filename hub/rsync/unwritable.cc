#include "hub/rsync/unwritable.h"

#include <errno.h>

#include "hub/rsync/room.h"

namespace pibrain {

namespace {

// How often rsync runs again without files that could not be written. Each time all files without
// room are left out too, so this limit is for other errors of the disk.
constexpr int MAX_ROUNDS = 20;
// The bytes of names that can be left out: the system limits a command line to about 2 MiB.
constexpr size_t MAX_LEFT_OUT = 512 * 1024;

}  // namespace

Unwritable::Unwritable(const SpokeConfig& spoke, Store* store, SpokeRsync& rsync)
    : spoke_(spoke), store_(store), rsync_(rsync) {
  if (store_ == nullptr) return;
  auto failed = store_->failedFiles(spoke_.name);
  if (failed.ok()) failedBefore_.insert(failed->begin(), failed->end());
}

std::vector<RsyncRun> Unwritable::runForTheOthers(const std::vector<std::string>& options,
                                                  int held) {
  auto all = runs(options, held);
  remember();
  return all;
}

std::vector<RsyncRun> Unwritable::runs(const std::vector<std::string>& options, int held) {
  std::vector<RsyncRun> all;
  auto& waiting = rsync_.leftOut.waiting;
  waiting = failedBefore_;
  if (rsync_.leftOut.bytes() > MAX_LEFT_OUT) waiting.clear();
  for (int rounds = 0;;) {
    all.push_back(rsync_.run(options, held));
    if (auto unwritten = unwrittenFile(all.back(), spoke_.path)) {
      if (++rounds == MAX_ROUNDS || !leaveOut(*unwritten, held)) return all;
    } else if (waiting.empty() || !goodEnd(all.back())) {
      return all;
    } else {
      waiting.clear();
    }
  }
}

// Leaves out the file that could not be written, and all files with the same problem. Returns false
// if nothing new is left out.
bool Unwritable::leaveOut(const Unwritten& unwritten, int held) {
  auto& known = rsync_.leftOut.unwritten;
  if (known.contains(unwritten.path)) return false;
  auto look = rsync_.run({"--dry-run"}, held);
  std::vector<PendingFile> pending;
  if (goodEnd(look)) {
    for (auto& item : look.output.items()) {
      if (item.kind == RsyncOutput::Kind::NEW || item.kind == RsyncOutput::Kind::CHANGED) {
        pending.push_back({item.path, item.size});
      }
    }
  }
  auto without = withoutRoom(std::move(pending), unwritten, roomAt(spoke_.path));
  if (auto remedy = remedyFor(unwritten.error, spoke_.path)) remedies_.insert(*remedy);
  for (auto& path : without) known.emplace(path, unwritten.why);
  known.emplace(unwritten.path, unwritten.why);
  return rsync_.leftOut.bytes() <= MAX_LEFT_OUT;
}

void Unwritable::remember() {
  std::set<std::string> failed;
  for (auto& [path, why] : rsync_.leftOut.unwritten) failed.insert(path);
  if (store_ == nullptr || failed == failedBefore_) return;
  (void)store_->setFailedFiles(spoke_.name, {failed.begin(), failed.end()});
}

}  // namespace pibrain
