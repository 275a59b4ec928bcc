#pragma once

#include <functional>
#include <string>

namespace pibrain {

struct DaemonOptions {
  std::string config;                           // the file, an absolute path
  std::function<void(const std::string&)> log;  // receives whole lines; called by any thread
};

// Keeps the mirrors of all spokes in the config up to date, and answers the commands, until it is
// told to stop by a command, SIGINT or SIGTERM. Throws Failure if it cannot begin. Must be called
// before there are other threads.
void runDaemon(const DaemonOptions& options);

}  // namespace pibrain
