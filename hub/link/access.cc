#include "hub/link/access.h"

#include <absl/strings/str_cat.h>

#include <random>

#include "common/wire/protocol.h"

namespace pibrain {

namespace {

// draft-ietf-secsh-filexfer-02, section 4: a packet's length, its type, the protocol's version.
constexpr std::string_view SFTP_INIT{"\0\0\0\5\1\0\0\0\3", 9};
constexpr size_t SFTP_TYPE = 4;  // where it stands in a packet
constexpr char SFTP_VERSION = 2;

}  // namespace

const char* toString(Access access) {
  switch (access) {
    case Access::COMMAND:
      return "run other commands";
    case Access::SHELL:
      return "open a shell";
    case Access::SUBSYSTEM:
      return "start the SFTP server";
    case Access::FORWARDING:
      return "forward connections";
    case Access::TERMINAL:
      return "have a terminal";
  }
  return "";
}

Question makeQuestion() {
  std::random_device random;
  std::uniform_int_distribution<uint32_t> large(100'000'000, 999'999'999);
  uint32_t one = large(random), other = large(random);
  return {absl::StrCat("expr ", one, " + ", other), absl::StrCat(one + other)};
}

std::string inputOf(Access access, const Question& question) {
  if (access == Access::SHELL) return question.command + "\nexit\n";
  return access == Access::SUBSYSTEM ? std::string(SFTP_INIT) : "";
}

std::optional<Grant> judgeOutput(Access access, const Question& question, std::string_view output) {
  if (output.find(PREAMBLE) != output.npos) return Grant::REFUSED;
  if (access == Access::SUBSYSTEM) {
    bool answered = output.size() > SFTP_TYPE && output[SFTP_TYPE] == SFTP_VERSION &&
                    output.substr(0, 2) == SFTP_INIT.substr(0, 2);
    return answered ? std::optional(Grant::GIVEN) : std::nullopt;
  }
  return output.find(question.answer) != output.npos ? std::optional(Grant::GIVEN) : std::nullopt;
}

}  // namespace pibrain
