#include "hub/setup/agents.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/sha.h>
#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>

#include "common/fs/own-program.h"
#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

constexpr std::string_view PREFIX = "pi-brain-agent-";

std::string sha256(const std::string& bytes) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), hash);
  return absl::BytesToHexString({reinterpret_cast<const char*>(hash), sizeof(hash)});
}

std::string thisArchitecture() {
  struct utsname name;
  return uname(&name) == 0 ? name.machine : "";
}

class Search {
 public:
  void directory(const std::string& path) {
    std::error_code ignored;
    for (auto& name : listDirectory(path, ignored)) {
      if (name.starts_with(PREFIX)) file(name.substr(PREFIX.size()), path + "/" + name);
    }
  }

  // Adds a file, unless the architecture has one already.
  void file(const std::string& architecture, const std::string& path) {
    auto known = [&](auto& agent) { return agent.architecture == architecture; };
    if (std::any_of(found.begin(), found.end(), known)) return;
    auto content = readWholeFile(path);
    if (content) found.push_back({architecture, path, sha256(*content)});
  }

  std::vector<AgentProgram> found;
};

}  // namespace

absl::StatusOr<std::vector<AgentProgram>> findAgents(const std::string& directory) {
  Search search;
  if (!directory.empty()) {
    search.directory(directory);
    if (search.found.empty()) {
      return toStatus(
          Failure(FailureId::AGENT_MISSING,
                  "no pi-brain-agent-ARCHITECTURE was found in " + escapeForTerminal(directory), "",
                  {{"Build the agents in the source tree", "deploy/build-agents.sh"}}));
    }
    return search.found;
  }
  auto program = std::filesystem::path(ownProgram()).parent_path();
  auto beside = program / "pi-brain-agent";
  if (findProgram(beside)) search.file(thisArchitecture(), beside);
  search.directory(program.parent_path() / "lib/pi-brain");
  if (auto onPath = findProgram("pi-brain-agent")) search.file(thisArchitecture(), *onPath);
  if (search.found.empty()) {
    return toStatus(
        Failure(FailureId::AGENT_MISSING, "no agent was found to install",
                absl::StrCat("No pi-brain-agent is beside this program, on PATH, or in ",
                             (program.parent_path() / "lib/pi-brain").string(), "."),
                {{"Build the agents in the source tree, and name their directory with --agents DIR",
                  "deploy/build-agents.sh"}}));
  }
  return search.found;
}

}  // namespace pibrain
