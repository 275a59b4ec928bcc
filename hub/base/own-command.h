#pragma once

#include <string>

namespace pibrain {

// A command of this program for a person to run, "pi-brain sync run --spoke laptop": with -c if
// this process uses another config than the default one. `arguments`: quoted for a shell, and safe
// to print.
std::string ownCommand(const std::string& arguments);

// Which config this process was told to use; empty: the default. To be called before there are
// threads.
void setConfigInUse(const std::string& path);

}  // namespace pibrain
