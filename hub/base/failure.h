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
  std::string command;  // to be pasted; empty: the text alone is the fix

  auto operator<=>(const Fix&) const = default;
};

// A failure as a person reads it (P8). Thrown anywhere in the hub; shown in one place, where a
// command, or its work on one spoke, ends. All texts are safe to print.
class Failure : public std::exception {
 public:
  // `what`: what failed, a clause in lower case without a full stop, since it follows "laptop: ".
  // `cause`: why, in whole sentences; empty: not known.
  Failure(FailureId id, std::string what, std::string cause = "", std::vector<Fix> fixes = {});
  // A failure from the history of an older version, which had one text and no id.
  explicit Failure(std::string paragraph);

  FailureId id() const { return id_; }
  std::string_view idName() const { return kindOf(id_).name; }
  const std::string& summary() const { return what_; }
  const std::string& cause() const { return cause_; }
  const std::vector<Fix>& fixes() const { return fixes_; }

  // Add to the failure, and return it.
  Failure& addCause(const std::string& sentences);
  Failure& addFix(Fix fix);

  // The whole failure in one line that ends with a full stop.
  const char* what() const noexcept override { return line_.c_str(); }

 private:
  void compose();

  FailureId id_;
  std::string what_, cause_;
  std::vector<Fix> fixes_;
  std::string line_;
};

// Why single files failed, if it is known: the id of the failure, and its fix.
struct Remedy {
  FailureId id;
  Fix fix;

  auto operator<=>(const Remedy&) const = default;
};

// Returns the remedy for an errno of the hub that concerns more than one file, such as a full disk;
// nullopt for all others. `path` is on that disk.
std::optional<Remedy> remedyFor(int error, const std::string& path);

// Returns the id of a failure of several files; FILES_FAILED if no reason is known.
FailureId idOf(const std::set<Remedy>& remedies);
std::vector<Fix> fixesOf(const std::set<Remedy>& remedies);

// Merges several failures of one run into the first one, whose cause then names the others.
Failure joined(std::vector<Failure> failures);

// Convert a failure to one text for the database, and back; nullopt: the text is not a packed
// failure.
std::string packed(const Failure& failure);
std::optional<Failure> unpacked(const std::string& text);

// Returns the fix for a full disk; `path` is on that disk.
Fix makeRoom(const std::string& path);

// The longest text of an error on the hub itself, in bytes: two paths and a reason.
inline constexpr size_t MAX_OWN_TEXT = 1000;

}  // namespace pibrain
