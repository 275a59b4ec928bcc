#include "hub/mirror/directory-names.h"

#include <gtest/gtest.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

using Names = DirectoryNames::Names;

TEST(DirectoryNames, readsEachDirectoryOnce) {
  TempDir dir;
  dir.write("a", "");
  DirectoryNames names;
  EXPECT_EQ(names.find(""), nullptr);
  EXPECT_EQ(names.read("", dir.open()), Names({"a"}));
  dir.write("b", "");
  EXPECT_EQ(names.read("", -1), Names({"a"})) << "it is not read again";
  names.forget("");
  EXPECT_EQ(names.read("", dir.open()), Names({"a", "b"}));
}

TEST(DirectoryNames, followTheRunsChanges) {
  TempDir dir;
  dir.write("d/a", "");
  DirectoryNames names;
  names.add("d/unread");
  EXPECT_EQ(names.find("d"), nullptr) << "one name is not the whole directory";
  names.read("", dir.open());
  names.read("d", open((dir / "d").c_str(), O_RDONLY | O_DIRECTORY));
  names.add("d/b");
  names.add("e");
  names.remove("d/a");
  EXPECT_EQ(*names.find("d"), Names({"b"}));
  EXPECT_EQ(*names.find(""), Names({"d", "e"}));
  names.remove("d");
  EXPECT_EQ(names.find("d"), nullptr) << "another one may come in its place";
  EXPECT_EQ(*names.find(""), Names({"e"}));
  names.forgetAll();
  EXPECT_EQ(names.find(""), nullptr);
}

}  // namespace
}  // namespace pibrain
