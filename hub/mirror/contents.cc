#include "hub/mirror/contents.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/tree/tree-walk.h"
#include "common/wire/protocol.h"
#include "hub/base/user-files.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

Contents mirrorContents(const std::string& path,
                        const std::function<void(const std::string&)>& warn) {
  Contents contents;
  int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return contents;
  if (fd < 0) {
    int error = errno;
    warn(absl::StrCat("the content of ", escapeForTerminal(path),
                      " is unknown: ", explainObstacle(nearestTo(path).path, error)));
    return contents;
  }
  kj::AutoCloseFd owned(fd);
  WalkOptions options;
  options.skip = Mirror::STAGING;
  auto tree = walkTree(fd, options);
  for (auto& problem : tree.problems) {
    auto whole = path + (problem.path.empty() ? "" : "/" + problem.path);
    if (problem.path == "lost+found" || problem.reason == proto::Reason::VANISHED) continue;
    warn(absl::StrCat(escapeForTerminal(whole),
                      " was skipped because it cannot be read. Check its owner and mode with "
                      "'ls -ld ",
                      escapeForTerminal(shellQuote(whole)), "'"));
  }
  contents.files = tree.files;
  contents.bytes = tree.bytes;
  for (auto& directory : tree.directories) {
    for (auto& file : directory.files) {
      if (directory.name(file).ends_with(SESSION_SUFFIX)) {
        contents.sessions.push_back({directory.pathOf(file), file.size, file.mtime});
      }
    }
  }
  std::sort(contents.sessions.begin(), contents.sessions.end(),
            [](auto& a, auto& b) { return a.path < b.path; });
  return contents;
}

}  // namespace pibrain
