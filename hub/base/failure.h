#pragma once

#include <exception>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/base/failure-kinds.h"

namespace pibrain {

// One thing that a person can do about a failure.
struct Fix {
  std::string text;     // "Start sshd on the spoke": an imperative, without a full stop
  std::string command;  // to be pasted; empty: the text says it all

  auto operator<=>(const Fix&) const = default;
};

// What a person is to read of what failed (P8). Thrown anywhere in the hub; caught once, where a
// command or a spoke's part in it ends. All texts are safe to print.
class Failure : public std::exception {
 public:
  // `what`: what failed: a clause that begins in lower case, unless a name does, and has no full
  // stop: it stands behind "laptop: ". `cause`: why, as far as is known: whole sentences; may be
  // empty.
  Failure(FailureId id, std::string what, std::string cause = "", std::vector<Fix> fixes = {});
  // One that the history of an older version has, without an id: all of it in one text.
  explicit Failure(std::string paragraph);

  FailureId id() const { return id_; }
  std::string_view idName() const { return kindOf(id_).name; }
  const std::string& summary() const { return what_; }
  const std::string& cause() const { return cause_; }
  const std::vector<Fix>& fixes() const { return fixes_; }

  // The same failure, with something more to say.
  Failure& addCause(const std::string& sentences);
  Failure& addFix(Fix fix);

  // All of it in one line that ends with a full stop.
  const char* what() const noexcept override { return line_.c_str(); }

 private:
  void compose();

  FailureId id_;
  std::string what_, cause_;
  std::vector<Fix> fixes_;
  std::string line_;
};

// What is known of why single files failed: which failure that is, and what to do.
struct Remedy {
  FailureId id;
  Fix fix;

  auto operator<=>(const Remedy&) const = default;
};

// Of files that failed for these reasons; FILES_FAILED if none is known.
FailureId idOf(const std::set<Remedy>& remedies);
std::vector<Fix> fixesOf(const std::set<Remedy>& remedies);

// Several things that went wrong in one run: the first one, which says what the others were.
Failure joined(std::vector<Failure> failures);

// A failure as one text, for a database, and back; nullopt: it is no such text.
std::string packed(const Failure& failure);
std::optional<Failure> unpacked(const std::string& text);

// What a person does when the disk is full that the path is on.
Fix makeRoom(const std::string& path);

// What an error of this machine's takes at the most, in bytes: two paths and what is wrong with
// them.
inline constexpr size_t MAX_OWN_TEXT = 1000;

}  // namespace pibrain
