#pragma once
// What the kernel tells about directories, by fanotify(7) as a user without privileges: marks of
// held descriptors, and events with a directory's file handle and a name. inotify(7) would do too,
// but Landlock does not confine it: a taken-over agent could watch any directory of its user.

#include <kj/io.h>
#include <stdint.h>

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace pibrain {

class Marks {
 public:
  // Why a directory has no mark.
  enum class Refusal {
    NONE,
    KERNEL,      // it has no such events for users without privileges (Linux before 5.13)
    FILESYSTEM,  // it does not report all changes, as a network's, or cannot name its directories
    LIMIT,       // the user has no marks left (fs.fanotify.max_user_marks)
    BUDGET,      // MAX_MARKS
  };
  // Each mark keeps a directory's inode in the kernel's memory, about 1.2 KB.
  static constexpr size_t MAX_MARKS = 8192;

  // Returns a group for events; null if the kernel has none. Called before the sandbox forbids it.
  static kj::AutoCloseFd openGroup();

  explicit Marks(kj::AutoCloseFd group) : group_(kj::mv(group)) {}
  KJ_DISALLOW_COPY(Marks);

  // The group's descriptor, which is readable when there are events; -1: there is none.
  int fd() const { return group_; }

  // Marks a directory that is open as `directory`; `path` names it in events from now on. A mark
  // must come before the directory is read, or what changes in between is missed. Any thread.
  void enter(int directory, const std::string& path);

  // What enter() did since beginPass(): how many directories have marks, how many do not, and the
  // first reason. endPass() forgets directories that were not entered again.
  struct Pass {
    uint32_t marked = 0, refused = 0;
    Refusal why = Refusal::NONE;
  };
  void beginPass();
  Pass endPass();
  // What enter() did since beginPass(), also after endPass().
  Pass pass() const;

  // For more than MAX_MARKS directories: only these paths get marks. Empty: all, as they come.
  void prefer(std::unordered_set<std::string> paths) { preferred_ = std::move(paths); }
  // Returns how many marks there can be.
  size_t budget() const { return budget_; }

  bool isMarked(const std::string& path) const;

  // Receives events, in their order as far as the kernel did not merge them.
  class Sink {
   public:
    virtual ~Sink() = default;
    enum class Change {
      WRITTEN,   // it was created, or written to
      MOVED_IN,  // it got this name, perhaps in place of another
      GONE,      // it vanished
    };
    // `name`: of the file or directory in `directory`; empty: `directory` itself.
    virtual void changed(const std::string& directory, std::string_view name, Change change,
                         bool isDirectory) = 0;
    // Events were lost, or cannot be read.
    virtual void missed() = 0;
  };
  void drain(Sink& sink);

 private:
  Refusal mark(int directory);
  void take(const char* event, size_t length, Sink& sink);

  const kj::AutoCloseFd group_;
  std::unordered_set<std::string> preferred_;
  size_t budget_ = MAX_MARKS;

  mutable std::mutex mutex_;  // guards the members below
  struct Marked {
    std::string path;
    uint32_t pass;
  };
  std::unordered_map<uint64_t, Marked> marked_;  // by the hash of filesystem id and file handle
  std::unordered_set<std::string> paths_;        // those of marked_
  uint32_t passes_ = 0;
  Pass pass_;
};

}  // namespace pibrain
