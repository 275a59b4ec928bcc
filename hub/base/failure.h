#pragma once

#include <kj/exception.h>
#include <string.h>

#include <stdexcept>
#include <string>

namespace pibrain {

// What a person is to read (P8): a paragraph that says what failed, the likely cause and the
// command that fixes it. Thrown anywhere in the hub, and caught where a spoke or a command ends.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The description of an exception, without the condition that KJ_REQUIRE puts in front.
inline std::string messageOf(const kj::Exception& e) {
  std::string text = e.getDescription().cStr();
  auto end = text.find("; ");
  return text.starts_with("expected ") && end != std::string::npos ? text.substr(end + 2) : text;
}

// Whether it is what the peer threw: type and text are the peer's choice. (rpc.c++, toException().)
inline bool isRemoteException(const kj::Exception& e) {
  return strcmp(e.getFile(), "(remote)") == 0;
}

// What a person does about that, a sentence without its end. `path`: on the disk, as a terminal may
// show it.
inline std::string howToMakeRoom(const std::string& path) {
  return "Make room on the hub's disk: 'df -h " + path + "' and 'df -i " + path +
         "' show how much is left";
}

// What an error of this machine's takes at the most, in bytes: two paths and what is wrong with
// them.
inline constexpr size_t MAX_OWN_TEXT = 1000;

}  // namespace pibrain
