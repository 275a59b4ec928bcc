// P4: how much of a file that is being written is sent.

#include "spoke-agent/answers/pull.h"

#include <gtest/gtest.h>

#include "common/wire/protocol.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

uint64_t publishable(std::string_view content, std::string_view name, int64_t age) {
  TreeSource::File file{fileWith(content), std::string(name), content.size(), OLD, 0600};
  return publishableSize(file, OLD + age);
}

TEST(Pull, freshSessionsAreSentUpToTheirLastNewline) {
  struct Case {
    std::string content;
    uint64_t size;
  };
  for (auto& [content, size] : {
           Case{"", 0},
           {"no newline", 0},
           {"\n", 1},
           {"whole\n", 6},
           {"whole\npart", 6},
           {"one\ntwo\nthree", 8},
           {"\n" + std::string(64 * 1024, 'x'), 1},
           {"line\n" + std::string(64 * 1024 - 1, 'x'), 5},
           {"line\n" + std::string(300'000, 'x'), 5},
           {std::string(300'000, 'x'), 0},
           {std::string(200'000, 'x') + "\n" + std::string(100'000, 'y'), 200'001},
       }) {
    EXPECT_EQ(publishable(content, "session.jsonl", SECOND), size) << content.size();
  }
}

TEST(Pull, quietFilesAndOtherFilesAreSentWhole) {
  struct Case {
    const char* name;
    int64_t age;
    uint64_t size;
  };
  for (auto [name, age, size] : {
           Case{"s.jsonl", 0, 6},
           {"s.jsonl", QUIET_NANOS - 1, 6},
           {"s.jsonl", QUIET_NANOS, 10},
           {"s.jsonl", 3600 * SECOND, 10},
           // If a file server's clock is ahead, the file may be fresh; a time that no clock shows
           // does not hold the file back.
           {"s.jsonl", -SECOND, 6},
           {"s.jsonl", -QUIET_NANOS, 6},
           {"s.jsonl", -24 * 3600 * SECOND, 6},
           {"s.jsonl", -24 * 3600 * SECOND - 1, 10},
           {"s.jsonl", -20 * 365 * 24 * 3600 * SECOND, 10},
           {"s.json", 0, 10},
           {"jsonl", 0, 10},
           {"s.jsonl.bak", 0, 10},
           {".jsonl", 0, 6},
       }) {
    EXPECT_EQ(publishable("whole\npart", name, age), size) << name << ", " << age;
  }
}

TEST(Pull, aFileThatShrankIsSentAsItIs) {
  std::string content = "one\ntwo\nthree";
  TreeSource::File file{fileWith("one\ntw"), "s.jsonl", content.size(), OLD, 0600};
  EXPECT_EQ(publishableSize(file, OLD), 4u);
}

}  // namespace
}  // namespace pibrain
