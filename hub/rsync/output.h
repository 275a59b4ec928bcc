#pragma once
// Parses rsync's output: a line for each change by OUT_FORMAT, progress (--info=progress2), and
// finally --stats.

#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

class RsyncOutput {
 public:
  // For --out-format: how the item changed (rsync(1), --itemize-changes), its size and path.
  static constexpr char OUT_FORMAT[] = "%i %l %n";

  enum class Kind { NEW, CHANGED, TOUCHED, DELETED };
  struct Item {
    Kind kind;
    std::string path;     // relative to the source, any bytes
    uint64_t size;        // on the spoke; 0: deleted
    bool unlike = false;  // CHANGED: size or time differ
  };

  // Parses one line without its end, which is \n, or \r after progress. Ignores lines that concern
  // neither the content of regular files nor the numbers below.
  void line(std::string_view text);

  const std::vector<Item>& items() const { return items_; }
  // Returns directories that are new or have another time: their entries were added, removed or
  // renamed. The source itself is "".
  const std::vector<std::string>& directories() const { return directories_; }
  uint32_t files = 0;         // regular files on the spoke
  uint64_t bytes = 0;         // their size
  uint64_t bytesLiteral = 0;  // content that was sent literally
  uint64_t bytesSent = 0;     // in rsync's protocol, without SSH
  uint64_t bytesReceived = 0;
  uint32_t skipped = 0;  // symlinks and special files
  bool ended = false;    // the statistics came, so rsync did its work

  // The progress in checking entries, most of which may be unchanged.
  uint32_t entries = 0, entriesDone = 0;  // 0 of 0 until the list is complete
  uint64_t bytesDone = 0;                 // of changed files, as on the spoke

 private:
  bool item(std::string_view text);
  bool directory(std::string_view text);
  bool progress(std::string_view text);

  std::vector<Item> items_;
  std::vector<std::string> directories_;
  uint64_t lastTransfer_ = 0;  // the number of the file in the last progress line
};

// Decodes a name that rsync printed, in which "\#012" stands for a byte.
std::string unescapeRsync(std::string_view text);

}  // namespace pibrain
