#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/report/documents.h"
#include "hub/report/json.h"

namespace pibrain {

std::string refusalJson(const Failure& failure) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::Refusal>();
  out.setError(toUtf8(failure.what()).c_str());
  fill(failure, out.initFailure());
  return toJson(out.asReader());
}

}  // namespace pibrain
