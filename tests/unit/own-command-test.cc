#include "hub/base/own-command.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace pibrain {
namespace {

TEST(OwnCommand, namesTheConfigThatIsInUse) {
  EXPECT_EQ(ownCommand("sync run"), "pi-brain sync run");
  setConfigInUse("/etc/hub.yaml");
  EXPECT_EQ(ownCommand("sync run"), "pi-brain sync run -c /etc/hub.yaml");
  setConfigInUse("../it's a.yaml");
  auto above = std::filesystem::current_path().parent_path().string();
  EXPECT_EQ(ownCommand("spoke upgrade laptop"),
            "pi-brain spoke upgrade laptop -c '" + above + "/it'\"'\"'s a.yaml'");
  setConfigInUse("");
  EXPECT_EQ(ownCommand("sync run"), "pi-brain sync run");
}

}  // namespace
}  // namespace pibrain
