#pragma once
// The units of this user's systemd.

#include <absl/status/status.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure-kinds.h"

namespace pibrain {

using Say = std::function<void(const std::string&)>;

// Returns the directory of the user's own units.
std::string unitDirectory();

// Quotes a word of ExecStart= (systemd.service(5), COMMAND LINES). `program`: it is the first word.
std::string unitQuote(const std::string& word, bool program = false);

// Returns the path of this program; "pi-brain" if that is unknown.
std::string thisProgram();

// Writes a unit of this name. `mark`: what only units have that pi-brain wrote; any other unit is
// kept beside it.
absl::Status writeUnit(const std::string& name, const std::string& text, const std::string& mark,
                       const Say& say);
// Removes it. Returns whether it existed. Throws a Failure with this id.
bool removeUnit(const std::string& name, FailureId failure, const Say& say);

// Runs `systemctl --user`. Returns its error, if there is one.
std::optional<std::string> systemctl(const std::vector<std::string>& arguments);

bool unitIsInstalled(const std::string& name);

// Says so if the user's services end with the last logout.
void sayIfLogoutStopsIt(const Say& say);

}  // namespace pibrain
