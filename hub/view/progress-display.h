#pragma once
// A line for each spoke at work, redrawn in place on a terminal.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "hub/pass/progress.h"
#include "hub/view/terminal-style.h"

namespace pibrain {

// What a line shows of a spoke's progress.
struct ProgressLine {
  std::string name;
  Progress::Phase phase;
  uint32_t files, filesDone;
  uint64_t bytes, bytesDone;
  double rate;  // bytes a second; 0: not known yet
};

// The line, at most `columns` wide; names take `nameWidth` of them, or a third.
std::string drawProgress(const ProgressLine& line, const TerminalStyle& style, unsigned columns,
                         size_t nameWidth);

// Draws in a thread of its own. Between two drawings the cursor stands where the first line
// begins, so whatever else is printed takes the lines' place, and they come again below it.
class ProgressDisplay {
 public:
  // `style.terminal` has to be true; names take at most `nameWidth` columns. Throws
  // std::system_error if there can be no thread.
  ProgressDisplay(const TerminalStyle& style, size_t nameWidth);
  ~ProgressDisplay();  // takes the lines away
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // Shows a line for `name` until end(name). `progress` has to live as long.
  void begin(const std::string& name, const Progress& progress);
  // Takes the line away, and calls `print`, which prints what is to stay.
  void end(const std::string& name, const std::function<void()>& print);

 private:
  struct Row {
    const Progress* progress;
    double began = 0;  // s, of a steady clock, when it was first seen to fetch; 0: not yet
  };

  void loop();
  void draw();
  void erase();
  ProgressLine lineOf(const std::string& name, Row& row);

  const TerminalStyle style_;
  const size_t nameWidth_;
  std::mutex mutex_;  // for all that follows
  std::condition_variable changed_;
  std::map<std::string, Row> rows_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace pibrain
