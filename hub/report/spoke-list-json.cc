#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

std::string spokeListJson(const std::vector<SpokeRow>& rows) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<report::SpokeList>().initSpokes(uint32_t(rows.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    auto& row = rows[i];
    list[i].setName(row.spoke->name.c_str());
    list[i].setSyncMethod(toString(row.spoke->method));
    list[i].setSource(toUtf8(row.spoke->sourceText).c_str());
    list[i].setPath(toUtf8(row.spoke->path).c_str());
    list[i].setPathBytes(exactPath(row.spoke->path).c_str());
    list[i].setEnabled(row.spoke->enabled);
    list[i].setVersion(row.contact ? toUtf8(row.contact->version).c_str() : "");
    list[i].setSandbox(row.contact ? toUtf8(row.contact->sandbox).c_str() : "");
    list[i].setLastContact(row.contact ? formatTime(row.contact->at).c_str() : "");
    list[i].setKey(toUtf8(row.key).c_str());
    list[i].setKeyBytes(exactPath(row.key).c_str());
    list[i].setFingerprint(row.fingerprint.c_str());
    list[i].setKeyProblem(row.keyProblem ? toUtf8(*row.keyProblem).c_str() : "");
  }
  return toJson(message.getRoot<report::SpokeList>().asReader());
}

}  // namespace pibrain
