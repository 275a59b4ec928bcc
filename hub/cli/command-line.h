#pragma once

namespace pibrain {

// Parses the arguments, runs the command that they name, and returns the exit code.
int runCommandLine(int argc, char** argv);

}  // namespace pibrain
