#include "hub/view/progress-display.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <system_error>

#include "tests/unit/own-process.h"

namespace pibrain {
namespace {

using Phase = Progress::Phase;

const TerminalStyle PLAIN{.terminal = true, .color = false, .unicode = false};
const TerminalStyle RICH{.terminal = true, .color = true, .unicode = true};

ProgressLine half(const std::string& name = "laptop") {
  return {name, Phase::FETCHING, 100, 50, 8 << 20, 4 << 20, 2 << 20};
}

// Returns the width in columns, without escape sequences for colours.
size_t columnsOf(std::string text) {
  for (size_t start; (start = text.find('\x1b')) != std::string::npos;) {
    text.erase(start, text.find('m', start) - start + 1);
  }
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(ProgressLine, wide) {
  EXPECT_EQ(drawProgress(half(), PLAIN, 100, 8),
            "  laptop    ######......   50%  50/100 files  4.0 MB/8.0 MB  0:02 left  2.0 MB/s of "
            "content");
  EXPECT_NE(drawProgress(half(), RICH, 100, 8).find("████"), std::string::npos);
}

TEST(ProgressLine, narrow) {
  EXPECT_EQ(drawProgress(half(), PLAIN, 50, 8), "  laptop    ####....   50%  50/100 files");
  EXPECT_EQ(drawProgress(half(), PLAIN, 30, 8), "  laptop     50%  50/100 files");
}

TEST(ProgressLine, fitsAnyWidth) {
  for (auto& name : {"x", "a-name-that-is-as-long-as-names-are-hardly-ever", "größe-ünïcode"}) {
    for (unsigned columns = 1; columns < 200; ++columns) {
      for (auto* style : {&PLAIN, &RICH}) {
        auto line = drawProgress(half(name), *style, columns, 24);
        EXPECT_LE(columnsOf(line), columns) << line;
        EXPECT_EQ(line.find('\n'), std::string::npos);
      }
    }
  }
}

TEST(ProgressLine, phases) {
  auto line = half();
  line.phase = Phase::CONNECTING;
  EXPECT_EQ(drawProgress(line, PLAIN, 80, 6), "  laptop  connecting... 50 files  4.0 MB");
  line = {"laptop", Phase::COMPARING, 0, 0, 0, 0, 0};
  EXPECT_EQ(drawProgress(line, RICH, 80, 6), "  laptop  comparing…");
  line = {"laptop", Phase::FETCHING, 0, 0, 0, 0, 0};
  EXPECT_EQ(drawProgress(line, RICH, 80, 6), "  laptop  fetching…") << "there is nothing to fetch";
  line = {"laptop", Phase::FETCHING, 100, 25, 0, 4 << 20, 2 << 20};
  EXPECT_EQ(drawProgress(line, PLAIN, 100, 6),
            "  laptop  ###.........   25%  25/100 files  4.0 MB  0:06 left  2.0 MB/s of content")
      << "how many bytes there are is not known";
}

TEST(ProgressLine, inconsistentNumbers) {
  ProgressLine line{"laptop", Phase::FETCHING, 3, 3, 10, 500, 0.001};
  EXPECT_NE(drawProgress(line, PLAIN, 100, 6).find("100%"), std::string::npos) << "never more";
  line = {"laptop", Phase::FETCHING, 4, 1, 0, 0, 0};
  EXPECT_NE(drawProgress(line, PLAIN, 100, 6).find("25%"), std::string::npos) << "of the files";
  line = {"laptop", Phase::FETCHING, 4, 1, UINT64_MAX, 1, 1e-300};
  EXPECT_EQ(drawProgress(line, PLAIN, 100, 6).find("left"), std::string::npos)
      << "in no time that counts";
}

TEST(ProgressDisplay, aMissingThreadIsARecoverableError) {
  EXPECT_EQ(inAProcessOfItsOwn([]() {
              if (!limitThreads(1)) return 100;
              try {
                ProgressDisplay view(PLAIN, 8);
              } catch (const std::system_error&) {
                return 1;
              }
              return 0;
            }),
            1);
}

}  // namespace
}  // namespace pibrain
