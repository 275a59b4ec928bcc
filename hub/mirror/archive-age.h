#pragma once
// Counts how long the archive has really kept the files of each run.
//
// A run's name says when it began, but clocks can be wrong: without a battery, in a restored
// virtual machine, with a broken time server. So the hub also counts, in the file
// DATABASE/archive-ages/SPOKE, the time that has certainly passed since each run. Until the machine
// reboots, its uptime measures that; across a reboot at most a day counts, whatever the wall clock
// says. Files expire only when both the name and the count say that they are old enough. Counting
// starts when a run is first seen.
//
// The file is text: a line "seen UPTIME WALL BOOT" (ns, ns, the boot's id or "-") with the clocks
// when it was last written, then for each run a line "RUN NS" with its count. An unreadable file
// counts as missing. Callers must hold the lock of the spoke's mirror.

#include <stdint.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pibrain {

struct AgeClocks {
  int64_t wall = 0;    // ns since the epoch
  int64_t uptime = 0;  // ns since the machine booted, including sleep
  std::string boot;    // the boot's id; empty: unknown

  static AgeClocks now();
};

class ArchiveAges {
 public:
  // Reads the file and advances its counts to `now`.
  ArchiveAges(const std::string& file, const AgeClocks& now);

  // Returns the least age of this run's files in ns; nullopt: not counted yet.
  std::optional<int64_t> of(const std::string& run) const;

  // Starts counting for the run, unless it is counted already.
  void begin(const std::string& run);
  // Forgets all other runs, of which the archive has nothing left.
  void forgetAllBut(const std::vector<std::string>& runs);

  // Writes the file if anything changed, or an hour has passed. A failure is ignored: counts are
  // then lower the next time, and files are kept longer.
  void save();

 private:
  const std::string file_;
  const AgeClocks now_;
  std::map<std::string, int64_t> ages_;
  int64_t passed_ = 0;  // ns since the file was written
  bool changed_ = false;
};

// Starts counting the age of a run that archives its first file.
void noteArchiveRun(const std::string& file, const std::string& run, const AgeClocks& now);

}  // namespace pibrain
