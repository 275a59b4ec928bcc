#include "hub/link/access.h"

#include <gtest/gtest.h>

#include "common/wire/protocol.h"

namespace pibrain {
namespace {

TEST(Access, whatIsAskedDoesNotHoldItsAnswer) {
  for (int i = 0; i < 100; ++i) {
    auto question = makeQuestion();
    EXPECT_EQ(question.command.find(question.answer), std::string::npos) << question.command;
    EXPECT_NE(question.command, makeQuestion().command);
  }
}

TEST(Access, whoRepeatsTheQuestionHasNotAnswered) {
  auto question = makeQuestion();
  for (auto access : {Access::COMMAND, Access::SHELL}) {
    EXPECT_EQ(judgeOutput(access, question, ""), std::nullopt);
    EXPECT_EQ(judgeOutput(access, question, "not allowed: " + question.command + "\n"),
              std::nullopt);
    EXPECT_EQ(judgeOutput(access, question, "Welcome!\n" + question.answer + "\n"), Grant::GIVEN);
    EXPECT_EQ(judgeOutput(access, question, "noise" + std::string(PREAMBLE)), Grant::REFUSED);
  }
}

TEST(Access, theSftpServerAnswersInItsOwnWay) {
  auto question = makeQuestion();
  // draft-ietf-secsh-filexfer-02, section 4: SSH_FXP_VERSION is 2.
  std::string version("\0\0\0\5\2\0\0\0\3", 9);
  EXPECT_EQ(judgeOutput(Access::SUBSYSTEM, question, version.substr(0, 4)), std::nullopt);
  EXPECT_EQ(judgeOutput(Access::SUBSYSTEM, question, version), Grant::GIVEN);
  EXPECT_EQ(judgeOutput(Access::SUBSYSTEM, question, question.answer + "\n"), std::nullopt);
  EXPECT_EQ(judgeOutput(Access::SUBSYSTEM, question, std::string(PREAMBLE)), Grant::REFUSED);
}

}  // namespace
}  // namespace pibrain
