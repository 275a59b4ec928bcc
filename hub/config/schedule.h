#pragma once
// When a spoke is due: a cron expression as in crontab(5).

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <bitset>
#include <optional>
#include <string>

namespace pibrain {

// Of a spoke that has none: as often as documents say that a timer starts runs.
constexpr char USUAL_SCHEDULE[] = "*/15 * * * *";

// Minute, hour, day of the month, month and day of the week (0 or 7: Sunday), separated by blanks.
// A field is "*" or a list of numbers, ranges and steps ("5", "1-5", "*/15", "0-30/10"); months and
// days of the week may be named by their first three letters. As in crontab(5), if neither day
// field begins with "*", a day is meant that fits either. Or one word: @hourly, @daily, @midnight,
// @weekly, @monthly, @yearly, @annually.
class Schedule {
 public:
  // An error says which field is wrong and what it accepts.
  static absl::StatusOr<Schedule> parse(const std::string& text);

  // The last time that it was due, at or before `now`, to the minute, by the clock on the wall of
  // that zone. A time that a change of the clock skipped counts as the moment of the change.
  absl::Time lastDue(absl::Time now, absl::TimeZone zone) const;

  // Whether it came due after `lastRun` (none: there was no run) and by `now`. A run in the future
  // was by a clock that was wrong, and does not count.
  bool due(std::optional<absl::Time> lastRun, absl::Time now, absl::TimeZone zone) const;

  bool operator==(const Schedule&) const = default;

 private:
  Schedule() = default;
  bool dayFits(absl::CivilDay day) const;
  // The last due minute at or before `now`; nothing if there is none in a whole cycle of the
  // calendar.
  std::optional<absl::CivilMinute> lastFitting(absl::CivilMinute now) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<8> weekdays_;  // from Sunday, 0
  bool eitherDay_ = false;   // a day fits if its date or its day of the week does
};

}  // namespace pibrain
