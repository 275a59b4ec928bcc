#pragma once
// Installs the systemd user unit of the daemon.

#include <string>

#include "hub/setup/systemd.h"

namespace pibrain {

// Both report to `say` what they did, one line each, and throw Failure. `config`: an absolute path;
// empty: the default.
void installDaemon(const std::string& config, const Say& say);
void uninstallDaemon(const Say& say);

// Returns whether the daemon's unit is installed.
bool daemonIsInstalled();

}  // namespace pibrain
