#pragma once
// What rsync prints: one line for each change, by OUT_FORMAT, and in the end what --stats says.

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
    std::string path;  // relative to the source, as bytes
    uint64_t size;     // on the spoke; 0: deleted
  };

  // One line without its end. What says nothing about a regular file's content or the numbers
  // below is passed over.
  void line(std::string_view text);

  const std::vector<Item>& items() const { return items_; }
  uint32_t files = 0;          // regular ones on the spoke
  uint64_t bytesLiteral = 0;   // content that came as such
  uint64_t bytesSent = 0;      // in rsync's own protocol, before SSH
  uint64_t bytesReceived = 0;
  uint32_t skipped = 0;  // symlinks and special files
  bool ended = false;    // the numbers came: rsync did what it was asked

 private:
  bool item(std::string_view text);

  std::vector<Item> items_;
};

// A name as rsync prints it ("\#012" stands for a byte that is no text), as it is.
std::string unescapeRsync(std::string_view text);

}  // namespace pibrain
