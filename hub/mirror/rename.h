#pragma once
// Gives a spoke's mirror and archive another name. All functions must be called under the lock of
// the mirror, if there is one, and may be called again after an interruption.

#include <string>

namespace pibrain {

// Makes `to`, a path beside `from`, lead to the mirror at `from` until moveMirror() is called.
// Throws Failure if something else is at `to`.
void announceMirror(const std::string& from, const std::string& to);
// Undoes announceMirror().
void withdrawMirror(const std::string& from, const std::string& to);
// Moves the mirror to `to`. Whenever this is interrupted, `to` leads to the mirror, if the
// filesystem can exchange two names. Throws Failure.
void moveMirror(const std::string& from, const std::string& to);

// Moves the archive of the spoke `from`, and the counts of how long it has kept its files, to that
// of `to`, which may have runs already. Throws Failure.
void renameArchive(const std::string& archiveDir, const std::string& databaseDir,
                   const std::string& from, const std::string& to);

}  // namespace pibrain
