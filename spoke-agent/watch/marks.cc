#include "spoke-agent/watch/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/wire/digest.h"

namespace pibrain {

namespace {

constexpr uint64_t EVENTS = FAN_CREATE | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_MOVED_FROM |
                            FAN_MOVED_TO | FAN_DELETE | FAN_DELETE_SELF | FAN_MOVE_SELF |
                            FAN_ONDIR | FAN_EVENT_ON_CHILD;
constexpr uint64_t VANISHED = FAN_MOVED_FROM | FAN_DELETE | FAN_DELETE_SELF | FAN_MOVE_SELF;

// The kernel merges events of one name, so a mask may have several; the gravest counts.
Marks::Sink::Change changeOf(uint64_t mask) {
  using Change = Marks::Sink::Change;
  if ((mask & VANISHED) != 0) return Change::GONE;
  return (mask & FAN_MOVED_TO) != 0 ? Change::MOVED_IN : Change::WRITTEN;
}

// Linux 6.5: a handle that only identifies, which filesystems have that export none.
#ifndef AT_HANDLE_FID
constexpr int AT_HANDLE_FID = 0x200;
#endif

// Changes that another machine makes, or that bypass the kernel's names, are not reported here
// (magic numbers: statfs(2), linux/magic.h).
constexpr uint32_t SILENT_FILESYSTEMS[] = {
    0x6969,      // NFS
    0xFE534D42,  // SMB 2 and later
    0xFF534D42,  // CIFS
    0x65735546,  // FUSE
    0x01021997,  // 9p
    0x00C36400,  // Ceph
    0x5346414F,  // AFS
};

// A file handle with room for any filesystem's (MAX_HANDLE_SZ).
struct Handle {
  struct file_handle head;
  unsigned char bytes[MAX_HANDLE_SZ];
};

uint64_t keyOf(const void* fsid, int type, const unsigned char* handle, size_t length) {
  std::array<unsigned char, 12 + MAX_HANDLE_SZ> key;
  length = std::min(length, size_t(MAX_HANDLE_SZ));
  memcpy(key.data(), fsid, 8);
  memcpy(key.data() + 8, &type, 4);
  memcpy(key.data() + 12, handle, length);
  return digestOf(kj::arrayPtr(key.data(), 12 + length)).low;
}

// Sets `key` to what events call this directory. Returns 0, or an errno.
int identify(int directory, const struct statfs& fs, uint64_t& key) {
  for (int flags : {AT_EMPTY_PATH | AT_HANDLE_FID, AT_EMPTY_PATH}) {
    Handle handle = {};
    handle.head.handle_bytes = MAX_HANDLE_SZ;
    int mount;
    if (name_to_handle_at(directory, "", &handle.head, &mount, flags) == 0) {
      key = keyOf(&fs.f_fsid, handle.head.handle_type, handle.head.f_handle,
                  handle.head.handle_bytes);
      return 0;
    }
  }
  return errno;
}

// Not by fanotify_mark(3): the sandbox compares whole registers.
int changeMark(int group, unsigned flags, int directory) {
  return int(syscall(SYS_fanotify_mark, long(group), long(flags | FAN_MARK_ONLYDIR), EVENTS,
                     long(directory), nullptr));
}

}  // namespace

kj::AutoCloseFd Marks::openGroup() {
  return kj::AutoCloseFd(
      fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY));
}

Marks::Refusal Marks::mark(int directory) {
  if (changeMark(group_, FAN_MARK_ADD, directory) == 0) return Refusal::NONE;
  switch (errno) {
    case ENOSPC:
    case ENOMEM:
      return Refusal::LIMIT;
    case EPERM:
    case ENOSYS:
    case EBADF:
      return Refusal::KERNEL;
    default:
      return Refusal::FILESYSTEM;
  }
}

void Marks::enter(int directory, const std::string& path) {
  std::lock_guard lock(mutex_);
  auto refuse = [&](Refusal why) {
    ++pass_.refused;
    if (pass_.why == Refusal::NONE) pass_.why = why;
    if (paths_.erase(path) == 0) return;
    std::erase_if(marked_, [&](auto& one) { return one.second.path == path; });
    if (group_.get() >= 0) changeMark(group_, FAN_MARK_REMOVE, directory);
  };
  if (group_.get() < 0) return refuse(Refusal::KERNEL);
  struct statfs fs;
  uint64_t key = 0;
  if (fstatfs(directory, &fs) != 0) return refuse(Refusal::FILESYSTEM);
  auto* silent =
      std::find(std::begin(SILENT_FILESYSTEMS), std::end(SILENT_FILESYSTEMS), uint32_t(fs.f_type));
  if (silent != std::end(SILENT_FILESYSTEMS)) return refuse(Refusal::FILESYSTEM);
  if (!preferred_.empty() && !preferred_.contains(path)) return refuse(Refusal::BUDGET);
  if (identify(directory, fs, key) != 0) return refuse(Refusal::FILESYSTEM);
  auto known = marked_.find(key);
  if (known == marked_.end() && marked_.size() >= budget_) return refuse(Refusal::BUDGET);
  // A directory that has a mark gets it again: it may be another one with the same handle.
  auto refused = mark(directory);
  if (refused == Refusal::LIMIT) {
    // Leaves some for others.
    budget_ = std::min(budget_, marked_.size() - marked_.size() / 20);
  }
  if (refused != Refusal::NONE) return refuse(refused);
  ++pass_.marked;
  if (known != marked_.end() && known->second.path != path) paths_.erase(known->second.path);
  paths_.insert(path);
  marked_[key] = {path, passes_};
}

void Marks::beginPass() {
  std::lock_guard lock(mutex_);
  pass_ = {};
  ++passes_;
}

Marks::Pass Marks::endPass() {
  std::lock_guard lock(mutex_);
  std::erase_if(marked_, [&](auto& one) {
    if (one.second.pass == passes_) return false;
    paths_.erase(one.second.path);
    return true;
  });
  return pass_;
}

Marks::Pass Marks::pass() const {
  std::lock_guard lock(mutex_);
  return pass_;
}

bool Marks::isMarked(const std::string& path) const {
  std::lock_guard lock(mutex_);
  return paths_.contains(path);
}

void Marks::drain(Sink& sink) {
  alignas(struct fanotify_event_metadata) char buffer[16 * 1024];
  for (;;) {
    ssize_t n = read(group_, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) sink.missed();
    if (n <= 0) return;
    for (size_t at = 0; at + sizeof(struct fanotify_event_metadata) <= size_t(n);) {
      struct fanotify_event_metadata event;
      memcpy(&event, buffer + at, sizeof(event));
      size_t length = event.event_len;
      if (length < sizeof(event) || length > size_t(n) - at) return sink.missed();
      take(buffer + at, length, sink);
      at += length;
    }
  }
}

void Marks::take(const char* event, size_t length, Sink& sink) {
  struct fanotify_event_metadata metadata;
  memcpy(&metadata, event, sizeof(metadata));
  if ((metadata.mask & FAN_Q_OVERFLOW) != 0) return sink.missed();
  struct fanotify_event_info_fid info;
  struct file_handle handle;
  constexpr size_t FIXED = sizeof(metadata) + sizeof(info) + sizeof(handle);
  if (length < FIXED) return sink.missed();
  memcpy(&info, event + sizeof(metadata), sizeof(info));
  memcpy(&handle, event + sizeof(metadata) + sizeof(info), sizeof(handle));
  if (handle.handle_bytes > length - FIXED) return sink.missed();
  auto* bytes = reinterpret_cast<const unsigned char*>(event) + FIXED;
  auto* name = event + FIXED + handle.handle_bytes;
  size_t longest = length - FIXED - handle.handle_bytes;
  std::string directory;
  {
    std::lock_guard lock(mutex_);
    auto found = marked_.find(keyOf(&info.fsid, handle.handle_type, bytes, handle.handle_bytes));
    if (found == marked_.end()) return;  // it vanished, which its parent tells
    directory = found->second.path;
  }
  bool named = info.hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME;
  sink.changed(directory, named ? std::string_view(name, strnlen(name, longest)) : "",
               changeOf(metadata.mask), (metadata.mask & FAN_ONDIR) != 0);
}

}  // namespace pibrain
