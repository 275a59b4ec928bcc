#pragma once

namespace pibrain {

// Initialises libraries. Must be called once, before threads start.
void initLibraries();

}  // namespace pibrain
