#include "hub/run/login-steps.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>

namespace pibrain {

namespace {

constexpr int64_t SLOW = 3000;  // ms until the agent has walked its tree

const std::map<std::string, std::string> CURES = {
    {"name", "the name server is slow; an address as HostName in ~/.ssh/config avoids it"},
    {"connection", "the network is slow; try 'ping'"},
    {"host key", "the machine or the network is slow or busy"},
    {"login",
     "sshd may look up the hub's name ('UseDNS no' in its sshd_config avoids that), or wait for "
     "PAM"},
    {"agent", "the shell's start-up files (~/.bashrc) are slow, or the machine is busy"},
    {"root", "there are very many files, or the spoke's disk is slow"},
};

}  // namespace

ConnectOptions LoginSteps::options(const std::shared_ptr<Passphrases>& passphrases) {
  ConnectOptions options;
  options.passphrases = passphrases;
  options.warn = [this](std::string text) { checks_.warn(text); };
  options.chose = [this](std::string which) {
    checks_.at("ssh");
    checks_.good(which);
    checks_.at(which.starts_with("OpenSSH") ? "connection" : nameOf(SshStep::NAME));
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
  auto cure = CURES.find(where);
  checks_.warn(absl::StrCat(detail, cure == CURES.end() ? "" : ": " + cure->second));
}

}  // namespace pibrain
