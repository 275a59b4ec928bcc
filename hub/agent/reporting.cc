#include "hub/agent/reporting.h"

namespace pibrain {

ConnectOptions reportingTo(SpokeReport& report, std::shared_ptr<Passphrases> passphrases) {
  ConnectOptions options;
  options.passphrases = std::move(passphrases);
  options.warn = [&](std::string text) { report.warnings.push_back(std::move(text)); };
  options.chose = [&](SshClient, std::string which) { report.transport = std::move(which); };
  return options;
}

}  // namespace pibrain
