#include "hub/mirror/open-mirror.h"

#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/filesystem-traits.h"

namespace pibrain {

Mirror openMirror(const Config& config, const SpokeConfig& spoke, Store* store,
                  Mirror::Access access, int64_t started) {
  Mirror mirror(spoke.path, access,
                Archive(config.hub.archiveDir, spoke.name, started,
                        archiveAgesFile(config.hub.databaseDir, spoke.name)));
  mirror.keepModes(spoke.keepModes);
  mirror.setTraits(traitsOf(mirror, spoke.name, store, access != Mirror::Access::READ));
  return mirror;
}

}  // namespace pibrain
