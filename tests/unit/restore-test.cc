#include "hub/mirror/restore.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

ArchivedFile archivedAs(const std::string& id, const std::string& run, const std::string& path,
                        int64_t archived, const std::string& spoke = "laptop") {
  return {id, spoke, run, path, archived, 1, 1, run.starts_with("removed-"), archiveReasonOf(run)};
}

const std::vector<ArchivedFile> ARCHIVED{
    archivedAs("aaaa000000000001", "20260131T120000.000Z", "--p--/a.jsonl", 1),
    archivedAs("aaaa000000000002", "20260131T130000.000Z~edited", "--p--/a.jsonl", 2),
    archivedAs("bbbb000000000003", "20260201T120000.500Z~deleted", "--p--/sub/b.jsonl", 3),
    archivedAs("cccc000000000004", "removed-20260201T120000.500Z", "--q--/c.jsonl", 4, "old"),
    archivedAs("dddd000000000005", "20260201T120000.500Z~deleted", "abcd", 3)};

struct Ids {
  std::string chosen, older;
  size_t failures;
  bool operator==(const Ids&) const = default;
};
void PrintTo(const Ids& ids, std::ostream* out) {
  *out << ids.chosen << "; " << ids.older << "; " << ids.failures;
}

// The last digits of the ids.
Ids chosenFor(const RestoreRequest& request) {
  auto choice = chooseArchived(ARCHIVED, request);
  Ids ids{"", "", choice.failures.size()};
  for (auto& file : choice.files) ids.chosen += file.id.back();
  for (auto& file : choice.older) ids.older += file.id.back();
  for (auto& failure : choice.failures) {
    EXPECT_EQ(failure.id(), FailureId::ARCHIVED_FILE_UNKNOWN);
  }
  return ids;
}

Ids wanting(const std::vector<std::string>& wanted) { return chosenFor({{}, "", wanted}); }
Ids ofRun(const std::string& run) { return chosenFor({{}, run, {}}); }

TEST(RestoreChoice, pathsAndPatterns) {
  EXPECT_EQ(wanting({"--p--/a.jsonl"}), (Ids{"2", "1", 0}));
  EXPECT_EQ(wanting({"--p--"}), (Ids{"23", "1", 0}));
  EXPECT_EQ(wanting({"--p--/"}), (Ids{"23", "1", 0}));
  EXPECT_EQ(wanting({"--p"}), (Ids{"", "", 1})) << "no directory of this name";
  EXPECT_EQ(wanting({"*b.jsonl"}), (Ids{"3", "", 0})) << "also beneath directories";
  EXPECT_EQ(wanting({"*/[bc].jsonl"}), (Ids{"34", "", 0}));
  EXPECT_EQ(wanting({"*"}), (Ids{"2345", "1", 0}));
  EXPECT_EQ(wanting({"*c.jsonl", "no", "--p--/sub"}), (Ids{"34", "", 1}));
  EXPECT_EQ(wanting({}), (Ids{"2345", "1", 0}));
}

TEST(RestoreChoice, ids) {
  EXPECT_EQ(wanting({"aaaa000000000001"}), (Ids{"1", "", 0})) << "an older one, by its name";
  EXPECT_EQ(wanting({"b"}), (Ids{"3", "", 0}));
  EXPECT_EQ(wanting({"aaaa"}), (Ids{"", "", 1})) << "two begin so";
  EXPECT_EQ(wanting({"eeee"}), (Ids{"", "", 1}));
  EXPECT_EQ(wanting({"b", "bbbb", "cc"}), (Ids{"34", "", 0}));
  EXPECT_EQ(wanting({"abcd"}), (Ids{"5", "", 0})) << "a path comes first";
  EXPECT_TRUE((RestoreRequest{{}, "", {"abc"}}.isOneId()));
  EXPECT_FALSE((RestoreRequest{{}, "", {"abc", "d"}}.isOneId()));
  EXPECT_FALSE((RestoreRequest{{}, "", {"abc*"}}.isOneId()));
  EXPECT_FALSE((RestoreRequest{{"laptop"}, "", {"abc"}}.isOneId()));
}

TEST(RestoreChoice, runs) {
  EXPECT_EQ(ofRun("20260131T120000.000Z"), (Ids{"1", "", 0}));
  EXPECT_EQ(ofRun("2026-01-31T12:00:00Z"), (Ids{"1", "", 0}));
  EXPECT_EQ(ofRun("2026-01-31"), (Ids{"2", "1", 0}));
  EXPECT_EQ(ofRun("2026-01-31T13"), (Ids{"2", "", 0}));
  EXPECT_EQ(ofRun("2026-02"), (Ids{"345", "", 0}));
  EXPECT_EQ(ofRun("removed-"), (Ids{"4", "", 0}));
  EXPECT_EQ(ofRun("removed-2026-02-01"), (Ids{"4", "", 0}));
  EXPECT_EQ(ofRun("2026-02-01T12:00:01Z"), (Ids{"", "", 0}));
  EXPECT_EQ(ofRun("deleted"), (Ids{"", "", 0}));
}

TEST(RestoreChoice, allMustHold) {
  EXPECT_EQ(chosenFor({{"laptop"}, "2026-02", {}}), (Ids{"35", "", 0}));
  EXPECT_EQ(chosenFor({{"old"}, "", {"*"}}), (Ids{"4", "", 0}));
  EXPECT_EQ(chosenFor({{"old"}, "", {"b"}}), (Ids{"", "", 1})) << "another spoke's";
  EXPECT_EQ(chosenFor({{"old", "laptop"}, "2026-01", {"*a.jsonl", "*c.jsonl"}}),
            (Ids{"2", "1", 1}));
}

}  // namespace
}  // namespace pibrain
