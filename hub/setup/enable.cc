#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>

#include "common/text/escape.h"
#include "hub/setup/config-edit.h"
#include "hub/setup/setup.h"

namespace pibrain {

namespace {

class SpokeSwitch : public Setup {
 public:
  SpokeSwitch(const std::string& name, const ManageOptions& options)
      : Setup(name, options, nullptr) {}

  void set(const std::string& name, bool enabled) {
    auto edit = [&](const std::string& text) -> absl::StatusOr<std::string> {
      auto now = parseConfig(text, options_.configFile);
      if (!now.ok()) return now.status();
      auto* spoke = findSpoke(*now, name);
      // A spoke without the field is enabled.
      if (spoke != nullptr && spoke->enabled == enabled) return text;
      return withFields(text, name, {{"enabled", enabled ? "true" : "false"}});
    };
    auto text = configText();
    bool changes = editedOrThrow(edit(text)) != text;
    if (changes && !options_.dryRun) orThrow(editFile(options_.configFile, edit));
    change_.outcome = !changes ? "unchanged" : enabled ? "enabled" : "disabled";
  }
};

}  // namespace

SpokeChange setEnabled(const std::string& name, bool enabled, const ManageOptions& options) {
  SpokeSwitch change(name, options);
  return change.run([&]() { change.set(name, enabled); });
}

}  // namespace pibrain
