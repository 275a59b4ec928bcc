#include "hub/agent/session-start.h"

#include <absl/time/civil_time.h>

namespace pibrain {

int64_t sessionStart(std::string_view name, int64_t otherwise) {
  // A 0 stands for a digit; milliseconds are not needed. This runs for every new file, so sscanf
  // and timegm would show up in a first run's profile.
  constexpr std::string_view FORMAT = "0000-00-00T00-00-00-000Z";
  if (name.size() < FORMAT.size()) return otherwise;
  for (size_t i = 0; i < FORMAT.size(); ++i) {
    bool fits = FORMAT[i] == '0' ? name[i] >= '0' && name[i] <= '9' : name[i] == FORMAT[i];
    if (!fits) return otherwise;
  }
  auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (char digit : name.substr(at, digits)) value = 10 * value + (digit - '0');
    return value;
  };
  absl::CivilSecond start(number(0, 4), number(5, 2), number(8, 2), number(11, 2), number(14, 2),
                          number(17, 2));
  return start - absl::CivilSecond();  // the default value is the epoch
}

}  // namespace pibrain
