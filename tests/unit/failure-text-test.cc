#include "hub/view/failure-text.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

TEST(FailureText, linesAreWrappedBetweenWords) {
  EXPECT_EQ(wrapped("a: ", "one two three four", 2, 12), "a: one two\n  three four\n");
  EXPECT_EQ(wrapped("a: ", "a-word-that-is-longer-than-that b", 2, 12),
            "a: a-word-that-is-longer-than-that\n  b\n");
  EXPECT_EQ(wrapped("\x1b[31mx\x1b[0m: ", "ä ö ü ß", 2, 8), "\x1b[31mx\x1b[0m: ä ö ü\n  ß\n")
      << "colours take no column, and a character one";
}

TEST(FailureText, whatCauseAndFixHaveLinesOfTheirOwn) {
  Failure failure(
      FailureId::CONNECTION_REFUSED, "connection refused by laptop port 22",
      "The machine is up, but no SSH server listens there.",
      {{"On the spoke, start it", "sudo systemctl start ssh"}, {"Or switch the machine on", ""}});
  TerminalStyle terminal;
  terminal.terminal = true;
  EXPECT_EQ(failureText("  x laptop: ", failure, terminal),
            "  x laptop: connection refused by laptop port 22\n"
            "      Why: The machine is up, but no SSH server listens there.\n"
            "      Fix: On the spoke, start it:\n"
            "        sudo systemctl start ssh\n"
            "      Fix: Or switch the machine on.\n");
  EXPECT_EQ(
      failureText("  x laptop: ", failure, TerminalStyle()),
      "  x laptop: connection refused by laptop port 22. The machine is up, but no SSH server "
      "listens there. On the spoke, start it: 'sudo systemctl start ssh'. Or switch the "
      "machine on.\n");
}

}  // namespace
}  // namespace pibrain
