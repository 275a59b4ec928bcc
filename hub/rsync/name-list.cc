#include "hub/rsync/name-list.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "common/fs/io-error.h"

namespace pibrain {

NameList::NameList(const std::vector<std::string>& names) {
  std::error_code none;
  auto directory = std::filesystem::temp_directory_path(none);
  path_ = (none ? "/tmp" : directory.string()) + "/pi-brain-names-XXXXXX";
  kj::AutoCloseFd file(mkostemp(path_.data(), O_CLOEXEC));
  if (file.get() < 0) throwErrno(errno, "cannot create a temporary file");
  KJ_ON_SCOPE_FAILURE(unlink(path_.c_str()));
  std::string all;
  // With "./", so that rsync does not take a name that begins with # for a comment.
  for (auto& name : names) all.append("./").append(name).push_back('\0');
  kj::FdOutputStream(file.get()).write(all.data(), all.size());
}

NameList::~NameList() { unlink(path_.c_str()); }

}  // namespace pibrain
