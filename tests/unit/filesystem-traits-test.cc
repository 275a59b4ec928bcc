#include "hub/mirror/filesystem-traits.h"

#include <gtest/gtest.h>

#include "common/fs/rooted-dir.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(FilesystemTraits, roundTripThroughText) {
  FilesystemTraits some;
  some.times = {2 * SECOND, -5, 7 * SECOND};
  some.foldsNames = some.toldOfModes = true;
  some.keepsModes = false;
  EXPECT_EQ(FilesystemTraits::fromText(some.text()), some);
  EXPECT_EQ(FilesystemTraits::fromText(FilesystemTraits().text()), FilesystemTraits());
  for (auto* text : {"", "1 2 3 0 0", "1 2 three 0 0 1 0", "1 2 3 0 0 1 0 0"}) {
    EXPECT_EQ(FilesystemTraits::fromText(text), FilesystemTraits()) << text;
  }
}

TEST(FilesystemTraits, ofAnOrdinaryFilesystem) {
  TempDir dir;
  auto traits = probeFilesystem(dir.open());
  EXPECT_EQ(traits.times.grain, 1);
  EXPECT_FALSE(traits.foldsNames || traits.changesNames);
  EXPECT_TRUE(traits.keepsModes);
  EXPECT_EQ(namesIn(dir.open()), std::vector<std::string>());
}

TEST(FilesystemTraits, identityCoversTheDirectoryAndItsMount) {
  TempDir one, two;
  EXPECT_EQ(filesystemIdentity(one.open()), filesystemIdentity(one.open()));
  EXPECT_NE(filesystemIdentity(one.open()), filesystemIdentity(two.open()));
  EXPECT_NE(filesystemIdentity(open("/proc", O_RDONLY | O_DIRECTORY)),
            filesystemIdentity(open("/sys", O_RDONLY | O_DIRECTORY)));
  EXPECT_EQ(filesystemIdentity(-1), "");
}

}  // namespace
}  // namespace pibrain
