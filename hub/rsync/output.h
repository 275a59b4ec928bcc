#pragma once
// What rsync prints: one line for each change, by OUT_FORMAT, how far it is (--info=progress2), and
// in the end what --stats says.

#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

class RsyncOutput {
 public:
  // For --out-format: how the item changed (rsync(1), --itemize-changes), its size, its path.
  static constexpr char OUT_FORMAT[] = "%i %l %n";

  enum class Kind { NEW, CHANGED, TOUCHED, DELETED };
  struct Item {
    Kind kind;
    std::string path;     // relative to the source, as bytes
    uint64_t size;        // on the spoke; 0: deleted
    bool unlike = false;  // CHANGED: size or time tell it
  };

  // One line without its end, which is \n, or \r after progress. What says nothing about a regular
  // file's content or the numbers below is passed over.
  void line(std::string_view text);

  const std::vector<Item>& items() const { return items_; }
  // Directories that are new, or have another time: what is in them came, went or was renamed. The
  // source itself is "".
  const std::vector<std::string>& directories() const { return directories_; }
  uint32_t files = 0;         // regular ones on the spoke
  uint64_t bytes = 0;         // in them
  uint64_t bytesLiteral = 0;  // content that came as such
  uint64_t bytesSent = 0;     // in rsync's own protocol, before SSH
  uint64_t bytesReceived = 0;
  uint32_t skipped = 0;  // symlinks and special files
  bool ended = false;    // the numbers came: rsync did what it was asked

  // How far it is. Of all entries that it looks at, most may be as they were.
  uint32_t entries = 0, entriesDone = 0;  // 0 of 0 while the list is not whole
  uint64_t bytesDone = 0;                 // of what changed, as it is on the spoke

 private:
  bool item(std::string_view text);
  bool directory(std::string_view text);
  bool progress(std::string_view text);

  std::vector<Item> items_;
  std::vector<std::string> directories_;
  uint64_t lastTransfer_ = 0;  // the number of the file of which progress was last said
};

// A name as rsync prints it ("\#012" stands for a byte that is no text), as it is.
std::string unescapeRsync(std::string_view text);

}  // namespace pibrain
