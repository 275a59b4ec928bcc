#pragma once

#include <string>

namespace pibrain {

// Returns a command of this program for a person to run, "pi-brain sync run --spoke laptop", with
// -c if this process does not use the default config. `arguments`: quoted for a shell, and safe to
// print.
std::string ownCommand(const std::string& arguments);

// Sets which config this process uses; empty: the default. Must be called before there are threads.
void setConfigInUse(const std::string& path);

}  // namespace pibrain
