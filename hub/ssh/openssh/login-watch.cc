#include "hub/ssh/openssh/login-watch.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "hub/ssh/connect-failures.h"
#include "hub/ssh/openssh-errors.h"

namespace pibrain {

namespace {

constexpr char AUTHENTICATED[] = "Authenticated to ";
// Printed when the session is open, on a new or a shared connection.
constexpr char BEGINS[] = "debug1: Sending command: ";
constexpr char SHARED[] = "debug1: mux_client_request_session: master session id: ";

// The step that begins when ssh prints this line, which can be missing.
struct StepBegins {
  const char* words;
  SshStep step;
};
constexpr StepBegins STEPS[] = {
    {"debug1: Executing proxy command: ", SshStep::GREETING},
    {"debug1: Connecting to ", SshStep::TCP},
    {"debug1: Connection established.", SshStep::GREETING},
    {"debug1: Remote protocol version ", SshStep::KEY_EXCHANGE},
    {"debug1: Server host key: ", SshStep::HOST_KEY},
    {"debug1: SSH2_MSG_SERVICE_ACCEPT received", SshStep::LOGIN},
    {AUTHENTICATED, SshStep::COMMAND},
};

}  // namespace

SshStep stepIn(const std::string& errors) {
  auto latest = SshStep::NAME;
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    for (auto& [words, step] : STEPS) {
      if (step > latest && absl::StartsWith(line, words)) latest = step;
    }
  }
  return latest;
}

size_t endOfLogin(const SshTarget& target, const std::string& errors) {
  // The server's banner may come before.
  auto line = absl::StrCat(AUTHENTICATED, target.host, " (");
  for (size_t start = 0; start < errors.size();) {
    size_t end = std::min(errors.find('\n', start), errors.size());
    if (errors.compare(start, line.size(), line) == 0) return std::min(end + 1, errors.size());
    start = end + 1;
  }
  return std::string::npos;
}

std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors) {
  auto end = endOfLogin(target, errors);
  if (end == std::string::npos) return std::nullopt;
  return withoutTales(errors.substr(end));
}

LoginWatch::LoginWatch(const SshTarget& target)
    : target_(target),
      deadline_(std::chrono::steady_clock::now() + std::chrono::seconds(target.connectTimeout)) {}

bool LoginWatch::begun(const std::string& errors) {
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    if (absl::StartsWith(line, BEGINS) || absl::StartsWith(line, SHARED)) return true;
  }
  if (auto now = stepIn(errors); now > step_) {
    step_ = now;
    deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(target_.connectTimeout);
  }
  return false;
}

std::chrono::milliseconds LoginWatch::left() const {
  return std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
}

Failure LoginWatch::tookTooLong(const std::string& errors) const {
  auto failure = pibrain::tookTooLong(target_, step_);
  auto words = stderrTail(errors);
  if (!words.empty()) failure.addCause(absl::StrCat("ssh said: ", words, "."));
  return failure;
}

}  // namespace pibrain
