#include "hub/agent/lockdown.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

TEST(Lockdown, claimsOnlyWhatWasShown) {
  EXPECT_EQ(Lockdown().verdict("laptop"),
            "the key starts the agent; the spoke refused other commands, a shell, SFTP, a terminal "
            "and forwarding (TCP both ways, sockets, agent, X11)");
}

TEST(Lockdown, noClaimExcludesWhatIsUnknown) {
  for (auto access : ALL_ACCESS) {
    auto said = Lockdown{{}, {access}}.verdict("laptop");
    EXPECT_EQ(said.find("refused"), std::string::npos) << said;
    EXPECT_NE(said.find(toString(access)), std::string::npos) << said;
    EXPECT_TRUE(
        said.starts_with("the key starts the agent on laptop; it is unknown whether it can "))
        << said;
  }
}

TEST(Lockdown, reportsGrantedAndUnknownAccess) {
  Lockdown some{{Access::COMMAND, Access::LISTEN}, {Access::AGENT, Access::X11}};
  EXPECT_TRUE(some.verdict("laptop").starts_with(
      "the key starts the agent, but can do more, on laptop: it can run other commands and listen "
      "for connections; it is unknown whether it can forward an SSH agent or forward X11. Correct "
      "the key's line in "))
      << some.verdict("laptop");
  Lockdown shell{{Access::COMMAND, Access::SHELL}, {}};
  EXPECT_TRUE(shell.verdict("laptop").starts_with(
      "the key can run any command on laptop: it can run other commands and open a shell. "));
}

}  // namespace
}  // namespace pibrain
