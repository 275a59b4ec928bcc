#pragma once
// Text of documents that is made from tables in the code.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>
#include <string>

namespace pibrain {

constexpr char HOW_TO_WRITE_IT[] = "PIBRAIN_UPDATE_DOCS=1 unit-tests writes it anew";

inline std::string sourcePath(const std::string& path) {
  return std::string(PIBRAIN_SOURCE) + "/" + path;
}

inline std::string textOfFile(const std::string& path) {
  std::ifstream in(sourcePath(path));
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The file of the project has this text; with PIBRAIN_UPDATE_DOCS=1 it gets it.
inline void expectFile(const std::string& path, const std::string& text) {
  if (getenv("PIBRAIN_UPDATE_DOCS") != nullptr) std::ofstream(sourcePath(path)) << text;
  EXPECT_EQ(textOfFile(path), text) << HOW_TO_WRITE_IT;
}

// The same for what stands between the lines `begin` and `end` of a file.
inline void expectBetween(const std::string& path, const std::string& begin, const std::string& end,
                          const std::string& text) {
  auto whole = textOfFile(path);
  auto from = whole.find(begin + "\n");
  ASSERT_NE(from, std::string::npos) << path << ": " << begin;
  from += begin.size() + 1;
  auto to = whole.find(end + "\n", from);
  ASSERT_NE(to, std::string::npos) << path << ": " << end;
  expectFile(path, whole.substr(0, from) + text + whole.substr(to));
}

}  // namespace pibrain
