#include "hub/base/passphrase-prompt.h"

#include <bsd/readpassphrase.h>
#include <string.h>
#include <unistd.h>

#include "hub/base/thread-group.h"

namespace pibrain {

namespace {

constexpr int TRIES = 3;                 // like ssh's NumberOfPasswordPrompts
constexpr size_t MAX_PASSPHRASE = 1024;  // bytes, like OpenSSH's

std::mutex asking;

// Asks at the terminal, without showing what is typed. One thread asks at a time. Returns nullopt
// if there is no terminal.
std::optional<std::string> ask(const std::string& prompt) {
  // If standard input is not a terminal, nobody watches: a terminal that some session left behind
  // is not asked.
  if (!isatty(STDIN_FILENO)) return std::nullopt;
  std::lock_guard lock(asking);
  // Overwrites the lines of the progress display (hub/view/progress-display.h), if there are any.
  auto text = "\r\x1b[J" + prompt;
  std::optional<std::string> answer;
  doInMainThread([&]() {
    char line[MAX_PASSPHRASE];
    if (readpassphrase(text.c_str(), line, sizeof(line), RPP_ECHO_OFF | RPP_REQUIRE_TTY)) {
      answer = line;
    }
    explicit_bzero(line, sizeof(line));
  });
  return answer;
}

}  // namespace

std::unique_lock<std::mutex> tryTerminal() { return std::unique_lock(asking, std::try_to_lock); }

void wipe(std::string& passphrase) { explicit_bzero(passphrase.data(), passphrase.size()); }

Passphrases::~Passphrases() {
  for (auto& [path, passphrase] : right_) wipe(passphrase);
}

std::optional<std::string> Passphrases::find(const std::string& path, const std::string& name,
                                             bool mayAsk,
                                             const std::function<bool(const std::string&)>& opens) {
  std::lock_guard lock(mutex_);
  if (auto known = right_.find(path); known != right_.end()) return known->second;
  if (!mayAsk || unknown_.contains(path)) return std::nullopt;
  for (int i = 0; i < TRIES; ++i) {
    auto passphrase = ask("Enter the passphrase of " + name + ": ");
    if (!passphrase) return std::nullopt;
    if (!opens(*passphrase)) {
      wipe(*passphrase);
      continue;
    }
    right_[path] = *passphrase;
    return passphrase;
  }
  unknown_.insert(path);
  return std::nullopt;
}

}  // namespace pibrain
