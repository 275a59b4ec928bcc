#pragma once

namespace pibrain {

// What libraries want done once, to be called before there are threads.
void initLibraries();

}  // namespace pibrain
