#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/io.h>

#include <set>
#include <string>

namespace pibrain {

// Tells when a file may have changed, however editors do that: in place, or by renaming another
// file, and if it is a symlink.
class FileWatch {
 public:
  FileWatch(kj::AsyncIoContext& io, const std::string& path);

  // Resolves a moment after the file has changed. Never, if its directory cannot be watched.
  kj::Promise<void> next();

 private:
  // Watches the directory of the file, and that of what it links to.
  void watch();
  // Returns whether one of the events that have arrived is about the file.
  bool drain();

  kj::Timer& timer_;
  const std::string path_;
  std::set<std::string> names_;  // of the file, and of what it links to
  const kj::AutoCloseFd fd_;
  kj::Maybe<kj::Own<kj::UnixEventPort::FdObserver>> events_;
};

}  // namespace pibrain
