#include "common/text/environment.h"

#include <stdlib.h>

namespace pibrain {

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace pibrain
