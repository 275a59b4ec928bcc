#pragma once
// How long the archive has really kept what each run put there.
//
// A run's name says when it began by some clock, and clocks are wrong: without a battery, in a
// virtual machine that was put back, at a broken time server. So the hub also counts, in the file
// DATABASE/archive-ages/SPOKE, the time that certainly went by since each run: as long as the
// machine does not boot anew, its uptime tells; of the time over a boot at most a day counts,
// whatever the clock on the wall says. Nothing expires before both, name and count, say that it is
// old enough; a run that is not counted yet is from when it is first seen.
//
// The file is text: a line "seen UPTIME WALL BOOT" (both in ns; the boot's id, or "-") of when it
// was written last, then for each run a line "RUN NS", its count. A file that cannot be read is as
// good as none. All calls are made under the lock of the spoke's mirror.

#include <stdint.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pibrain {

struct AgeClocks {
  int64_t wall = 0;    // ns since the epoch
  int64_t uptime = 0;  // ns since the machine booted, its sleep included
  std::string boot;    // the boot's id; empty: unknown

  static AgeClocks now();
};

class ArchiveAges {
 public:
  // Reads the file and brings its counts up to `now`.
  ArchiveAges(const std::string& file, const AgeClocks& now);

  // How long this run's files have been there at least, in ns; none: it is not counted.
  std::optional<int64_t> of(const std::string& run) const;

  // Begins to count, unless it is counted already.
  void begin(const std::string& run);
  // Of the others there is nothing left.
  void forgetAllBut(const std::vector<std::string>& runs);

  // Writes the file if more changed than some minutes. The counts of what could not be written are
  // lower the next time, so things are kept longer: no reason to fail.
  void save();

 private:
  const std::string file_;
  const AgeClocks now_;
  std::map<std::string, int64_t> ages_;
  int64_t passed_ = 0;  // since the file was written
  bool changed_ = false;
};

// Begins to count the age of a run that archives its first file.
void noteArchiveRun(const std::string& file, const std::string& run, const AgeClocks& now);

}  // namespace pibrain
