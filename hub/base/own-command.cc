#include "hub/base/own-command.h"

#include <absl/strings/str_cat.h>

#include <filesystem>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"

namespace pibrain {

namespace {

std::string& configOption() {
  static std::string option;
  return option;
}

}  // namespace

std::string ownCommand(const std::string& arguments) {
  return absl::StrCat("pi-brain ", arguments, configOption());
}

void setConfigInUse(const std::string& path) {
  if (path.empty()) return configOption().clear();
  // The command may be pasted in another directory.
  std::error_code error;
  auto absolute = std::filesystem::absolute(path, error);
  configOption() =
      " -c " + escapeForTerminal(shellQuote(error ? path : absolute.lexically_normal().string()));
}

}  // namespace pibrain
