#pragma once
// A spoke gets another name: its mirror's directory, and its archive. All are called under the lock
// of the mirror, if there is one, and may be called again after they were broken off.

#include <string>

namespace pibrain {

// Lets `to`, a path beside `from`, lead to the mirror that is at `from`, until moveMirror() is
// called. Throws Failure if something else is there.
void announceMirror(const std::string& from, const std::string& to);
// Takes that back.
void withdrawMirror(const std::string& from, const std::string& to);
// The mirror is at `to` alone. Whenever this ends, `to` leads to it (where the filesystem can
// exchange two names). Throws Failure.
void moveMirror(const std::string& from, const std::string& to);

// Moves what is in the archive of the spoke `from` to that of `to`, where there may be something
// already, with the counts of how long it is there. Throws Failure.
void renameArchive(const std::string& archiveDir, const std::string& databaseDir,
                   const std::string& from, const std::string& to);

}  // namespace pibrain
