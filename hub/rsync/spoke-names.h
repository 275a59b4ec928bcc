#pragma once

#include <set>
#include <string>
#include <unordered_set>

#include "hub/mirror/mirror.h"
#include "hub/rsync/mirror-before.h"
#include "hub/rsync/spoke-rsync.h"

namespace pibrain {

// The names that the spoke has, if the mirror's filesystem folds names or changes them (nothing is
// known of other spokes). rsync does not see that: it would write one file over the other, and the
// next run the other over the one.
class SpokeNames {
 public:
  // Asks for the spoke's names. Those that the mirror cannot have beside another get into
  // rsync.leftOut.folded. With `mayChange`, what the mirror has in another spelling is renamed, and
  // `before` is read again. Throws Failure if rsync fails.
  void look(Mirror& mirror, SpokeRsync& rsync, MirrorBefore& before, bool mayChange);

  // Finds out whether the mirror of these files has one of the spoke's in another spelling, in
  // which it is not ASCII: the filesystem does not say by which.
  void lookForRespelled(const Tree& mirror, const std::string& root);

  // Whether the spoke may have a file of the mirror in another spelling.
  bool mayHave(const std::string& path) const;

 private:
  bool has(const std::string& path) const;
  void list(SpokeRsync& rsync, int held, const std::string& staging);
  void respell(Mirror& mirror, const std::map<std::string, std::string>& respelled,
               SpokeRsync& rsync);

  std::set<std::string> names_;
  std::unordered_set<std::string> folded_;
  bool respelled_ = false;
};

}  // namespace pibrain
