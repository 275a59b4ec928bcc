#include "hub/files.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"

namespace pibrain {

absl::Status makeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    auto part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::UnavailableError(absl::StrCat("cannot create the directory ",
                                                 escapeForTerminal(part), ": ", strerror(errno)));
    }
    if (end == std::string::npos) break;
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return absl::UnavailableError(escapeForTerminal(path) + " is not a directory");
  }
  return absl::OkStatus();
}

}  // namespace pibrain
