#include "hub/config/schedule.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

absl::TimeZone zoneOf(const char* name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

// Both times as "2026-01-31 12:00"; seconds may follow.
std::string lastDue(const std::string& expression, const std::string& now,
                    const char* zoneName = "UTC") {
  auto zone = zoneOf(zoneName);
  auto schedule = Schedule::parse(expression);
  if (!schedule.ok()) return std::string(schedule.status().message());
  absl::CivilSecond second;
  EXPECT_TRUE(absl::ParseLenientCivilTime(now, &second)) << now;
  auto due = schedule->lastDue(absl::FromCivil(second, zone), zone);
  return absl::FormatTime("%Y-%m-%dT%H:%M", due, zone);
}

std::string errorOf(const std::string& expression) {
  auto schedule = Schedule::parse(expression);
  return schedule.ok() ? "" : std::string(schedule.status().message());
}

TEST(Schedule, fields) {
  // A Wednesday.
  const char* NOW = "2026-11-25T12:34:56";
  EXPECT_EQ(lastDue("* * * * *", NOW), "2026-11-25T12:34");
  EXPECT_EQ(lastDue("*/15 * * * *", NOW), "2026-11-25T12:30");
  EXPECT_EQ(lastDue("34 12 * * *", NOW), "2026-11-25T12:34");
  EXPECT_EQ(lastDue("35 12 * * *", NOW), "2026-11-24T12:35");
  EXPECT_EQ(lastDue("5-40/10 8,20 * * *", NOW), "2026-11-25T08:35");
  EXPECT_EQ(lastDue("50/5 * * * *", NOW), "2026-11-25T11:55") << "from 50 to the end";
  EXPECT_EQ(lastDue("0 0 1 * *", NOW), "2026-11-01T00:00");
  EXPECT_EQ(lastDue("0 0 31 * *", NOW), "2026-10-31T00:00");
  EXPECT_EQ(lastDue("0 9 * FEB-apr *", NOW), "2026-04-30T09:00");
  EXPECT_EQ(lastDue("0 0 29 2 *", NOW), "2024-02-29T00:00");
  EXPECT_EQ(lastDue(" 0\t0 * * * ", NOW), "2026-11-25T00:00");
}

TEST(Schedule, daysOfTheWeek) {
  const char* NOW = "2026-11-25T12:34";
  EXPECT_EQ(lastDue("0 9 * * mon", NOW), "2026-11-23T09:00");
  EXPECT_EQ(lastDue("0 9 * * 1-5", NOW), "2026-11-25T09:00");
  for (auto sunday : {"0", "7", "Sun"}) {
    EXPECT_EQ(lastDue(std::string("0 9 * * ") + sunday, NOW), "2026-11-22T09:00") << sunday;
  }
  EXPECT_EQ(lastDue("0 9 * * sat-sun", NOW), "2026-11-22T09:00");
  EXPECT_EQ(lastDue("0 9 * * fri-0", NOW), "2026-11-22T09:00");
  EXPECT_EQ(lastDue("0 9 * * sun-sun", NOW), "2026-11-22T09:00");
  EXPECT_EQ(lastDue("0 9 * * 0-0", NOW), "2026-11-22T09:00");
  // crontab(5): either of the two days, unless one of them begins with "*".
  EXPECT_EQ(lastDue("0 9 24 * mon", NOW), "2026-11-24T09:00");
  EXPECT_EQ(lastDue("0 9 20 * mon", NOW), "2026-11-23T09:00");
  EXPECT_EQ(lastDue("0 9 */2 * mon", NOW), "2026-11-23T09:00") << "the 23rd is a Monday, and odd";
}

TEST(Schedule, words) {
  const char* NOW = "2026-11-25T12:34";
  EXPECT_EQ(lastDue("@hourly", NOW), "2026-11-25T12:00");
  EXPECT_EQ(lastDue("@daily", NOW), "2026-11-25T00:00");
  EXPECT_EQ(lastDue("@midnight", NOW), "2026-11-25T00:00");
  EXPECT_EQ(lastDue("@Weekly", NOW), "2026-11-22T00:00");
  EXPECT_EQ(lastDue("@monthly", NOW), "2026-11-01T00:00");
  EXPECT_EQ(lastDue("@yearly", NOW), "2026-01-01T00:00");
  EXPECT_EQ(lastDue("@annually", NOW), "2026-01-01T00:00");
}

TEST(Schedule, changesOfTheClock) {
  // Berlin skips 02:00–03:00 on 29 March 2026, and repeats it on 25 October.
  EXPECT_EQ(lastDue("30 2 * * *", "2026-03-29T03:00", "Europe/Berlin"), "2026-03-29T03:00");
  EXPECT_EQ(lastDue("30 2 * * *", "2026-03-29T12:00", "Europe/Berlin"), "2026-03-29T03:00");
  EXPECT_EQ(lastDue("30 2 * * *", "2026-03-29T01:59", "Europe/Berlin"), "2026-03-28T02:30");
  auto berlin = zoneOf("Europe/Berlin");
  auto quarterly = *Schedule::parse("*/15 * * * *");
  auto firstHalfPastTwo = absl::FromCivil(absl::CivilMinute(2026, 10, 25, 2, 30), berlin);
  for (auto now = firstHalfPastTwo; now < firstHalfPastTwo + absl::Hours(3);
       now += absl::Minutes(15)) {
    EXPECT_EQ(quarterly.lastDue(now + absl::Minutes(3), berlin), now);
  }
}

TEST(Schedule, dueSinceTheLastRun) {
  auto utc = absl::UTCTimeZone();
  auto at = [&](int hour, int minute) {
    return absl::FromCivil(absl::CivilMinute(2026, 11, 25, hour, minute), utc);
  };
  auto hourly = *Schedule::parse("@hourly");
  EXPECT_TRUE(hourly.due(std::nullopt, at(12, 34), utc)) << "it never ran";
  EXPECT_TRUE(hourly.due(at(11, 59), at(12, 0), utc));
  EXPECT_FALSE(hourly.due(at(12, 0), at(12, 0), utc));
  EXPECT_FALSE(hourly.due(at(12, 0), at(12, 59), utc));
  EXPECT_TRUE(hourly.due(at(12, 0), at(13, 0), utc));
  EXPECT_TRUE(hourly.due(at(14, 0), at(12, 30), utc)) << "by a clock that was ahead";
}

TEST(Schedule, mistakesAreReported) {
  for (auto [expression, words] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "it has 0 fields"},
           {"* * * *", "it has 4 fields"},
           {"* * * * * *", "it has 6 fields"},
           {"15", "it has 1 field,"},
           {"60 * * * *", "'60' is not a valid minute. Use '*', a number from 0 to 59"},
           {"-1 * * * *", "'-1' is not a valid minute"},
           {"*/0 * * * *", "'*/0' is not a valid minute"},
           {"*/ * * * *", "'*/' is not a valid minute"},
           {"1/2/3 * * * *", "is not a valid minute"},
           {"1,,2 * * * *", "is not a valid minute"},
           {"5-1 * * * *", "'5-1' is not a valid minute"},
           {"0x5 * * * *", "is not a valid minute"},
           {"+5 * * * *", "is not a valid minute"},
           {"99999999999 * * * *", "is not a valid minute"},
           {"* 24 * * *", "'24' is not a valid hour. Use '*', a number from 0 to 23"},
           {"* * 0 * *", "'0' is not a valid day of the month"},
           {"* * 32 * *", "'32' is not a valid day of the month"},
           {"* * * 13 *", "'13' is not a valid month"},
           {"* * * januar *",
            "'januar' is not a valid month. Use '*', a number from 1 to 12 "
            "(or a name: jan, feb, …)"},
           {"* * * * 8", "'8' is not a valid day of the week"},
           {"* jan * * *", "'jan' is not a valid hour"},
           {"0 0 30 2 *", "that day does not exist in any year"},
           {"0 0 31 4,6,9,11 *", "that day does not exist in any year"},
           {"@reboot", "'@reboot' is not one of the words @hourly, @daily"},
       }) {
    EXPECT_NE(errorOf(expression).find(words), std::string::npos)
        << expression << ": " << errorOf(expression);
  }
}

}  // namespace
}  // namespace pibrain
