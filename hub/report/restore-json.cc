#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/report/documents.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

using Out = report::ArchiveRestore::File::Builder;

void fill(const ArchivedFile& file, const char* outcome, Out out) {
  out.setId(file.id.c_str());
  out.setSpoke(toUtf8(file.spoke).c_str());
  out.setSpokeBytes(exactPath(file.spoke).c_str());
  out.setPath(toUtf8(file.path).c_str());
  out.setPathBytes(exactPath(file.path).c_str());
  out.setOutcome(outcome);
}

}  // namespace

std::string restoreJson(const RestoreChoice& choice, const std::vector<RestoredFile>& restored,
                        bool ok, bool dryRun) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::ArchiveRestore>();
  out.setOk(ok);
  out.setDryRun(dryRun);
  auto files = out.initFiles(uint32_t(restored.size() + choice.older.size()));
  uint32_t i = 0;
  for (auto& one : restored) {
    fill(one.file, one.failure ? "failed" : "restored", files[i]);
    files[i].setTo(toUtf8(one.path).c_str());
    files[i].setToBytes(exactPath(one.path).c_str());
    fill(one.failure, files[i].initFailure());
    ++i;
  }
  for (auto& file : choice.older) {
    fill(file, "older", files[i]);
    fill(std::nullopt, files[i].initFailure());
    ++i;
  }
  auto failures = out.initFailures(uint32_t(choice.failures.size()));
  for (uint32_t k = 0; k < failures.size(); ++k) fill(choice.failures[k], failures[k]);
  return toJson(out.asReader());
}

}  // namespace pibrain
