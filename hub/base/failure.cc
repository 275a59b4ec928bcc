#include "hub/base/failure.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <errno.h>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"

namespace pibrain {

namespace {

// Separates the fields of a packed failure. Texts that are safe to print do not contain it.
constexpr char SEPARATOR = '\x1f';

std::optional<FailureId> idOf(std::string_view name) {
  for (auto& kind : allFailureKinds()) {
    if (kind.name == name) return kind.id;
  }
  return std::nullopt;
}

std::string asSentence(const Fix& fix) {
  if (fix.command.empty()) return fix.text + ".";
  return absl::StrCat(fix.text, ": '", fix.command, "'.");
}

}  // namespace

Failure::Failure(FailureId id, std::string what, std::string cause, std::vector<Fix> fixes)
    : id_(id), what_(std::move(what)), cause_(std::move(cause)), fixes_(std::move(fixes)) {
  compose();
}

Failure::Failure(std::string paragraph)
    : id_(FailureId::UNCLASSIFIED), what_(paragraph), line_(std::move(paragraph)) {}

Failure& Failure::addCause(const std::string& sentences) {
  if (sentences.empty()) return *this;
  absl::StrAppend(&cause_, cause_.empty() ? "" : " ", sentences);
  compose();
  return *this;
}

Failure& Failure::addFix(Fix fix) {
  fixes_.push_back(std::move(fix));
  compose();
  return *this;
}

void Failure::compose() {
  std::vector<std::string> parts{what_ + "."};
  if (!cause_.empty()) parts.push_back(cause_);
  for (auto& fix : fixes_) parts.push_back(asSentence(fix));
  line_ = absl::StrJoin(parts, " ");
}

std::optional<Remedy> remedyFor(int error, const std::string& path) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Remedy{FailureId::DISK_FULL, makeRoom(path)};
    case EMFILE:
    case ENFILE:
      return Remedy{FailureId::TOO_MANY_OPEN_FILES,
                    {"Raise the limit of open files, which this shows", "ulimit -n"}};
    case EAGAIN:
      return Remedy{FailureId::TOO_MANY_PROCESSES,
                    {"Raise the limit of processes and threads, which this shows", "ulimit -u"}};
    case EIO:
      return Remedy{FailureId::DISK_FAILING,
                    {"Check the kernel's messages for disk errors", "sudo dmesg | tail"}};
    case EROFS:
      return Remedy{FailureId::READ_ONLY_FILESYSTEM,
                    {"Check how the filesystem is mounted",
                     "findmnt -T " + escapeForTerminal(shellQuote(path))}};
    default:
      return std::nullopt;
  }
}

FailureId idOf(const std::set<Remedy>& remedies) {
  return remedies.empty() ? FailureId::FILES_FAILED : remedies.begin()->id;
}

std::vector<Fix> fixesOf(const std::set<Remedy>& remedies) {
  std::vector<Fix> fixes;
  for (auto& remedy : remedies) fixes.push_back(remedy.fix);
  return fixes;
}

Failure joined(std::vector<Failure> failures) {
  Failure first = std::move(failures.at(0));
  for (size_t i = 1; i < failures.size(); ++i) {
    first.addCause(absl::StrCat("Besides, ", failures[i].summary(), "."));
    first.addCause(failures[i].cause());
    for (auto& fix : failures[i].fixes()) first.addFix(fix);
  }
  return first;
}

std::string packed(const Failure& failure) {
  std::vector<std::string> fields{std::string(failure.idName()), failure.summary(),
                                  failure.cause()};
  for (auto& fix : failure.fixes()) {
    fields.push_back(fix.text);
    fields.push_back(fix.command);
  }
  return absl::StrJoin(fields, std::string(1, SEPARATOR));
}

std::optional<Failure> unpacked(const std::string& text) {
  std::vector<std::string> fields = absl::StrSplit(text, SEPARATOR);
  if (fields.size() < 3 || fields.size() % 2 == 0) return std::nullopt;
  auto id = idOf(fields[0]);
  if (!id) return std::nullopt;
  Failure failure(*id, fields[1], fields[2]);
  for (size_t i = 3; i < fields.size(); i += 2) failure.addFix({fields[i], fields[i + 1]});
  return failure;
}

Fix makeRoom(const std::string& path) {
  auto quoted = escapeForTerminal(shellQuote(path));
  return {"Free some space on the disk; this shows how much is left",
          absl::StrCat("df -h ", quoted, "; df -i ", quoted)};
}

}  // namespace pibrain
