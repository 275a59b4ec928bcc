#include "hub/base/failure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hub/base/failure-status.h"
#include "tests/unit/generated-text.h"

namespace pibrain {
namespace {

void addRows(bool warnings, std::string& text) {
  text += "\n| id | what it means | what to do |\n|---|---|---|\n";
  for (auto& kind : allFailureKinds()) {
    if (kind.warning != warnings) continue;
    text += "| `" + std::string(kind.name) + "` | " + std::string(kind.meaning) + " | " +
            std::string(kind.fix) + " |\n";
  }
}

std::string markdown() {
  std::string text =
      "# Failures\n\n"
      "Each failure of `pi-brain` has an id. It stands in the `failure` object of every `--json` "
      "document, as `id`, beside `what` failed, the `cause` and the `fixes`; the texts may change "
      "from version to version, an id does not. These tables are made from "
      "`hub/base/failure-kinds.inc`.\n";
  addRows(false, text);
  text +=
      "\n# Warnings\n\n"
      "`sync doctor --json` has the same object beside each check that is a warning: something "
      "that does not make a run fail. Its `id` is one of these, or that of a failure.\n";
  addRows(true, text);
  return text;
}

void addItems(bool warnings, std::string& text) {
  text += ".Bl -tag -width Ds\n";
  for (auto& kind : allFailureKinds()) {
    if (kind.warning != warnings) continue;
    auto line = [](std::string_view words) {
      // mdoc takes a line that begins with a control character for a request.
      return std::string(words.starts_with('\'') || words.starts_with('.') ? "\\&" : "") +
             std::string(words) + "\n";
    };
    text += ".It Sy " + std::string(kind.name) + "\n" + line(kind.meaning) + line(kind.fix);
  }
  text += ".El\n";
}

std::string manPage() {
  std::string text =
      ".\\\" Made from hub/base/failure-kinds.inc.\n"
      ".Dd November 30, 2026\n.Dt PI-BRAIN-ERRORS 7\n.Os\n.Sh NAME\n.Nm pi-brain-errors\n"
      ".Nd the failures of pi-brain by their ids\n.Sh DESCRIPTION\n"
      "Each failure of\n.Xr pi-brain 1\nhas an id, which stands in the\n.Va failure\nobject of "
      "every\n.Fl -json\ndocument.\nThe texts may change from version to version, an id does "
      "not.\n";
  addItems(false, text);
  text +=
      ".Sh WARNINGS\n.Cm sync doctor\n.Fl -json\nhas the same object beside each check that is a "
      "warning: something that does not make a run fail.\nIts id is one of these, or that of a "
      "failure.\n";
  addItems(true, text);
  return text + ".Sh SEE ALSO\n.Xr pi-brain 1\n";
}

TEST(FailureKinds, areSortedAndHaveFixes) {
  auto kinds = allFailureKinds();
  EXPECT_TRUE(
      std::is_sorted(kinds.begin(), kinds.end(), [](auto& a, auto& b) { return a.name < b.name; }));
  for (auto& kind : kinds) {
    EXPECT_EQ(&kindOf(kind.id), &kind);
    EXPECT_TRUE(kind.meaning.ends_with('.')) << kind.name;
    EXPECT_TRUE(kind.fix.ends_with('.')) << kind.name;
    EXPECT_EQ(kind.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), kind.name.npos);
  }
}

TEST(FailureKinds, areInTheDocuments) {
  expectFile("docs/errors.md", markdown());
  expectFile("deploy/man/pi-brain-errors.7", manPage());
}

TEST(Failure, isOneLine) {
  Failure plain(FailureId::DISK_FULL, "no room");
  EXPECT_STREQ(plain.what(), "no room.");
  Failure whole(FailureId::DISK_FULL, "no room", "The disk is full.",
                {{"See how full", "df -h /x"}, {"Make room", ""}});
  EXPECT_STREQ(whole.what(), "no room. The disk is full. See how full: 'df -h /x'. Make room.");
  whole.addCause("It is small.").addFix({"Buy another", ""});
  EXPECT_STREQ(whole.what(),
               "no room. The disk is full. It is small. See how full: 'df -h /x'. Make room. Buy "
               "another.");
}

TEST(Failure, severalBecomeOneWithAllTheirFixes) {
  auto all =
      joined({Failure(FailureId::FILES_FAILED, "1 file failed", "a: b.", {{"Look", "ls"}}),
              Failure(FailureId::DELETION_REFUSED, "nothing was deleted", "", {{"Ask", ""}})});
  EXPECT_EQ(all.id(), FailureId::FILES_FAILED);
  EXPECT_STREQ(all.what(), "1 file failed. a: b. Besides, nothing was deleted. Look: 'ls'. Ask.");
}

TEST(Failure, isStoredAsText) {
  Failure failure(FailureId::HOST_KEY_CHANGED, "it changed", "", {{"Look", "ls"}, {"Ask", ""}});
  auto back = unpacked(packed(failure));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id(), failure.id());
  EXPECT_STREQ(back->what(), failure.what());
  EXPECT_EQ(back->fixes(), failure.fixes());
  EXPECT_FALSE(unpacked(""));
  EXPECT_FALSE(unpacked("no-such-id\x1fwhat\x1f"));
  EXPECT_FALSE(unpacked("disk-full\x1fwhat\x1f\x1ftext"));
}

TEST(Failure, goesThroughAStatus) {
  Failure failure(FailureId::KEY_MISSING, "no key", "Why.", {{"Make one", "ssh-keygen"}});
  auto back = failureOf(toStatus(failure), FailureId::USAGE);
  EXPECT_EQ(back.id(), FailureId::KEY_MISSING);
  EXPECT_STREQ(back.what(), failure.what());
  auto other = failureOf(absl::NotFoundError("nothing there."), FailureId::USAGE);
  EXPECT_EQ(other.id(), FailureId::USAGE);
  EXPECT_STREQ(other.what(), "nothing there.");
}

}  // namespace
}  // namespace pibrain
