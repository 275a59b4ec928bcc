#include "hub/run/login-steps.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>

#include "common/text/escape.h"
#include "hub/base/failure.h"

namespace pibrain {

namespace {

constexpr int64_t SLOW = 3000;  // ms until the agent has walked its tree

// Why a step may be slow, and what to do.
const std::map<std::string, std::pair<std::string, Fix>> REASONS = {
    {"name",
     {"The name server is slow.",
      {"Set an address as HostName in ~/.ssh/config, which needs no name server", ""}}},
    {"connection", {"The network is slow.", {"See how slow with 'ping'", ""}}},
    {"host key", {"The machine or the network is slow or busy.", {"See how slow with 'ping'", ""}}},
    {"login",
     {"sshd may look up the hub's name, or wait for PAM.",
      {"Set 'UseDNS no' in its sshd_config, which avoids the lookup", ""}}},
    {"agent",
     {"The shell's start-up files are slow, or the machine is busy.",
      {"Check ~/.bashrc on the spoke, which the shell may read even without a terminal", ""}}},
    {"root", {"There are very many files, or the spoke's disk is slow.", {"Check the disk", ""}}},
};

}  // namespace

ConnectOptions LoginSteps::options(const std::shared_ptr<Passphrases>& passphrases) {
  ConnectOptions options;
  options.passphrases = passphrases;
  options.warn = [this](std::string text) {
    checks_.warn(Failure(FailureId::KNOWN_HOSTS_NOTE, withoutFullStop(text)));
  };
  options.chose = [this](SshClient client, std::string which) {
    checks_.at("ssh");
    checks_.good("connects with " + which);
    checks_.at(client == SshClient::OPENSSH ? "connection" : nameOf(SshStep::NAME));
    restart();
  };
  options.passed = [this](SshStep step, std::string detail) {
    checks_.at(nameOf(step));
    // These steps are reported only if they fail.
    bool quiet =
        step == SshStep::GREETING || step == SshStep::KEY_EXCHANGE || step == SshStep::COMMAND;
    if (!quiet) checks_.good(absl::StrCat(detail, took()));
    checks_.at(step == SshStep::COMMAND ? "agent" : nameOf(SshStep(int(step) + 1)));
  };
  return options;
}

std::string LoginSteps::took() {
  auto now = std::chrono::steady_clock::now();
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_).count();
  began_ = now;
  times_.push_back({ms, checks_.step()});
  return absl::StrCat(" (", ms, " ms)");
}

void LoginSteps::checkSpeed() {
  int64_t total = 0;
  for (auto& [ms, step] : times_) total += ms;
  auto [slowest, where] = *std::max_element(times_.begin(), times_.end());
  auto detail = absl::StrCat(total, " ms in all, ", slowest, " ms of them for '", where, "'");
  checks_.at("speed");
  if (total < SLOW) return checks_.good(detail);
  Failure slow(FailureId::LOGIN_SLOW, detail);
  auto reason = REASONS.find(where);
  if (reason != REASONS.end()) {
    slow.addCause(reason->second.first).addFix(reason->second.second);
  }
  checks_.warn(slow);
}

}  // namespace pibrain
