#include "hub/sync/deletion.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/text.h"

namespace pibrain {

namespace {

constexpr uint64_t FEW_FILES = 10;  // deleting no more than these needs no leave

}  // namespace

std::string whyNotDelete(const SpokeConfig& spoke, uint64_t count, uint64_t mirrorFiles,
                         uint64_t spokeFiles, uint64_t maxDelete) {
  if (count == 0) return "";
  if (spokeFiles == 0) {
    return absl::StrCat(
        "nothing was deleted: the spoke has no files at all and the mirror has ", mirrorFiles,
        ", which looks like an unmounted or wrong directory. If it is right, remove the mirror by "
        "hand: ",
        escapeForTerminal(spoke.path));
  }
  uint64_t limit = maxDelete > 0 ? maxDelete : std::max<uint64_t>(FEW_FILES, mirrorFiles / 2);
  if (count <= limit) return "";
  return absl::StrCat("nothing was deleted: ", count, " of the mirror's ", mirrorFiles,
                      " files are gone on the spoke, more than ", limit,
                      ". If they should go, run 'pi-brain sync run --spoke ",
                      shellQuote(spoke.name), " --delete --max-delete ", count,
                      "'; they are moved to the archive");
}

}  // namespace pibrain
