#pragma once
// Runs deploy/install-spoke.sh on a spoke, through the login of the person who sets it up.
//
// ssh starts /bin/sh on the spoke, whatever the login shell is, and sends it the script on standard
// input, after sh has proved that it is what reads: another shell would run parts of the script.
// With --token=WORD the script prints each message as a line "WORD …", so that the output of
// start-up files can be ignored:
//   WORD reads 0x             the shell understands sh (before the script is sent)
//   WORD need ARCHITECTURE    send the agent for it: a line with its size, then its bytes
//   WORD installed ARCHITECTURE AGENT LINE
//                             what became of both: "new", "added", "replaced", "same"
//   WORD say TEXT             for a person
//   WORD no-agent ARCHITECTURE
//                             nothing was changed, because the hub has no agent for it
//   WORD fail WHAT\tCAUSE\tFIX\tCOMMAND
//                             nothing was changed, and why; all but WHAT may be empty
//   WORD undone               everything was undone
//   WORD kept                 with --retire: the new line stays, and the old ones are still there
//   WORD done
// After "installed" it waits for a line "keep", and after "kept" for "retire". On anything else, at
// the end of the connection, or after --patience seconds in all, it undoes everything, or, after
// "kept", leaves the old lines.
// --hashes='ARCHITECTURE=SHA256 …': the agents of the hub. --agent-only: keep the line.
// --retire='BLOB …': the keys whose lines are removed at the end. --new-spoke: a line of this key
// for another directory is an error.

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/setup/agents.h"
#include "hub/ssh/target.h"

namespace pibrain {

struct InstallRequest {
  std::string publicKey;             // "TYPE BLOB COMMENT"
  std::string root;                  // as in a source: "~" is the spoke's
  std::string from;                  // patterns as in sshd(8); empty: unchanged, or any
  std::vector<std::string> exclude;  // as in AddRequest
  std::vector<std::string> retire;   // blobs of the keys whose lines are removed after commit()
  bool newSpoke = false;  // as far as the hub knows, the key has no line on the spoke yet
  bool agentOnly = false;
  bool dryRun = false;
};

struct Installed {
  std::string architecture;
  std::string agent, line;  // "new" or "added", "replaced", "same"
};

class RemoteInstall {
 public:
  // `target`: the person's own login. `mayAsk`: ssh may ask at the terminal.
  RemoteInstall(SshTarget target, bool mayAsk);
  ~RemoteInstall() noexcept(false);  // undoes what was not committed
  KJ_DISALLOW_COPY(RemoteInstall);

  // One of these must be called, once. They throw Failure, after which nothing is changed on the
  // spoke.
  Installed install(const InstallRequest& request, const std::vector<AgentProgram>& agents);
  void uninstall(const std::string& publicKey, bool dryRun);

  // Called after install(), except for a dry run: makes its changes permanent. Throws Failure.
  void commit();
  // Called after commit(): removes the lines of the retired keys. Throws Failure.
  void retire();
  // Called instead of commit(). Returns whether the script confirmed that everything was undone.
  bool rollBack();

  // Returns the script's messages for a person since the last call.
  std::vector<std::string> drainMessages();

 private:
  void start(std::vector<std::string> arguments);
  void send(const std::string& bytes);
  // Returns the script's next line: its first word, and the rest.
  std::pair<std::string, std::string> answer();
  void waitReady(short events);
  void requireSh();
  bool readMore();
  // Returns when waitReady(), which began at `began`, must give up; explainSilence() throws why.
  std::chrono::steady_clock::time_point limit(std::chrono::steady_clock::time_point began);
  [[noreturn]] void explainSilence();
  Failure failureThere(const std::string& said) const;
  [[noreturn]] void failWithDiagnosis();

  SshTarget target_;
  const bool mayAsk_;
  std::string token_;
  Spawned ssh_{-1, nullptr, nullptr};
  std::string received_;               // an incomplete line
  size_t total_ = 0;                   // bytes received
  std::string noise_;                  // the beginning of the output that is not the script's
  bool heard_ = false;                 // whether the script has answered
  std::chrono::seconds patience_{20};  // the destructor's wait for the script to undo changes
  std::chrono::steady_clock::time_point start_;    // when ssh was started
  std::chrono::steady_clock::time_point heardAt_;  // when the script answered first
  std::optional<std::chrono::steady_clock::time_point>
      loggedIn_;  // when ssh was seen to have logged in
  std::vector<std::string> messages_;
};

}  // namespace pibrain
