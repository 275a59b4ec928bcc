#include "hub/config/spelling.h"

#include <algorithm>
#include <vector>

namespace pibrain {

size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool isLike(std::string word, std::string meant) {
  if (editDistance(word, meant) <= std::max<size_t>(1, meant.size() / 4)) return true;
  // Sorted, so that two swapped letters count as one mistake.
  std::sort(word.begin(), word.end());
  std::sort(meant.begin(), meant.end());
  return word == meant;
}

}  // namespace pibrain
