#include "hub/setup/timer.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "hub/base/failure.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

// A systemd that does not hear of the units: there is no systemctl on PATH.
class TimerTest : public testing::Test {
 protected:
  TimerTest() {
    setenv("XDG_CONFIG_HOME", (dir_ / "config").c_str(), 1);
    setenv("PATH", "/nowhere", 1);
  }
  ~TimerTest() override {
    unsetenv("XDG_CONFIG_HOME");
    setenv("PATH", path_.c_str(), 1);
  }

  void install() {
    installTimer({"", "15min", 900}, [](auto&) {});
  }
  std::optional<Failure> failureOf(const std::function<void()>& work) {
    try {
      work();
    } catch (const Failure& failure) {
      return failure;
    }
    return std::nullopt;
  }

  std::string path_ = getenv("PATH") == nullptr ? "" : getenv("PATH");
  TempDir dir_;
};

TEST_F(TimerTest, unitsThatNobodyStarts) {
  auto failure = failureOf([&]() { install(); });
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->id(), FailureId::TIMER_FAILED);
  EXPECT_TRUE(std::filesystem::exists(dir_ / "config/systemd/user/pi-brain-sync.timer"));
  ASSERT_EQ(failure->fixes().size(), 2u);
  EXPECT_TRUE(failure->fixes()[1].command.starts_with("*/15 * * * * ")) << failure->what();
}

TEST_F(TimerTest, unitsThatNobodyStops) {
  failureOf([&]() { install(); });
  std::string said;
  EXPECT_FALSE(failureOf([&]() { uninstallTimer([&](auto& text) { said += text + "\n"; }); }));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "config/systemd/user/pi-brain-sync.timer"));
  EXPECT_TRUE(said.ends_with("systemctl --user stop pi-brain-sync.timer\n")) << said;
}

}  // namespace
}  // namespace pibrain
