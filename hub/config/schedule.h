#pragma once
// A cron expression, as in crontab(5), that says when a spoke is due.

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <bitset>
#include <optional>
#include <string>

namespace pibrain {

// The schedule of a spoke that has none: as often as a timer starts runs by default.
constexpr char USUAL_SCHEDULE[] = "*/15 * * * *";

// Minute, hour, day of the month, month and day of the week (0 or 7: Sunday), separated by blanks.
// A field is "*" or a list of numbers, ranges and steps ("5", "1-5", "*/15", "0-30/10"); months and
// days of the week can be given by their first three letters. As in crontab(5), if neither day
// field begins with "*", a day that fits either is due. Alternatively one word: @hourly, @daily,
// @midnight, @weekly, @monthly, @yearly, @annually.
class Schedule {
 public:
  // An error names the wrong field and says what it accepts.
  static absl::StatusOr<Schedule> parse(const std::string& text);

  // Returns the last due time at or before `now`, to the minute, in that zone's local time. A time
  // that a clock change skipped counts as the moment of the change.
  absl::Time lastDue(absl::Time now, absl::TimeZone zone) const;

  // Returns whether it came due after `lastRun` (nullopt: never run) and by `now`. A run in the
  // future does not count, because the clock was wrong then.
  bool due(std::optional<absl::Time> lastRun, absl::Time now, absl::TimeZone zone) const;

  bool operator==(const Schedule&) const = default;

 private:
  Schedule() = default;
  bool dayFits(absl::CivilDay day) const;
  // Returns the last due minute at or before `now`; nullopt if a whole cycle of the calendar has
  // none.
  std::optional<absl::CivilMinute> lastFitting(absl::CivilMinute now) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<8> weekdays_;  // from Sunday, 0
  bool eitherDay_ = false;   // a day fits if its date or its day of the week does
};

}  // namespace pibrain
