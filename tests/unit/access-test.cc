#include "hub/link/access.h"

#include <gtest/gtest.h>

#include "common/wire/protocol.h"

namespace pibrain {
namespace {

using namespace std::string_literals;

std::vector<Question> allQuestions() {
  std::vector<Question> all;
  for (auto access : ALL_ACCESS) {
    for (auto& question : questionsOf(access)) all.push_back(question);
  }
  return all;
}

Question questionWith(std::string_view command) {
  for (auto& question : questionsOf(Access::COMMAND)) {
    if (question.command.starts_with(command)) return question;
  }
  ADD_FAILURE() << command;
  return {};
}

TEST(Access, questionsDoNotContainTheirAnswers) {
  for (int i = 0; i < 100; ++i) {
    for (auto& question : allQuestions()) {
      EXPECT_FALSE(question.answer.empty());
      EXPECT_EQ((question.command + question.input).find(question.answer), std::string::npos)
          << question.command;
    }
    EXPECT_NE(questionWith("expr").command, questionWith("expr").command);
  }
}

TEST(Access, anEchoOfTheQuestionIsNotAnAnswer) {
  for (auto& question : allQuestions()) {
    EXPECT_EQ(judgeOutput(question, ""), std::nullopt);
    EXPECT_EQ(judgeOutput(question, "not allowed: " + question.command + "\n"), std::nullopt);
    EXPECT_EQ(judgeOutput(question, "Welcome!\n" + question.answer + "\n"), Grant::GIVEN);
    EXPECT_EQ(judgeOutput(question, "noise" + std::string(PREAMBLE)), Grant::REFUSED);
  }
}

TEST(Access, bytesOfTheAgentAreNotAnAnswer) {
  // Messages with zeros in them follow its preamble.
  auto agent = std::string(PREAMBLE) + "\0\0\0\0\2\0\0\0\3"s;
  for (auto& question : allQuestions()) {
    EXPECT_EQ(judgeOutput(question, agent), Grant::REFUSED) << question.command;
  }
}

TEST(Access, aProgramBesideTheAgentMayAnswerAfterIt) {
  auto hidden = questionWith("expr");
  EXPECT_TRUE(hidden.lingers);
  EXPECT_FALSE(hidden.inputEnds);
  EXPECT_EQ(judgeOutput(hidden, std::string(PREAMBLE) + hidden.answer), Grant::GIVEN);
  auto plain = questionWith("id");
  EXPECT_EQ(judgeOutput(plain, std::string(PREAMBLE) + plain.answer), Grant::REFUSED);
}

TEST(Access, oneFormHasOnlyPlainLetters) {
  EXPECT_EQ(questionWith("id").command.find_first_not_of("abcdefghijklmnopqrstuvwxyz"),
            std::string::npos);
}

TEST(Access, programsHaveAnswersOfTheirOwn) {
  auto sftp = questionsOf(Access::SUBSYSTEM).front();
  // draft-ietf-secsh-filexfer-02, section 4: SSH_FXP_VERSION is 2.
  auto version = "\0\0\0\5\2\0\0\0\3"s;
  EXPECT_EQ(judgeOutput(sftp, version.substr(0, 4)), std::nullopt);
  EXPECT_EQ(judgeOutput(sftp, version), Grant::GIVEN);
  EXPECT_EQ(judgeOutput(sftp, "Welcome!\n" + version), Grant::GIVEN);
  // rsync 3.2's protocol is 31, little-endian.
  EXPECT_EQ(judgeOutput(questionWith("rsync --server"), "\x1f\0\0\0"s), Grant::GIVEN);
  EXPECT_EQ(judgeOutput(questionWith("scp -f"), "C0444 0 version\n"), Grant::GIVEN);
  EXPECT_EQ(judgeOutput(questionWith("cat"), "cat\0/proc/self/cmdline\0"s), Grant::GIVEN);
  EXPECT_EQ(judgeOutput(questionWith("id"), "uid=0(root) gid=0(root)\n"), Grant::GIVEN);
}

// Returns the verdict of judgeDelay() on a spoke whose answers take these times, one after the
// other.
Grant judged(std::vector<std::optional<double>> sleeping, std::optional<double> awake) {
  size_t asked = 0;
  return judgeDelay([&](const std::string& command) -> std::optional<Seconds> {
    auto took = command == "sleep 0" ? awake : sleeping.at(asked++);
    return took ? std::optional(Seconds(*took)) : std::nullopt;
  });
}

TEST(Access, aCommandThatSleepsIsLateByThatMuch) {
  EXPECT_EQ(judged({0.01}, {}), Grant::REFUSED);
  EXPECT_EQ(judged({3.9}, {}), Grant::REFUSED);
  EXPECT_EQ(judged({4.1, 4.1}, 0.1), Grant::GIVEN);
  // A spoke that is always slow; one that also slept; one that was slow once.
  EXPECT_EQ(judged({6.1}, 6.0), Grant::REFUSED);
  EXPECT_EQ(judged({10.1, 10.2}, 6.0), Grant::GIVEN);
  EXPECT_EQ(judged({7.0, 0.1}, 0.1), Grant::UNKNOWN);
  EXPECT_EQ(judged({std::nullopt}, 0.1), Grant::UNKNOWN);
  EXPECT_EQ(judged({4.1}, std::nullopt), Grant::UNKNOWN);
  EXPECT_EQ(judged({4.1, std::nullopt}, 0.1), Grant::UNKNOWN);
}

TEST(Access, keyOptionsAreThoseOfTheLastMessage) {
  EXPECT_EQ(keyOptionsIn(""), std::nullopt);
  EXPECT_EQ(keyOptionsIn("debug1: Remote: something else"), std::nullopt);
  EXPECT_EQ(keyOptionsIn("/home/u/.ssh/authorized_keys:1: key options: command"),
            KeyOptions{"command"});
  EXPECT_EQ(keyOptionsIn("debug1: Remote: /k:1: key options: command pty\r\n"
                         "debug1: Remote: /k:2: key options: command port-forwarding\r\n"
                         "debug1: more\n"),
            (KeyOptions{"command", "port-forwarding"}));
  EXPECT_EQ(keyOptionsIn("/k:1: key options:"), KeyOptions{});
}

TEST(Access, theLineOfTheKeyDecidesWhatATryCannot) {
  KeyOptions locked{"command"}, open{"command", "port-forwarding", "agent-forwarding", "pty"};
  for (auto access : {Access::CONNECT, Access::LISTEN, Access::SOCKETS, Access::AGENT, Access::X11,
                      Access::TERMINAL}) {
    EXPECT_EQ(decideGrant(access, Grant::UNKNOWN, locked), Grant::REFUSED) << toString(access);
    // An action that succeeded counts, whatever the spoke says of it.
    EXPECT_EQ(decideGrant(access, Grant::GIVEN, locked), Grant::GIVEN) << toString(access);
    // Without a word from the spoke, the tries decide.
    for (auto tried : {Grant::REFUSED, Grant::UNKNOWN, Grant::GIVEN}) {
      EXPECT_EQ(decideGrant(access, tried, std::nullopt), tried) << toString(access);
    }
  }
  // One port was refused; others may be open.
  EXPECT_EQ(decideGrant(Access::CONNECT, Grant::REFUSED, open), Grant::UNKNOWN);
  EXPECT_EQ(decideGrant(Access::LISTEN, Grant::REFUSED, open), Grant::UNKNOWN);
  EXPECT_EQ(decideGrant(Access::SOCKETS, Grant::REFUSED, open), Grant::UNKNOWN);
  // There is only one ssh-agent, so a refusal is final.
  EXPECT_EQ(decideGrant(Access::AGENT, Grant::REFUSED, open), Grant::REFUSED);
  EXPECT_EQ(decideGrant(Access::AGENT, Grant::UNKNOWN, open), Grant::UNKNOWN);
  EXPECT_EQ(decideGrant(Access::TERMINAL, Grant::REFUSED, open), Grant::REFUSED);
  KeyOptions some{"command", "permitopen", "port-forwarding"};
  EXPECT_EQ(decideGrant(Access::CONNECT, Grant::REFUSED, some), Grant::GIVEN);
  EXPECT_EQ(decideGrant(Access::LISTEN, Grant::REFUSED, some), Grant::UNKNOWN);
  // The line does not mention commands.
  EXPECT_EQ(decideGrant(Access::COMMAND, Grant::UNKNOWN, locked), Grant::UNKNOWN);
  EXPECT_EQ(decideGrant(Access::SHELL, Grant::REFUSED, open), Grant::REFUSED);
}

}  // namespace
}  // namespace pibrain
