#include "hub/view/progress-display.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/base/passphrase-prompt.h"
#include "hub/base/signals.h"

namespace pibrain {

namespace {

constexpr auto INTERVAL = std::chrono::milliseconds(100);
constexpr unsigned LONGEST_BAR = 30, SHORTEST_BAR = 8, NARROW = 40;

double steadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string formatLeft(double seconds) {
  if (!(seconds < 100 * 3600)) return "";
  auto whole = int64_t(ceil(seconds));
  if (whole >= 3600) return absl::StrFormat("%dh%02d", whole / 3600, whole / 60 % 60);
  return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
}

std::string bar(double share, unsigned width, const TerminalStyle& style) {
  auto full = unsigned(share * width);
  std::string out = style.color ? "\x1b[36m" : "";
  for (unsigned i = 0; i < full; ++i) out += style.unicode ? "█" : "#";
  if (style.color) out += "\x1b[2m";
  for (unsigned i = full; i < width; ++i) out += style.unicode ? "░" : ".";
  if (style.color) out += "\x1b[0m";
  return out;
}

std::string cut(std::string_view text, size_t columns) {
  size_t bytes = 0;
  for (; bytes < text.size() && columns > 0; --columns) bytes += stepOf(text.substr(bytes));
  return std::string(text.substr(0, bytes));
}

const char* phaseWord(Progress::Phase phase) {
  switch (phase) {
    case Progress::Phase::WAITING:
      return "waiting";
    case Progress::Phase::CONNECTING:
      return "connecting";
    case Progress::Phase::COMPARING:
      return "comparing";
    case Progress::Phase::FETCHING:
      return "fetching";
    case Progress::Phase::ENDED:
      break;
  }
  return "finishing";
}

}  // namespace

std::string drawProgress(const ProgressLine& line, const TerminalStyle& style, unsigned columns,
                         size_t nameWidth) {
  auto name = cut(line.name, std::min<size_t>(nameWidth, columns / 3));
  name.append(std::min<size_t>(nameWidth, columns / 3) - std::min(nameWidth, columnsOf(name)), ' ');
  auto start = absl::StrCat("  ", name, "  ");
  if (line.phase != Progress::Phase::FETCHING || line.files == 0) {
    auto words = absl::StrCat(phaseWord(line.phase), style.ellipsis());
    if (line.filesDone > 0) absl::StrAppend(&words, " ", countOf(line.filesDone, "file"));
    if (line.bytesDone > 0) absl::StrAppend(&words, "  ", formatBytes(line.bytesDone));
    return cut(start + words, columns);
  }
  double share = line.bytes > 0 ? double(std::min(line.bytesDone, line.bytes)) / double(line.bytes)
                                : double(line.filesDone) / line.files;
  auto percent = absl::StrFormat("%3d%%", int(share * 100));
  // The bar has the same width on every line.
  unsigned width = columns < NARROW ? 0 : std::clamp(columns / 8, SHORTEST_BAR, LONGEST_BAR);
  auto text = start + (width == 0 ? "" : bar(share, width, style) + "  ") + percent;
  size_t used = columnsOf(start) + (width == 0 ? 0 : width + 2) + percent.size();
  // The most important parts first, as many as fit.
  std::vector<std::string> parts{
      absl::StrCat(line.filesDone, "/", line.files, " files"),
      line.bytes > 0 ? absl::StrCat(formatBytes(line.bytesDone), "/", formatBytes(line.bytes))
                     : formatBytes(line.bytesDone)};
  if (line.rate > 0) {
    double seconds = double(line.bytesDone) / line.rate;  // elapsed
    auto left = share > 0 ? formatLeft(seconds * (1 - share) / share) : "";
    if (!left.empty()) parts.push_back(left + " left");
    // --bwlimit counts what travels, which is compressed.
    parts.push_back(formatBytes(uint64_t(line.rate)) + "/s of content");
  }
  if (used > columns) return cut(start, columns);
  for (auto& part : parts) {
    if (used + 2 + part.size() > columns) break;
    text += "  " + part;
    used += 2 + part.size();
  }
  return text;
}

namespace {

// Called when a signal ends this program: removes the lines, so that the shell's prompt does not
// appear among them.
void takeLinesAway() {
  constexpr char TEXT[] =
      "\r\x1b[JInterrupted. Files already synced are complete; the next run continues from here.\n";
  (void)!write(STDOUT_FILENO, TEXT, sizeof(TEXT) - 1);
}

}  // namespace

ProgressDisplay::ProgressDisplay(const TerminalStyle& style, size_t nameWidth)
    : style_(style), nameWidth_(nameWidth), thread_([this]() { loop(); }) {
  beforeDyingOfSignal(takeLinesAway);
}

ProgressDisplay::~ProgressDisplay() {
  beforeDyingOfSignal(nullptr);
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  erase();
}

void ProgressDisplay::begin(const std::string& name, const Progress& progress) {
  std::lock_guard lock(mutex_);
  rows_[name] = {&progress};
}

void ProgressDisplay::end(const std::string& name, const std::function<void()>& print) {
  std::lock_guard lock(mutex_);
  rows_.erase(name);
  erase();
  print();
  draw();
}

void ProgressDisplay::loop() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, INTERVAL, [this]() { return ending_; })) draw();
}

void ProgressDisplay::erase() {
  fputs("\r\x1b[J", stdout);
  fflush(stdout);
}

ProgressLine ProgressDisplay::lineOf(const std::string& name, Row& row) {
  auto& progress = *row.progress;
  ProgressLine line{
      name, progress.phase, progress.files, progress.filesDone, progress.bytes, progress.bytesDone,
      0};
  if (line.phase != Progress::Phase::FETCHING) return line;
  // The average since the beginning, since content comes in blocks of half a megabyte.
  double now = steadySeconds();
  if (row.began == 0) row.began = now;
  if (now > row.began) line.rate = double(line.bytesDone) / (now - row.began);
  return line;
}

void ProgressDisplay::draw() {
  // If a passphrase is being asked for, nothing is drawn.
  auto mine = tryTerminal();
  if (!mine) return;
  unsigned columns = terminalColumns() - 1;  // text in the last column may start a new line
  unsigned lines = terminalLines();
  std::string out = "\r\x1b[J";
  unsigned drawn = 0;
  for (auto& [name, row] : rows_) {
    if (drawn + 3 >= lines && rows_.size() > drawn + 1) {
      absl::StrAppend(&out, "  and ", rows_.size() - drawn, " more\n");
      ++drawn;
      break;
    }
    out += drawProgress(lineOf(name, row), style_, columns, nameWidth_) + "\n";
    ++drawn;
  }
  if (drawn > 0) absl::StrAppend(&out, "\x1b[", drawn, "A");
  fwrite(out.data(), 1, out.size(), stdout);
  fflush(stdout);
}

}  // namespace pibrain
