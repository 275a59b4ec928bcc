#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

std::string archiveJson(const std::vector<ArchivedFile>& files,
                        const std::optional<Failure>& failure) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::ArchiveList>();
  out.setBytes(double(bytesOf(files)));
  if (failure) out.setError(toUtf8(failure->what()).c_str());
  fill(failure, out.initFailure());
  auto list = out.initFiles(uint32_t(files.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    list[i].setId(files[i].id.c_str());
    list[i].setSpoke(toUtf8(files[i].spoke).c_str());
    list[i].setSpokeBytes(exactPath(files[i].spoke).c_str());
    list[i].setPath(toUtf8(files[i].path).c_str());
    list[i].setPathBytes(exactPath(files[i].path).c_str());
    list[i].setArchived(formatTime(files[i].archived).c_str());
    list[i].setModified(formatTime(files[i].mtime).c_str());
    list[i].setSize(double(files[i].size));
    list[i].setReason(toString(files[i].reason));
    list[i].setRun(toUtf8(archiveRunOf(files[i].run)).c_str());
  }
  return toJson(out.asReader());
}

}  // namespace pibrain
