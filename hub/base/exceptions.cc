#include "hub/base/exceptions.h"

#include <string.h>

namespace pibrain {

bool isFailedRequirement(const kj::Exception& e) {
  return e.getDescription().startsWith("expected ");
}

std::string messageOf(const kj::Exception& e) {
  std::string text = e.getDescription().cStr();
  auto end = text.find("; ");
  return isFailedRequirement(e) && end != std::string::npos ? text.substr(end + 2) : text;
}

bool isRemoteException(const kj::Exception& e) { return strcmp(e.getFile(), "(remote)") == 0; }

}  // namespace pibrain
