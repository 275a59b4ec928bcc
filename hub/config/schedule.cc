#include "hub/config/schedule.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/time/civil_time.h>

#include <vector>

#include "common/text/escape.h"

namespace pibrain {

namespace {

using Names = std::vector<std::string>;

struct Field {
  const char* what;
  int least;
  int most;
  Names names;  // of least, least + 1, …
};

const Field MINUTE{"minute", 0, 59, {}};
const Field HOUR{"hour", 0, 23, {}};
const Field DAY{"day of the month", 1, 31, {}};
const Field MONTH{
    "month",
    1,
    12,
    {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}};
const Field WEEKDAY{
    "day of the week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"}};

absl::Status mistake(const Field& field, const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", escapeForTerminal(text), "' is not a valid ", field.what, ". Use '*', a number from ",
      field.least, " to ", field.most,
      field.names.empty()
          ? ""
          : absl::StrCat(" (or a name: ", field.names[0], ", ", field.names[1], ", …)"),
      ", a range (1-5), a step (*/15, 0-30/10) or a list (1,3,5-7)"));
}

bool parseNumber(const Field& field, const std::string& text, int& value) {
  auto lower = absl::AsciiStrToLower(text);
  for (size_t i = 0; i < field.names.size(); ++i) {
    if (lower == field.names[i]) return value = field.least + int(i), true;
  }
  bool digits = !text.empty() && text.size() <= 4 &&
                text.find_first_not_of("0123456789") == std::string::npos;
  return digits && absl::SimpleAtoi(text, &value) && value >= field.least && value <= field.most;
}

// Parses "*", "5" or "1-5", each perhaps with "/step"; "5/step" runs to the field's end.
template <size_t N>
bool parseItem(const Field& field, const std::string& text, std::bitset<N>& out) {
  std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() > 2) return false;
  int step = 1;
  if (parts.size() == 2 && (parts[1].empty() || parts[1].size() > 4 ||
                            parts[1].find_first_not_of("0123456789") != std::string::npos ||
                            !absl::SimpleAtoi(parts[1], &step) || step < 1)) {
    return false;
  }
  int first = field.least, last = field.most;
  if (parts[0] != "*") {
    std::vector<std::string> ends = absl::StrSplit(parts[0], '-');
    if (ends.size() > 2 || !parseNumber(field, ends[0], first)) return false;
    if (ends.size() == 2) {
      if (!parseNumber(field, ends[1], last)) return false;
      if (&field == &WEEKDAY && last == 0 && first > 0) last = 7;  // fri-sun
    } else if (parts.size() == 1) {
      last = first;
    }
    if (first > last) return false;
  }
  for (int value = first; value <= last; value += step) out.set(size_t(value));
  return true;
}

template <size_t N>
absl::Status parseField(const Field& field, const std::string& text, std::bitset<N>& out) {
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    if (!parseItem(field, std::string(item), out)) return mistake(field, text);
  }
  return absl::OkStatus();
}

// Words that stand for whole expressions.
struct Word {
  const char* word;
  const char* expression;
};
constexpr Word WORDS[] = {{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
                          {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
                          {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
                          {"@annually", "0 0 1 1 *"}};

}  // namespace

absl::StatusOr<Schedule> Schedule::parse(const std::string& text) {
  auto expression = std::string(absl::StripAsciiWhitespace(text));
  if (expression.starts_with('@')) {
    Names words;
    for (auto& [word, meaning] : WORDS) {
      if (absl::AsciiStrToLower(expression) == word) return parse(meaning);
      words.push_back(word);
    }
    return absl::InvalidArgumentError(absl::StrCat("'", escapeForTerminal(expression),
                                                   "' is not one of the words ",
                                                   absl::StrJoin(words, ", ")));
  }
  std::vector<std::string> fields =
      absl::StrSplit(expression, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  if (fields.size() != 5) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", fields.size(), fields.size() == 1 ? " field" : " fields",
                     ", but a cron expression has five: minute, hour, day of the month, month, day "
                     "of the week ('*/15 * * * *'). It can also be one word (@hourly)"));
  }
  Schedule schedule;
  auto status = parseField(MINUTE, fields[0], schedule.minutes_);
  status.Update(parseField(HOUR, fields[1], schedule.hours_));
  status.Update(parseField(DAY, fields[2], schedule.days_));
  status.Update(parseField(MONTH, fields[3], schedule.months_));
  status.Update(parseField(WEEKDAY, fields[4], schedule.weekdays_));
  if (!status.ok()) return status;
  if (schedule.weekdays_[7]) schedule.weekdays_.set(0);
  schedule.eitherDay_ = fields[2][0] != '*' && fields[4][0] != '*';
  if (!schedule.lastFitting(absl::CivilMinute(2026, 1, 1))) {
    return absl::InvalidArgumentError("that day does not exist in any year");
  }
  return schedule;
}

bool Schedule::dayFits(absl::CivilDay day) const {
  if (!months_[size_t(day.month())]) return false;
  // absl counts from Monday, cron from Sunday.
  auto weekday = size_t((int(absl::GetWeekday(day)) + 1) % 7);
  bool date = days_[size_t(day.day())], week = weekdays_[weekday];
  return eitherDay_ ? date || week : date && week;
}

std::optional<absl::CivilMinute> Schedule::lastFitting(absl::CivilMinute now) const {
  // A given day of the week falls on 29 February every 28 years, or after 40 around 2100.
  constexpr int DAYS = 41 * 366;
  absl::CivilDay today(now);
  for (auto day = today; today - day < DAYS; --day) {
    if (!dayFits(day)) continue;
    for (int hour = 23; hour >= 0; --hour) {
      if (!hours_[size_t(hour)]) continue;
      for (int minute = 59; minute >= 0; --minute) {
        absl::CivilMinute moment(day.year(), day.month(), day.day(), hour, minute);
        if (minutes_[size_t(minute)] && moment <= now) return moment;
      }
    }
  }
  return std::nullopt;
}

absl::Time Schedule::lastDue(absl::Time now, absl::TimeZone zone) const {
  auto fitting = lastFitting(absl::ToCivilMinute(now, zone));
  if (!fitting) return absl::InfinitePast();  // parse() made sure that one exists
  auto times = zone.At(*fitting);
  if (times.kind == absl::TimeZone::TimeInfo::SKIPPED) return times.trans;
  // When clocks go back, an hour occurs twice, and both occurrences count.
  return times.post <= now ? times.post : times.pre;
}

bool Schedule::due(std::optional<absl::Time> lastRun, absl::Time now, absl::TimeZone zone) const {
  if (!lastRun || *lastRun > now) return true;
  return lastDue(now, zone) > *lastRun;
}

}  // namespace pibrain
