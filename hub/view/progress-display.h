#pragma once
// Shows a line for each running spoke on a terminal, redrawn in place.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "hub/pass/progress.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// The content of a spoke's line.
struct ProgressLine {
  std::string name;
  Progress::Phase phase;
  uint32_t files, filesDone;
  uint64_t bytes, bytesDone;
  double rate;  // bytes a second; 0: unknown
};

// Returns the line, at most `columns` wide; the name takes `nameWidth` of them, or a third.
std::string drawProgress(const ProgressLine& line, const TerminalStyle& style, unsigned columns,
                         size_t nameWidth);

// Draws in its own thread. Between two drawings the cursor is at the beginning of the first line,
// so other output overwrites the lines, and they reappear below it.
class ProgressDisplay {
 public:
  // `style.terminal` must be true; names take at most `nameWidth` columns. Throws std::system_error
  // if no thread can be started.
  ProgressDisplay(const TerminalStyle& style, size_t nameWidth);
  ~ProgressDisplay();  // removes the lines
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // Shows a line for `name` until end(name). `progress` must live as long.
  void begin(const std::string& name, const Progress& progress);
  // Removes the line, and calls `print`, which prints what stays.
  void end(const std::string& name, const std::function<void()>& print);

 private:
  struct Row {
    const Progress* progress;
    double began = 0;  // when it first fetched, s by a steady clock; 0: not yet
  };

  void loop();
  void draw();
  void erase();
  ProgressLine lineOf(const std::string& name, Row& row);

  const TerminalStyle style_;
  const size_t nameWidth_;
  std::mutex mutex_;  // guards all that follows
  std::condition_variable changed_;
  std::map<std::string, Row> rows_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace pibrain
