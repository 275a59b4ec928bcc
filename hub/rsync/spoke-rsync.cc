#include "hub/rsync/spoke-rsync.h"

#include "hub/rsync/explain.h"

namespace pibrain {

std::set<std::string> OmittedFiles::paths() const {
  std::set<std::string> all = waiting;
  for (auto* files : {&folded, &unwritten}) {
    for (auto& [path, why] : *files) all.insert(path);
  }
  return all;
}

size_t OmittedFiles::bytes() const {
  size_t sum = 0;
  for (auto& path : paths()) sum += path.size();
  return sum;
}

SpokeRsync::SpokeRsync(const SpokeConfig& spoke, const RunOptions& options, SpokeReport& report,
                       Progress& progress)
    : spoke_(spoke), command_(spoke, options, report, progress) {}

RsyncRun SpokeRsync::run(const std::vector<std::string>& more, int held, const std::string& to) {
  return command_.run(more, {leftOut.paths(), grain, held}, to.empty() ? spoke_.path : to);
}

void SpokeRsync::requireGood(const RsyncRun& ran) const {
  if (!goodEnd(ran)) throw explainRsync(spoke_, command_.target(), ran);
}

bool goodEnd(const RsyncRun& ran) {
  return (ran.exitStatus == 0 || ran.exitStatus == rsync_exit::VANISHED) && ran.output.ended;
}

}  // namespace pibrain
